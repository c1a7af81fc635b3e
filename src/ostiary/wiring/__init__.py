"""The composition root: the one package that knows which adapter backs each port.

`proxy`     one gate from its options to its exit status
`serving`   its clients; `network`, `webhook` what it needs to reach others; `asking` its approvals
`scan`      what commands ask a server, and the records they leave
`approvals` what approvers do to the store of a state directory
"""
