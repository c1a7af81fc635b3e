"""Letting a client wait for a person (P5.2).

`room`     which requests are open, and who waits for each: notices answers, time and new policies
`wait`     one call that waits: how, how long, and what ends it
`held`     its answer, an event stream from the moment it waits
`forms`    asking the client's own user, where the policy calls that good enough
`webhook`  telling somebody who is not at this machine
"""
