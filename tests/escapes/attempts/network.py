"""At what listens on the host and beyond."""

from __future__ import annotations

from ostiary.sandbox.limits import Limits
from tests.escapes.attempt import USUAL, Attempt

_TELL = "print(peer.recv(99).decode())"
_PATIENT = Limits(wall_ms=15_000, memory=USUAL.memory)
"""What listens is a thread of a process that does much else; behind walls nobody waits for it."""

ATTEMPTS = (
    Attempt(
        name="connect to a service of the host",
        category="network",
        code=f"peer = socket.create_connection(('127.0.0.1', host['tcp']), 5)\n{_TELL}",
        sign="secret tcp",
        limits=_PATIENT,
    ),
    Attempt(
        name="connect to a service of the host by IPv6",
        category="network",
        code=f"peer = socket.create_connection(('::1', host['tcp6']), 5)\n{_TELL}",
        sign="secret tcp6",
        limits=_PATIENT,
    ),
    Attempt(
        name="carry data out in datagrams, as a name lookup does",
        category="network",
        code=f"""
peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
peer.settimeout(5)
name = b''.join(bytes([len(part)]) + part for part in (b'data', b'example', b''))
data = struct.pack('!6H', 4660, 256, 1, 0, 0, 0) + name + struct.pack('!HH', 1, 1)
peer.sendto(data, ('127.0.0.1', host['udp']))
{_TELL}
""",
        sign="secret udp",
        limits=_PATIENT,
    ),
    Attempt(
        name="listen for the whole network",
        category="network",
        code="""
peer = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
peer.bind(('0.0.0.0', 0))
peer.listen()
print(prize)
""",
    ),
    Attempt(
        name="connect to a socket of the host that has a name instead of a file",
        category="network",
        code=f"""
peer = socket.socket(socket.AF_UNIX)
peer.connect('\\0' + host['abstract'])
{_TELL}
""",
        sign="secret abstract socket",
    ),
    Attempt(
        name="connect to a socket file of the host",
        category="network",
        code=f"""
peer = socket.socket(socket.AF_UNIX)
peer.connect(host['socket'])
{_TELL}
""",
        sign="secret socket file",
    ),
    Attempt(
        name="list the sockets of the host",
        category="proc",
        code="if host['abstract'] in open('/proc/net/unix').read(): print(prize)",
    ),
    Attempt(
        name="talk to the kernel about its network",
        category="netlink",
        code="""
peer = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
peer.send(struct.pack('IHHIIB15x', 32, 18, 0x301, 1, 0, 0))
if len(peer.recv(65536)) > 16: print(prize)
""",
    ),
    Attempt(
        name="talk to the kernel about its devices",
        category="netlink",
        code="socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15).bind((0, 1))\nprint(prize)",
    ),
    Attempt(
        name="reach the machine below this one",
        category="network",
        code="socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)\nprint(prize)",
    ),
    Attempt(
        name="read raw packets in a network of its own",
        category="network",
        code="""
if call('unshare', 0x10000000 | 0x40000000) == 0:
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    print(prize)
""",
    ),
)
