"""The life of a denial that a person may lift (P5).

`request`    what is asked, what was answered, and where it stands: plain values
`digest`     which call an approval is for: canonical text and digest
`lifecycle`  what may become of a request, and whose word counts
`statement`  what approvers sign, and which keys are believed
`step`       what the store does about approvals inside a transaction, and what it answers

Pure: time, ids and keys come in as arguments. `store.approvals` keeps the rows, `proxy.approvals`
lets a client wait, `cli.approvals` is where people answer.
"""
