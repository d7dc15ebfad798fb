"""A lock of this process's own."""

from __future__ import annotations

import os
import threading


class OwnLock:
    """A reentrant lock that a forked child has to itself.

    Whichever thread held it when the process forked is not in the child to release it.
    """

    def __init__(self) -> None:
        self._by_process: dict[int, threading.RLock] = {}

    def __enter__(self) -> None:
        self._by_process.setdefault(os.getpid(), threading.RLock()).acquire()

    def __exit__(self, *exc: object) -> None:
        self._by_process[os.getpid()].release()
