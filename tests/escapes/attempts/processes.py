"""At other processes: looking into them, stopping them, taking what they hold."""

from __future__ import annotations

from tests.escapes.attempt import Attempt

_IOVEC = """
import re

def tell(data):
    for word in re.findall(rb'[0-9a-f]{32}', data):
        print(word.decode())

def pieces(pid):
    for line in open(f'/proc/{pid}/maps'):
        span, rights, *_ = line.split()
        if rights.startswith('rw') and '[v' not in line:
            first, last = (int(end, 16) for end in span.split('-'))
            yield first, min(last - first, 8 << 20)
"""

ATTEMPTS = (
    Attempt(
        name="see the gate among the processes",
        category="proc",
        code="if str(host['gate']) in os.listdir('/proc'): print(prize)",
    ),
    Attempt(
        name="read the environment of a process",
        category="environ",
        code="""
for pid in victims():
    attempt(lambda: print(open(f'/proc/{pid}/environ').read()))
""",
        sign="secret environment of a process",
    ),
    Attempt(
        name="read the command line of a process",
        category="proc",
        code="""
for pid in victims():
    attempt(lambda: print(open(f'/proc/{pid}/cmdline').read()[-99:]))
""",
        sign="secret command line of a process",
    ),
    Attempt(
        name="read the memory of a process as a file",
        category="proc",
        code=_IOVEC
        + """
memory = open(f"/proc/{host['victim']}/mem", 'rb', buffering=0)
for first, size in pieces(host['victim']):
    memory.seek(first)
    tell(memory.read(size) or b'')
""",
        sign="secret memory of a process",
    ),
    Attempt(
        name="read the memory of a process by a call",
        category="process_vm_readv",
        code=_IOVEC
        + """
for first, size in pieces(host['victim']):
    room = ctypes.create_string_buffer(size)
    mine = struct.pack('PN', ctypes.addressof(room), size)
    theirs = struct.pack('PN', first, size)
    if call('process_vm_readv', host['victim'], mine, 1, theirs, 1, 0) > 0:
        tell(room.raw)
""",
        sign="secret memory of a process",
    ),
    Attempt(
        name="write into the memory of any process",
        category="process_vm_readv",
        code=_IOVEC
        + """
room = ctypes.create_string_buffer(1)
for pid in victims():
    first, _ = attempt(lambda: next(pieces(pid))) or (0, 0)
    one, other = struct.pack('PN', ctypes.addressof(room), 1), struct.pack('PN', first, 1)
    if call('process_vm_readv', pid, one, 1, other, 1, 0) == 1:
        if call('process_vm_writev', pid, one, 1, other, 1, 0) == 1:
            print(prize)
            break
""",
    ),
    Attempt(
        name="trace another process",
        category="ptrace",
        code="""
if call('ptrace', 16, host['victim'], 0, 0) == 0:
    os.waitpid(host['victim'], 0x40000000)
    if call('ptrace', 17, host['victim'], 0, 0) == 0:
        print(prize)
""",
    ),
    Attempt(
        name="trace the process that forks the workers",
        category="ptrace",
        code="""
def above(pid):
    status = open(f'/proc/{pid}/status').read()
    return int(status.partition('PPid:')[2].split()[0])
for pid in {above(os.getppid()), *others()} - {os.getppid(), 0}:
    if call('ptrace', 0x4206, pid, 0, 0) == 0:
        print(prize)
        break
""",
    ),
    Attempt(
        name="trace a child of its own, and so use what tracing offers against the kernel",
        category="ptrace",
        code="""
child = os.fork()
if child == 0:
    time.sleep(30)
if call('ptrace', 16, child, 0, 0) == 0:
    print(prize)
os.kill(child, 9)
""",
    ),
    Attempt(
        name="take a descriptor out of another process",
        category="descriptors",
        code="""
held = call('pidfd_getfd', os.pidfd_open(host['victim']), host['held'], 0)
if held >= 0:
    print(os.pread(held, 99, 0).decode())
""",
        sign="secret open file of a process",
    ),
    Attempt(
        name="open again what another process holds open",
        category="descriptors",
        code="""
for pid in victims():
    for number in attempt(os.listdir, f'/proc/{pid}/fd') or ():
        if number == str(host['held']):
            attempt(lambda: print(open(f'/proc/{pid}/fd/{number}').read()))
""",
        sign="secret open file of a process",
    ),
    Attempt(
        name="find a folder by the process that works in it",
        category="proc",
        code="""
for pid in victims():
    attempt(lambda: print(open(f'/proc/{pid}/cwd/note').read()))
""",
        sign="secret folder of a process",
    ),
    Attempt(
        name="ask the kernel whether two processes share their memory",
        category="kernel surface",
        code="if call('kcmp', os.getpid(), os.getpid(), 1, 0, 0) >= 0: print(prize)",
    ),
    Attempt(
        name="kill a process of the same user",
        category="signals",
        code="os.kill(host['victim'], signal.SIGKILL)",
        sign="victim ended",
    ),
    Attempt(
        name="kill it by a handle that outlives its number",
        category="signals",
        code="signal.pidfd_send_signal(os.pidfd_open(host['victim']), signal.SIGKILL)",
        sign="victim ended",
    ),
    Attempt(
        name="stop a process of the same user",
        category="signals",
        code="os.kill(host['victim'], signal.SIGSTOP)",
        sign="victim stopped",
    ),
    Attempt(
        name="kill whatever can be killed",
        category="signals",
        code="os.kill(-1, signal.SIGKILL)",
        sign="victim ended",
    ),
    Attempt(
        name="bound the resources of another process, so that the kernel ends it",
        category="signals",
        code="""
import resource
resource.prlimit(host['victim'], resource.RLIMIT_NOFILE, (0, 0))
print(prize)
""",
    ),
    Attempt(
        name="outlive the run by killing what watches it",
        category="daemons",
        code="""
watcher = os.getppid()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        with open(host['open'] + '/survivor', 'w') as file:
            file.write(str(os.getpid()))
        os.kill(watcher, signal.SIGKILL)
        for number in range(3):
            os.close(number)
        time.sleep(60)
    os._exit(0)
time.sleep(60)
""",
        sign="survivor",
    ),
)
