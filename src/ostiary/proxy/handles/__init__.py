"""Handles that an upstream issued, known to the grant that obtained them and to nobody else.

`shelf`    where what must survive a restart is kept: the port, and one that keeps nothing
`marks`    keyed digests: what stands for a handle in memory and on the shelf
`events`   event ids: where a client may resume a stream
`states`   `requestState` of answers that ask for more
`tasks`    tasks, from their creation to their outcome
`ending`   tasks at a stop
`recall`   what outlives a request or a session: its context, open questions, what was negotiated
`book`     all of them; what a message may name, and what an answer teaches

Session ids are not here: they carry a MAC (`identity.handles`).
"""
