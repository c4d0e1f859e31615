"""How a process behaves when its parent is stopped or killed."""

from __future__ import annotations

import os
import signal
import threading
from multiprocessing import connection, parent_process


def start() -> None:
    """Prepare a process: Ctrl-C is its parent's business, and it never outlives it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        # Killed outright, a parent cannot tell its processes, which would wait for work forever.
        connection.wait([parent.sentinel])
        os._exit(1)
