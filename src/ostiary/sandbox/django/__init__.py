"""Django: a project that is loaded once, and a child of it for each session or each run.

`settings`   what it is told at start
`asks`       what it answers beside running code
`runner`     keeps the project warm and hands out children. Read this first
"""
