"""Who is asking.

`grant`    labelled bearer tokens and the principal behind each
`handles`  session ids bound to the grant that obtained them
"""
