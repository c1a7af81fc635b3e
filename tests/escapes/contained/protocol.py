"""At the gate itself, through the answer of a worker: whatever comes from one is parsed strictly and bounded.

The code owns its process, so it can write any answer. What it says is its own output, and no more.
"""

from __future__ import annotations

from ostiary.sandbox.limits import MIB, Limits
from tests.escapes.attempt import USUAL, Attempt, Contained

REASON = "the gate reads answers in the same way with walls and without"
_SHORT = Limits(wall_ms=1_000, memory=96 * MIB)
_LEAVING = Limits(wall_ms=10_000, memory=96 * MIB)
"""A worker that said it would leave is waited for, for two seconds."""

_FORGE = """
import json, stat
def sockets():
    for name in os.listdir('/proc/self/fd'):
        try:
            if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                yield int(name)
        except OSError:
            pass
channel = socket.socket(fileno=next(sockets()))
def answer(body=b'', **changes):
    fields = dict(value=None, fault=None, leaving=False, artifacts=[], notes=[], cpu_ms=0.0, max_rss_kb=0)
    text = json.dumps(fields | changes).encode()
    return struct.pack('!II', len(text), len(body)) + text + body
def file(name, size=1):
    return [dict(name=name, size=size)]
"""


def _forged(name: str, code: str, *, limits: Limits = USUAL, sign: str = "forged") -> Contained:
    return Contained(
        attempt=Attempt(
            name=name, category="protocol", code=_FORGE + code + "\nsignal.pause()", sign=sign, limits=limits,
            ends=("killed",),
        ),
        reason=REASON,
    )  # fmt: skip


CONTAINED = (
    _forged(
        "answer with four gigabytes",
        "channel.sendall(struct.pack('!II', 0xFFFFFFFF, 0xFFFFFFFF) + bytes(99))",
    ),
    _forged("answer with what is no message", "channel.sendall(struct.pack('!II', 9, 0) + b'{\"value\":')"),
    _forged("answer twice", "channel.sendall(answer() * 2)"),
    _forged("answer for another owner and run", "channel.sendall(answer(owner='ben', run_id='run_forged'))"),
    _forged("answer with another isolation", "channel.sendall(answer(isolation=dict(level='none')))"),
    _forged("name an artifact that climbs out", "channel.sendall(answer(b'x', artifacts=file('../../out')))"),
    _forged(
        "name an artifact by a whole path", "channel.sendall(answer(b'x', artifacts=file('/etc/passwd')))"
    ),
    _forged("name an artifact in two lines", "channel.sendall(answer(b'x', artifacts=file('a\\nb')))"),
    _forged(
        "give an artifact a size below nothing", "channel.sendall(answer(b'x', artifacts=file('a', -1)))"
    ),
    _forged(
        "give an artifact that never comes", "channel.sendall(answer(b'', artifacts=file('a', 1 << 40)))"
    ),
    _forged(
        "give more artifacts than a run may", "channel.sendall(answer(bytes(99), artifacts=file('a') * 99))"
    ),
    _forged(
        "answer with a number beyond numbers",
        "text = answer()[8:].replace(b'0.0', b'1e999')\n"
        "channel.sendall(struct.pack('!II', len(text), 0) + text)",
    ),
    _forged(
        "answer with a value nested too deeply to read",
        "channel.sendall(answer(value=dict(text='', json='[' * 200_000)))",
    ),
    _forged(
        "say that it is leaving, and stay",
        "channel.sendall(answer(leaving=True))",
        limits=_LEAVING,
    ),
    _forged(
        "hand the gate a descriptor with the answer",
        "socket.send_fds(channel, [bytes(64)], [os.open('/dev/zero', 0)] * 64)",
    ),
    _forged(
        "answer with a text larger than a value may be",
        "channel.sendall(answer(value=dict(text='x' * (7 << 20), json=None)))",
        sign="flood",
    ),
    Contained(
        attempt=Attempt(
            name="close the line to the gate and wait",
            category="protocol",
            code=_FORGE + "channel.close()\nsignal.pause()",
            limits=_SHORT,
            ends=("timeout",),
        ),
        reason=REASON,
    ),
    Contained(
        attempt=Attempt(
            name="hold the output open in a process that was let go of",
            category="daemons",
            code="""
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.pause()
    os._exit(0)
sys.stdout.flush()
os._exit(0)
""",
            ends=("success", "error"),  # an error where no process may be started at all
        ),
        reason="whoever watches the code ends what is left of it",
    ),
    Contained(
        attempt=Attempt(
            name="tell the gate how its own process ended",
            category="protocol",
            code=_FORGE
            + """
if len(list(sockets())) > 1:
    print(prize)
for number in attempt(os.listdir, f'/proc/{os.getppid()}/fd') or ():
    attempt(os.open, f'/proc/{os.getppid()}/fd/{number}', os.O_RDWR)
    print(prize)
""",
        ),
        reason="the line for that is held by a process that keeps to itself",
    ),
    Contained(
        attempt=Attempt(
            name="find a descriptor that was not meant for the code",
            category="descriptors",
            code="""
numbers = [int(name) for name in os.listdir('/proc/self/fd')]
found = [attempt(os.readlink, f'/proc/self/fd/{number}') for number in numbers]
kinds = sorted(name.partition(':')[0] for name in found if name)  # the listing's own is gone
if kinds != ['/dev/null', 'pipe', 'pipe', 'socket']:
    print(prize, found)
""",
        ),
        reason="a worker is handed four descriptors and no other",
    ),
)
