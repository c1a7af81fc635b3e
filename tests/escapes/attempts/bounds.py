"""At what everybody shares: processes, memory, disk, processor time."""

from __future__ import annotations

from ostiary.sandbox.limits import MIB, Limits
from tests.escapes.attempt import Attempt

_SMALL = Limits(wall_ms=10_000, memory=64 * MIB)

ATTEMPTS = (
    Attempt(
        name="fork without end",
        category="fork bomb",
        code="""
made = []
for _ in range(150):
    child = os.fork()
    if child == 0:
        signal.pause()
    made.append(child)
print(prize)
for child in made:
    os.kill(child, signal.SIGKILL)
""",
        limits=Limits(wall_ms=10_000, memory=512 * MIB),
    ),
    Attempt(
        name="start threads without end",
        category="thread bomb",
        code="""
import threading
threading.stack_size(65536)
stay = threading.Event()
for _ in range(300):
    threading.Thread(target=stay.wait, daemon=True).start()
print(prize)
""",
        limits=Limits(wall_ms=10_000, memory=256 * MIB),
    ),
    Attempt(
        name="hold more memory than it may, in several processes",
        category="memory",
        code="""
full = []
for _ in range(4):
    told, tell = os.pipe()
    if os.fork() == 0:
        held = bytearray(b'x' * (32 << 20))
        os.write(tell, b'full')
        signal.pause()
    os.close(tell)
    full.append(os.read(told, 4))
if full == [b'full'] * 4: print(prize)
os.killpg(0, signal.SIGKILL)
""",
        limits=_SMALL,
    ),
    Attempt(
        name="hold more memory than it may, in files without a name",
        category="memory",
        code="""
for _ in range(12):
    held = os.memfd_create('held')
    for _ in range(15):
        os.write(held, bytes(1 << 20))
print(prize)
""",
        limits=_SMALL,
    ),
    Attempt(
        name="hold more memory than it may, in shared memory",
        category="memory",
        code="""
for count in range(12):
    with open(f'/dev/shm/held-{os.getpid()}-{count}', 'wb') as held:
        for _ in range(15):
            held.write(bytes(1 << 20))
print(prize)
for count in range(12):
    os.unlink(f'/dev/shm/held-{os.getpid()}-{count}')
""",
        limits=_SMALL,
    ),
    Attempt(
        name="hold more memory than it may, in segments that nobody is attached to",
        category="memory",
        code="""
libc.shmat.restype = ctypes.c_void_p
held = []
for _ in range(8):
    held.append(call('shmget', 0, 20 << 20, 0o1600))
    at = libc.shmat(held[-1], None, 0)
    if at in (None, 2 ** 64 - 1):
        raise SystemExit('no segment')
    ctypes.memset(at, 1, 20 << 20)
    libc.shmdt(ctypes.c_void_p(at))
print(prize)
for segment in held:
    libc.shmctl(segment, 0, None)
""",
        limits=_SMALL,
    ),
    Attempt(
        name="hold more memory than it may, in messages that nobody receives",
        category="memory",
        code="""
import resource
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
held, sent = [], 0
while sent < 160 << 20:
    one, other = socket.socketpair()
    one.setblocking(False)
    held += [one, other]
    for _ in range(64):
        try:
            sent += one.send(bytes(65536))
        except BlockingIOError:
            break
print(prize)
""",
        limits=_SMALL,
    ),
    Attempt(
        name="fill the disk",
        category="disk",
        code="""
import tempfile
for folder in ('.', tempfile.gettempdir()):
    for count in range(9):
        with open(f'{folder}/full-{count}', 'wb') as file:
            os.posix_fallocate(file.fileno(), 0, 15 << 20)
print(prize)
""",
        limits=Limits(wall_ms=10_000, memory=400 * MIB),
    ),
    Attempt(
        name="have room for more files than can be counted",
        category="disk",
        code="if os.statvfs('.').f_favail > 100_000: print(prize)",
    ),
    Attempt(
        name="use more processor time than it may, in several processes",
        category="processor time",
        code="""
for _ in range(3):
    if os.fork() == 0:
        while time.process_time() < 0.25:
            pass
        os._exit(0)
for _ in range(3):
    os.wait()
print(prize)
""",
        limits=Limits(wall_ms=8_000, cpu_ms=300),
    ),
    Attempt(
        name="go on using the processor when the run has been answered, in a session",
        category="after the answer",
        code="""
import resource, threading
most = resource.getrlimit(resource.RLIMIT_CPU)[1]
resource.setrlimit(resource.RLIMIT_CPU, (most, most))
def go_on():
    while True:
        pass
threading.Thread(target=go_on, daemon=True).start()
""",
        sign="busy",
        session="long",
        limits=Limits(wall_ms=8_000, cpu_ms=200),
    ),
)
