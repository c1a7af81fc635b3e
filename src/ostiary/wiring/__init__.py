"""The composition root: the one package that knows which adapter backs each port.

`proxy`     one gate from its options to its exit status
`serving`   its clients; `network`, `webhook` what it needs to reach others; `asking` its approvals
`approvals` what approvers do to the store of a state directory
"""
