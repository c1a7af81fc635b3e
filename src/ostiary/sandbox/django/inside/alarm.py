"""Ends code whose time is up by an exception, so that what its session has is kept.

Code can catch it, and a call into C does not hear it: the host kills the process a moment later then.
"""

from __future__ import annotations

import asyncio
import ctypes
import signal
import threading
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")

_IN_MAIN_THREAD = "thread_handler"
"""The function of asgiref that runs synchronous code for a coroutine, here in the main thread."""


class TimeLimit(BaseException):
    """The time of this run is up."""


class Alarm:
    """Rings once in a run, in its main thread, or in the thread of the loop that it waits for."""

    def __init__(self) -> None:
        self.rang = False
        self._armed = False
        self._elsewhere: tuple[int, asyncio.AbstractEventLoop] | None = None

    def within(self, milliseconds: int, call: Callable[[], T]) -> T:
        """What `call` returns. Raises TimeLimit when it takes longer; 0 is for no bound."""
        self.rang, self._armed = False, True
        signal.signal(signal.SIGALRM, self._ring)
        signal.setitimer(signal.ITIMER_REAL, milliseconds / 1000)
        try:
            return call()
        finally:
            self._armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)

    async def over(self, work: Coroutine[Any, Any, T]) -> T:
        """Await `work`, in a loop of another thread, and let the alarm reach it there."""
        self._elsewhere = (threading.get_ident(), asyncio.get_running_loop())
        try:
            return await work
        finally:
            self._elsewhere = None

    def _ring(self, _number: int, frame: FrameType | None) -> None:
        if not self._armed:
            return
        self.rang = True
        elsewhere = self._elsewhere
        if elsewhere is None or _works_here(frame):
            raise TimeLimit("the time of this run is up")
        thread, loop = elsewhere
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(TimeLimit))
        loop.call_soon_threadsafe(lambda: None)  # it may be waiting, and hears nothing while it does


def _works_here(frame: FrameType | None) -> bool:
    """Whether a coroutine has lent this thread some synchronous work, which is what has to end."""
    while frame is not None:
        if frame.f_code.co_name == _IN_MAIN_THREAD:
            return True
        frame = frame.f_back
    return False
