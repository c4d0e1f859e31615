"""How a process behaves when its parent is stopped or killed."""

from __future__ import annotations

import os
import signal
import threading
from multiprocessing import connection, parent_process

from threadpoolctl import threadpool_limits

from drummix.pool import cores
from drummix.pool.context import THREAD_VARIABLES


def start() -> None:
    """Prepare a process: Ctrl-C is its parent's business, and it never outlives it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def limit_threads(threads: int) -> None:
    """Let this process use so many threads: its share of the cores."""
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    threadpool_limits(threads)
    cores.limit(threads)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        # Killed outright, a parent cannot tell its processes, which would wait for work forever.
        connection.wait([parent.sentinel])
        os._exit(1)
