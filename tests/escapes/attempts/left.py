"""At other runs: what one leaves behind for the next one in its place, of another owner."""

from __future__ import annotations

from tests.escapes.attempt import Attempt

_PLANTED = "\nprint('planted')"

ATTEMPTS = (
    Attempt(
        name="find a file that an earlier run left among temporary files",
        category="leftovers",
        planted="open(f'/tmp/{left}', 'w').write(planted)" + _PLANTED,
        code="print(open('/tmp/' + host['left']).read())",
        sign="secret planted",
    ),
    Attempt(
        name="find a file that an earlier run left in shared memory",
        category="leftovers",
        planted="open(f'/dev/shm/{left}', 'w').write(planted)" + _PLANTED,
        code="print(open('/dev/shm/' + host['left']).read())",
        sign="secret planted",
    ),
    Attempt(
        name="find a memory segment that an earlier run left",
        category="leftovers",
        planted="""
libc.shmat.restype = ctypes.c_void_p
segment = call('shmget', int(left[-7:], 16), 4096, 0o1600)
at = libc.shmat(segment, None, 0)
ctypes.memmove(at, planted.encode(), 32)
"""
        + _PLANTED,
        code="""
libc.shmat.restype = ctypes.c_void_p
segment = call('shmget', int(host['left'][-7:], 16), 4096, 0)
if segment >= 0:
    print(ctypes.string_at(libc.shmat(segment, None, 0), 32).decode())
    libc.shmctl(segment, 0, None)
""",
        sign="secret planted",
    ),
    Attempt(
        name="receive a message that an earlier run sent",
        category="leftovers",
        planted="""
queue = call('msgget', int(left[-7:], 16), 0o1600)
call('msgsnd', queue, struct.pack('q32s', 1, planted.encode()), 32, 0)
"""
        + _PLANTED,
        code="""
queue = call('msgget', int(host['left'][-7:], 16), 0)
room = ctypes.create_string_buffer(40)
if queue >= 0 and call('msgrcv', queue, room, 32, 0, 0) == 32:
    print(room.raw[8:].decode())
    libc.msgctl(queue, 0, None)
""",
        sign="secret planted",
    ),
    Attempt(
        name="see how an earlier run set a semaphore",
        category="leftovers",
        planted="call('semctl', call('semget', int(left[-7:], 16), 1, 0o1600), 0, 16, 4242)" + _PLANTED,
        code="""
found = call('semget', int(host['left'][-7:], 16), 1, 0)
if found >= 0 and call('semctl', found, 0, 12, 0) == 4242:
    print(prize)
    call('semctl', found, 0, 0, 0)
""",
    ),
    Attempt(
        name="receive from a queue that an earlier run opened by name",
        category="leftovers",
        planted="call('mq_open', left.encode(), 0o100 | 2, 0o600, 0)" + _PLANTED,
        code="""
if call('mq_open', host['left'].encode(), 2, 0, 0) >= 0:
    print(prize)
    libc.mq_unlink(b'/' + host['left'].encode())
""",
    ),
    Attempt(
        name="read a key that an earlier run stored",
        category="leftovers",
        planted="call('add_key', b'user', left.encode(), planted.encode(), 32, -4)" + _PLANTED,
        code="""
key = call('keyctl', 10, -4, b'user', host['left'].encode(), 0)
room = ctypes.create_string_buffer(99)
if key > 0 and call('keyctl', 11, key, room, 99) > 0:
    print(room.value.decode())
""",
        sign="secret planted",
    ),
)
