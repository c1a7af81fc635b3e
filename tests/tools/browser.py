"""A browser that tests drive: Chromium's headless shell, over a pair of pipes, with nothing to install.

The DevTools protocol is JSON with a zero byte after each message; the browser reads from descriptor
3 and writes to 4.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]
BOUND = 20.0
"""Seconds for one answer; a cold start on a busy machine takes some of them."""


class Browser:
    """One page of a browser. `events` are all that it reported, in order."""

    def __init__(self, process: subprocess.Popen[bytes], to: int, come: int) -> None:
        self._process = process
        self._to = to
        self._come = come
        self._rest = b""
        self._last = 0
        self._session = ""
        self.events: list[Json] = []

    def begin(self) -> None:
        """Open a page and listen to all that it says."""
        target = self.ask("Target.createTarget", {"url": "about:blank"})["targetId"]
        self._session = self.ask("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, parameters: Json | None = None) -> Json:
        """The answer to one command. Raises AssertionError for an error and for silence."""
        self._last += 1
        message: Json = {"id": self._last, "method": method, "params": parameters or {}}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        answer = self._until(lambda each: each.get("id") == self._last)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def show(
        self, page: Path, *, width: int, height: int = 900, scheme: str = "light", media: str = ""
    ) -> None:
        """Load a file in a window of this size and scheme, and wait until it is there."""
        self.events.clear()
        size: Json = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.ask("Emulation.setDeviceMetricsOverride", size)
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.ask("Emulation.setEmulatedMedia", {"media": media, "features": [feature]})
        self.ask("Page.navigate", {"url": page.as_uri()})
        if not any(each.get("method") == "Page.loadEventFired" for each in self.events):
            self._until(lambda each: each.get("method") == "Page.loadEventFired")

    def run(self, script: str) -> Any:
        """The value of an expression in the page. It runs beside the page's own policy."""
        answer = self.ask("Runtime.evaluate", {"expression": script, "returnByValue": True})
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def picture(self, file: Path) -> None:
        """Draw the whole page into a PNG file."""
        answer = self.ask("Page.captureScreenshot", {"captureBeyondViewport": True})
        file.write_bytes(base64.b64decode(answer["data"]))

    def complaints(self) -> list[str]:
        """What the console or the log says: errors, warnings, exceptions, and what a policy refused."""
        told = {"Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"}
        return [json.dumps(each["params"]) for each in self.events if each.get("method") in told]

    def requests(self) -> list[str]:
        """Every address that the page asked for."""
        return [
            each["params"]["request"]["url"]
            for each in self.events
            if each.get("method") == "Network.requestWillBeSent"
        ]

    def _until(self, wanted: Any) -> Json:
        deadline = time.monotonic() + BOUND
        while True:
            while b"\0" in self._rest:
                raw, _, self._rest = self._rest.partition(b"\0")
                message: Json = json.loads(raw)
                self.events.append(message)
                if wanted(message):
                    return message
            ready, _, _ = select.select([self._come], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, "the browser does not answer"
            chunk = os.read(self._come, 1 << 20)
            assert chunk, f"the browser ended with status {self._process.wait()}"
            self._rest += chunk


@contextlib.contextmanager
def browsing(command: list[str], environment: dict[str, str], folder: Path) -> Iterator[Browser]:
    """A started browser, whose profile is in `folder`; it is gone at the end."""
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    script = f'exec 3<&{theirs_in} 4>&{theirs_out}; exec "$@"'
    options = [
        "--remote-debugging-pipe", f"--user-data-dir={folder}", "--no-sandbox", "--disable-gpu",
        "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
    ]  # fmt: skip
    process = subprocess.Popen(
        ["bash", "-c", script, "bash", *command, *options],
        pass_fds=(theirs_in, theirs_out), env={**os.environ, **environment},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        browser = Browser(process, ours_out, ours_in)
        browser.begin()
        yield browser
    finally:
        process.kill()
        process.wait()
        os.close(ours_out)
        os.close(ours_in)
