"""At whoever reads the reply: floods, files that are none, ends that never come."""

from __future__ import annotations

from ostiary.sandbox.limits import MIB, Limits
from ostiary.sandbox.record import Status
from tests.escapes.attempt import USUAL, Attempt, Contained

BOUNDED = "what is kept of a run and how long it lasts is bounded outside of it"
LINKS = "only regular files of the output folder itself are taken, and no link is followed"
_SHORT = Limits(wall_ms=700, memory=96 * MIB)
_FLOOD = Limits(wall_ms=15_000, kept_bytes=2 * MIB)
_ROOMY = Limits(wall_ms=15_000, memory=512 * MIB)


def _out(  # one line for each
    category: str,
    name: str,
    code: str,
    *ends: Status,
    limits: Limits = USUAL,
    sign: str = "flood",
    reason: str = BOUNDED,
) -> Contained:
    attempt = Attempt(name=name, category=category, code=code, sign=sign, limits=limits, ends=ends)
    return Contained(attempt=attempt, reason=reason)


CONTAINED = (
    _out("output", "flood stdout", "while True: os.write(1, bytes(65536))", "killed", limits=_FLOOD),
    _out("output", "flood stderr", "while True: os.write(2, bytes(65536))", "killed", limits=_FLOOD),
    _out("output", "end with a value of a hundred megabytes", "'x' * (100 << 20)", "success", limits=_ROOMY),
    _out(
        "output",
        "raise a message of fifty megabytes",
        "raise ValueError('x' * (50 << 20))",
        "error",
        limits=_ROOMY,
    ),
    _out(
        "output", "end with a list of a million numbers", "list(range(1_000_000))", "success", limits=_ROOMY
    ),
    _out(
        "output",
        "end with a value nested beyond all reading",
        "deep = []\nfor _ in range(100_000): deep = [deep]\ndeep",
        "success",
    ),
    _out(
        "output",
        "end with a value that never says what it is",
        "class Odd:\n    def __repr__(self):\n        while True: pass\nOdd()",
        "timeout",
        limits=_SHORT,
    ),
    _out(
        "output",
        "end with a value that leaves when it is looked at",
        "class Odd:\n    def __repr__(self): raise KeyboardInterrupt\nOdd()",
        "success",
    ),
    _out("output", "print what is no text", "os.write(1, b'\\xff\\xfe\\0'); '\\ud800'", "success"),
    _out(
        "artifacts",
        "leave a symbolic link as an artifact",
        "os.symlink(host['file'], 'out/link')",
        "success",
        sign="secret file",
        reason=LINKS,
    ),
    _out(
        "artifacts",
        "put a link in the place of the output folder",
        "os.rmdir('out')\nos.symlink(host['folder'], 'out')",
        "success",
        sign="secret file",
        reason=LINKS,
    ),
    _out(
        "artifacts",
        "leave a pipe that nobody writes to as an artifact",
        "os.mkfifo('out/pipe')",
        "success",
        reason=LINKS,
    ),
    _out(
        "artifacts",
        "leave a device as an artifact",
        "os.mknod('out/device', 0o600 | 0o060000, os.makedev(254, 0))\nprint(prize)",
        "error",
        sign="prize",
        reason="only root can make one",
    ),
    _out(
        "artifacts",
        "leave ten thousand artifacts",
        "for n in range(10_000): open(f'out/{n}', 'w').close()",
        "success",
        sign="forged",
        limits=_ROOMY,
    ),
    _out(
        "artifacts",
        "leave an artifact of a terabyte with nothing in it",
        "os.truncate(os.open('out/large', os.O_CREAT | os.O_RDWR), 1 << 40)\nprint(prize)",
        "error",
        sign="prize",
        reason="the limit on a file holds without walls, too",
    ),
    _out(
        "artifacts",
        "leave an artifact in folders without end",
        "os.chdir('out')\nfor _ in range(300):\n    os.mkdir('d')\n    os.chdir('d')\n"
        "open('file', 'w').write('x')",
        "success",
        sign="forged",
    ),
    _out(
        "artifacts",
        "leave an artifact whose name has two lines",
        "open('out/one\\ntwo', 'w').write('x')\nopen(b'out/\\xff', 'w').write('x')",
        "success",
        sign="forged",
    ),
    _out(
        "disk",
        "use up the number of files",
        "for n in range(66_000): os.symlink('x', str(n))\nprint(prize)",
        "error",
        sign="prize",
        limits=Limits(wall_ms=10_000, memory=400 * MIB),
        reason="without walls it is not tried: the files would be those of the machine that tests run on",
    ),
    _out(
        "signals",
        "ignore every signal and go on for ever",
        "for one in signal.valid_signals(): attempt(signal.signal, one, signal.SIG_IGN)\nwhile True: pass",
        "timeout",
        limits=_SHORT,
        reason="a run is ended by the one signal that cannot be ignored",
    ),
    _out(
        "signals",
        "stop itself",
        "os.kill(os.getpid(), signal.SIGSTOP)",
        "timeout",
        limits=_SHORT,
        reason="as above: what is stopped can be killed",
    ),
    _out(
        "crashes",
        "crash in machine code",
        "ctypes.string_at(0)",
        "error",
        reason="a crash ends the worker, and the answer says so",
    ),
    _out(
        "crashes",
        "go deeper than the stack is",
        "sys.setrecursionlimit(10 ** 9)\n"
        "class Deep:\n    def __getattr__(self, name): return getattr(self, name)\n"
        "Deep().x",
        "error",
        "oom",
        "timeout",
        reason="a crash ends the worker, and the answer says so",
    ),
    _out(
        "crashes",
        "trace the runner itself and leave from there",
        "sys.settrace(lambda *_: os._exit(3))\nsys._getframe(3).f_trace = lambda *_: os._exit(3)",
        reason="a worker serves one run, and how it ends is seen from outside",
    ),
)
