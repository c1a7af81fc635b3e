"""What knows nothing of HTTP, adapted to the shape of `ostiary.proxy.exchange`.

Both the standard streams and HTTP+SSE of 2024-11-05 carry single messages, with answers that are
told by their ids alone. What they have in common is here; how bytes travel is not.

`client` `port` `answers` `headers` `stream` `farewell`   a client: its messages become requests
`renewal` `questions`                                     and its session, when the server loses it
`conversation` `pending` `ids` `mailbox` `outlet`         a server: requests become messages
`glance` `complaint`                                      for both
"""
