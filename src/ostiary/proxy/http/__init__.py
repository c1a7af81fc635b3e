"""HTTP/1.1 on both sides: llhttp over asyncio protocols, callbacks instead of tasks.

`server` `connection` `request` `answer`   the listener
`accept`                                   where its connections come from
`client` `call` `response`                 one upstream
`dial` `egress` `reason`                   the way to it, and why there is none
`head`                                     the rules both sides share
`sweep`                                    their time-outs, on one timer
`liveness`                                 how the kernel notices that a peer has vanished
"""
