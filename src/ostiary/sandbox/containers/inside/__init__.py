"""Programs that run in containers: text for whatever Python is there (3.6 or newer), standard library only.

Nothing here is imported by what runs in a container: `programs` sends it as the argument of `python3 -c`.
"""
