"""HTTP/1.1 on both sides: llhttp over asyncio protocols, callbacks instead of tasks.

`server` `connection` `request` `answer`   the listener
`client` `call` `response`                 one upstream
`head`                                     the rules both sides share
`sweep`                                    their time-outs, on one timer
"""
