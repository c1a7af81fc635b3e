"""What happened, and proof that nobody edited it. Pure.

`record`  one row: an intent, a denial, an outcome or an event; never an argument value
`chain`   each writer's rows hang together by hashes; checkpoints name where the chains stood
`keyed`   digests that only the holder of a key can compare with a guess
"""
