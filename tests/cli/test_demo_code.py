"""The hostile half of `ostiary demo`: what counts as getting through."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

from ostiary.cli.demo_code import Prey, attempts


def test_a_refusal_that_quotes_the_code_is_no_success(tmp_path: Path) -> None:
    victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            for attempt in attempts(Prey("secret", tmp_path / "file", listener, victim)):
                quoted = (
                    f"Python execution failed: Traceback (most recent call last):\n{attempt.code}\nError: no"
                )
                late = "Python execution interrupted: Execution timeout after 4000ms"
                assert not attempt.succeeded(late if attempt.title == "never end" else quoted), attempt.title
    finally:
        victim.kill()
        victim.wait()


def test_getting_through_is_seen(tmp_path: Path) -> None:
    victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            tried = {one.title: one for one in attempts(Prey("secret", tmp_path / "file", listener, victim))}
            with socket.create_connection(listener.getsockname()):
                assert tried["open a connection"].succeeded("")
            assert tried["read a file of the host"].succeeded("secret")
            assert tried["start a thousand processes"].succeeded("a thousand")
            assert tried["fill the memory"].succeeded(str(64 << 30))
            assert tried["never end"].succeeded("ended")
            victim.kill()
            victim.wait()
            assert tried["kill a process of the host"].succeeded("")
    finally:
        victim.kill()
        victim.wait()
