"""At what only root may do, at the gate under another user, and at runs that left nothing to find."""

from __future__ import annotations

from tests.escapes.attempt import Attempt, Contained

USER = "the code runs as a user without rights, with walls or without"
ALONE = "a worker serves one run and ends; the process that forked it is never told of one"
_PLANTED = "\nprint('planted')"


def _root(category: str, name: str, code: str, reason: str = USER) -> Contained:
    return Contained(attempt=Attempt(name=name, category=category, code=code), reason=reason)


def _write(name: str, path: str, text: str) -> Contained:
    return _root("sysctl", name, f"open({path!r}, 'w').write({text!r})\nprint(prize)")


def _call(category: str, name: str, arguments: str, reason: str = USER) -> Contained:
    return _root(category, name, f"if call({arguments}) >= 0: print(prize)", reason)


def _next(name: str, planted: str, code: str, sign: str = "secret planted") -> Contained:
    attempt = Attempt(name=name, category="other runs", planted=planted + _PLANTED, code=code, sign=sign)
    return Contained(attempt=attempt, reason=ALONE)


CONTAINED = (
    _write("say which program of the host is started after a crash", "/proc/sys/kernel/core_pattern", "core"),
    _write("rename the host", "/proc/sys/kernel/hostname", "renamed"),
    _write("make the host forget its caches", "/proc/sys/vm/drop_caches", "1"),
    _write("make the host restart", "/proc/sysrq-trigger", "h"),
    _root("proc", "read the memory of the kernel", "open('/proc/kcore', 'rb').read(64)\nprint(prize)"),
    _root("proc", "read what the scheduler knows", "open('/proc/sched_debug').read(64)\nprint(prize)"),
    _root("proc", "read the messages of the kernel", "open('/proc/kmsg', 'rb').read(1)\nprint(prize)"),
    _root(
        "environ",
        "read the environment of the gate",
        "print(prize if open(f\"/proc/{host['gate']}/environ\").read() else '')",
        "the gate is root and the code is not; `test_gate` shows it where they are one user",
    ),
    _root(
        "environ", "read the environment of the first process", "open('/proc/1/environ').read()\nprint(prize)"
    ),
    _root("signals", "signal the gate", "os.kill(host['gate'], 0)\nprint(prize)", "they are different users"),
    _call("bpf", "load a program into the kernel", "'bpf', 5, struct.pack('II112x', 1, 0), 120"),
    _call("kernel surface", "load another kernel", "'kexec_load', 0, 0, None, 0"),
    _call("kernel surface", "load a module", "'init_module', bytes(64), 64, b''"),
    _call("kernel surface", "take a module away", "'delete_module', b'none', 0o4000"),
    _call("kernel surface", "decide how the machine restarts", "'reboot', 0xFEE1DEAD, 672274793, 0, None"),
    _call("kernel surface", "swap to a file", "'swapon', b'/tmp/none', 0"),
    _call("kernel surface", "change quotas", "'quotactl', 0x800002 << 8 & 0xFFFFFFFF, None, 0, None"),
    _call("kernel surface", "have every process recorded", "'acct', None"),
    _call(
        "kernel surface",
        "read the log of the kernel by a call",
        "'syslog', 3, ctypes.create_string_buffer(64), 64",
    ),
    _call("kernel surface", "hang up the terminal", "'vhangup',"),
    _call("kernel surface", "have the ports of the processor", "'iopl', 3"),
    _call("time", "set the clock", "'settimeofday', struct.pack('qq', int(time.time()), 0), None"),
    _call("time", "bend the clock", "'clock_adjtime', 0, struct.pack('I204x', 2)"),
    _call("escalation", "become root", "'setuid', 0"),
    _call("files", "open a file by its handle", "'open_by_handle_at', 0, struct.pack('Ii8x', 8, 1), 0"),
    _root(
        "kernel surface",
        "run before everybody else",
        "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))\nprint(prize)",
    ),
    _root(
        "kernel surface",
        "have the kernel encrypt, in code that few use",
        "socket.socket(38, socket.SOCK_SEQPACKET)\nprint(prize)",
        "not every kernel has it",
    ),
    _call(
        "foreign numbers", "make calls by the numbers of x32", "0x40000000 + 39", "hardly a kernel has them"
    ),
    _root(
        "signals",
        "bound its watcher, so that the kernel ends it",
        "import resource\nfor kind in (resource.RLIMIT_CPU, resource.RLIMIT_NOFILE):\n"
        "    attempt(resource.prlimit, os.getppid(), kind, (0, 0))",
        "who watches needs nothing that could be taken, and its end is the end of the run",
    ),
    _root(
        "signals",
        "kill and stop its watcher",
        "os.kill(os.getppid(), signal.SIGSTOP)\nos.kill(os.getppid(), signal.SIGKILL)",
        "without walls it harms only its own run; behind them it is ignored",
    ),
    _next(
        "find an earlier run in its own memory",
        "kept = planted * 1000",
        r"""
import re
with open('/proc/self/mem', 'rb', buffering=0) as memory:
    for line in open('/proc/self/maps'):
        span, rights, *_ = line.split()
        if rights.startswith('r') and '[v' not in line:
            first, last = (int(end, 16) for end in span.split('-'))
            memory.seek(first)
            data = attempt(memory.read, min(last - first, 16 << 20)) or b''
            for word in set(re.findall(rb'[0-9a-f]{32}', data)):
                print(word.decode())
""",
    ),
    _next(
        "find the objects of an earlier run",
        "class Kept:\n    text = planted\nkept = [Kept() for _ in range(1000)]",
        "import gc\nprint([one for one in gc.get_objects() if 'Kept' in str(type(one))])\n"
        "import __main__\nprint(getattr(__main__, 'planted', ''))",
    ),
    _next(
        "change the library for the next run",
        "import json, builtins\njson.dumps = builtins.repr = sys.stdout.write = lambda *_: planted\n"
        "sys.modules['csv'] = planted\nsys.stdout = sys.__stdout__\ndel sys.stdout.write",
        "import json, csv\nprint(json.dumps([]), csv, repr(''))",
    ),
    _next(
        "write into the output of the next run",
        "import threading\ndef flood():\n    while True: os.write(2, planted.encode())\n"
        "threading.Thread(target=flood, daemon=True).start()",
        "time.sleep(0.1)",
    ),
    _next(
        "be asked once more after the answer, at exit",
        "import atexit\natexit.register(os.write, 1, planted.encode())\n"
        "class Last:\n    def __del__(self): os.write(1, planted.encode())\nlast = Last()",
        "pass",
    ),
    _next(
        "leave names behind in a session of the same name",
        "kept = planted",
        "print(vars().get('kept'), vars().get('planted'))",
    ),
)
