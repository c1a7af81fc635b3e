"""At the kernel: namespaces and mounts, and calls that have been ways in before."""

from __future__ import annotations

from tests.escapes.attempt import Attempt

_OWN = """
def own(flags=0):
    uid, gid = os.getuid(), os.getgid()
    if call('unshare', 0x10000000 | flags):
        raise SystemExit('no namespace')
    for name, text in (('setgroups', 'deny'), ('uid_map', f'0 {uid} 1'), ('gid_map', f'0 {gid} 1')):
        open(f'/proc/self/{name}', 'w').write(text)
"""
_MACHINE = """
import mmap
def run_bytes(text):
    room = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    room.write(text)
    at = ctypes.addressof(ctypes.c_char.from_buffer(room))
    return ctypes.CFUNCTYPE(ctypes.c_long)(at)()
"""

ATTEMPTS = (
    Attempt(
        name="become root of a namespace of its own",
        category="namespaces",
        code=_OWN + "own()\nif os.getuid() == 0: print(prize)",
    ),
    Attempt(
        name="fork into new namespaces",
        category="namespaces",
        code="""
told = call('clone', 0x10000000 | 0x20000000 | 17, 0, 0, 0, 0)
if told == 0:
    os._exit(0)
if told > 0:
    print(prize)
""",
    ),
    Attempt(
        name="fork into new namespaces by the call that hides its flags from filters",
        category="namespaces",
        code="""
told = call('clone3', struct.pack('8Q', 0x10000000, 0, 0, 0, 17, 0, 0, 0), 64)
if told == 0:
    os._exit(0)
if told > 0:
    print(prize)
""",
    ),
    Attempt(
        name="enter a namespace by its file",
        category="namespaces",
        code=_OWN
        + """
own(0x04000000)
if call('setns', os.open('/proc/self/ns/uts', os.O_RDONLY), 0) == 0: print(prize)
""",
    ),
    Attempt(
        name="have a clock of its own",
        category="time",
        code=_OWN
        + """
own(0x80)
open('/proc/self/timens_offsets', 'w').write('1 3600 0')
print(prize)
""",
    ),
    Attempt(
        name="give the machine another name, in a namespace of its own",
        category="namespaces",
        code=_OWN + "own(0x04000000)\nif call('sethostname', b'mine', 4) == 0: print(prize)",
    ),
    Attempt(
        name="mount a file system",
        category="mount",
        code=_OWN + "own(0x20000)\nif call('mount', b'x', b'/tmp', b'tmpfs', 0, b'') == 0: print(prize)",
    ),
    Attempt(
        name="mount what was covered at another place",
        category="mount",
        code=_OWN
        + """
own(0x20000)
os.mkdir('bare')
if call('mount', b'/', os.path.abspath('bare').encode(), None, 4096 | 16384, None) == 0:
    print(open('bare' + host['file']).read())
""",
        sign="secret file",
    ),
    Attempt(
        name="mount by the calls that replace mounting",
        category="mount",
        code=_OWN + "own(0x20000)\nif call('fsopen', b'tmpfs', 0) >= 0: print(prize)",
    ),
    Attempt(
        name="copy a tree of mounts",
        category="mount",
        code=_OWN + "own(0x20000)\nif call('open_tree', -100, b'/', 1 | 0x8000) >= 0: print(prize)",
    ),
    Attempt(
        name="change the root folder",
        category="chroot",
        code=_OWN + "own()\nif call('chroot', b'/proc') == 0: print(prize)",
    ),
    Attempt(
        name="exchange the root file system",
        category="pivot_root",
        code=_OWN
        + """
own(0x20000)
call('mount', b'none', b'/', None, 16384 | (1 << 18), None)
os.mkdir('root')
call('mount', b'x', b'root', b'tmpfs', 0, b'')
os.mkdir('root/old')
if call('pivot_root', b'root', b'root/old') == 0: print(prize)
""",
    ),
    Attempt(
        name="set up a ring of requests that filters do not see",
        category="io_uring",
        code="if call('io_uring_setup', 8, bytes(120)) >= 0: print(prize)",
    ),
    Attempt(
        name="handle the page faults of the kernel",
        category="userfaultfd",
        code="if call('userfaultfd', 1) >= 0: print(prize)",
    ),
    Attempt(
        name="count events of the processor",
        category="perf_event_open",
        code="""
wanted = struct.pack('IIQQQQQ72x', 1, 112, 0, 0, 0, 0, 0x60)
if call('perf_event_open', wanted, 0, -1, -1, 0) >= 0: print(prize)
""",
    ),
    Attempt(
        name="read a key of the same user out of the kernel",
        category="keyctl",
        code="""
key = call('keyctl', 10, -4, b'user', b'ostiary-victim', 0)
room = ctypes.create_string_buffer(99)
if key > 0 and call('keyctl', 11, key, room, 99) > 0:
    print(room.value.decode())
""",
        sign="secret key of a user",
    ),
    Attempt(
        name="store a key in the kernel, where it outlives the run",
        category="keyctl",
        code="if call('add_key', b'user', b'left', b'x', 1, -4) > 0: print(prize)",
    ),
    Attempt(
        name="switch off the shuffling of addresses for what it starts",
        category="personality",
        code="""
if call('personality', 0x0040000) >= 0 and call('personality', 0x0040000) & 0x0040000: print(prize)
""",
    ),
    Attempt(
        name="write a segment descriptor",
        category="modify_ldt",
        code="if call('modify_ldt', 1, struct.pack('IIII', 0, 0, 0xFFFFF, 0x51), 16) == 0: print(prize)",
    ),
    Attempt(
        name="make calls by the numbers of the 32-bit kernel",
        category="foreign numbers",
        code=_MACHINE
        + """
# mov eax, 20; int 0x80; ret: getpid
if run_bytes(bytes.fromhex('b814000000cd80c3')) == os.getpid(): print(prize)
""",
    ),
    Attempt(
        name="make calls by their own machine code",
        category="foreign numbers",
        code=_MACHINE
        + """
# mov eax, 425 (io_uring_setup); mov edi, 8; mov rsi, room; syscall; ret
room = ctypes.create_string_buffer(120)
at = struct.pack('Q', ctypes.addressof(room))
text = bytes.fromhex('b8a9010000bf0800000048be') + at + bytes.fromhex('0f05c3')
if run_bytes(text) >= 0: print(prize)
""",
    ),
    Attempt(
        name="watch a file system for changes by others",
        category="kernel surface",
        code="if call('fanotify_init', 0x200, 0) >= 0: print(prize)",
    ),
    Attempt(
        name="make a filter that answers for other processes",
        category="kernel surface",
        code="""
call('prctl', 38, 1, 0, 0, 0)
allow = ctypes.create_string_buffer(struct.pack('HBBI', 6, 0, 0, 0x7FFF0000), 8)
if call('seccomp', 1, 8, struct.pack('H6xP', 1, ctypes.addressof(allow))) >= 0: print(prize)
""",
    ),
    Attempt(
        name="take a handle of a file that needs no path",
        category="files",
        code="""
handle = ctypes.create_string_buffer(struct.pack('Ii', 128, 0), 136)
room = ctypes.create_string_buffer(4)
if call('name_to_handle_at', -100, b'.', handle, room, 0) == 0: print(prize)
""",
    ),
    Attempt(
        name="move pages of memory between nodes",
        category="kernel surface",
        code="if call('move_pages', 0, 0, None, None, None, 0) == 0: print(prize)",
    ),
)
