"""A way out for code that has none: to the hosts on a list, and to nothing else.

  `places`   which hosts and ports are on the list; which addresses no name may lead to. Pure
  `head`     the one request that a connection begins with, read strictly. Pure
  `dial`     a name is looked up once, every address is judged, and that address is connected to
  `proxy`    the listener on a unix socket: CONNECT and plain http
  `pump`     bytes both ways, counted; `caps`: how much, how long, how many
  `relay`    runs inside the sandbox: 127.0.0.1 there is the unix socket here

A sandbox without a network is given the socket and nothing else, so what is not on the list cannot
even be named to the kernel. What CONNECT carries is encrypted: a host that serves for many others
can be asked for any of them.
"""
