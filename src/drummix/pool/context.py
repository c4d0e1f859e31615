"""How every process of drummix is started: one way, whatever it is for.

Never as a fork of the process that asks for it: a fork copies locks that threads of its parent may
hold. On Linux a server without threads is started once; it loads the modules of drummix that are
loaded here, and each process is a fork of it. Elsewhere a process is a new interpreter. These are
the ways that Python itself takes from 3.14 on.

A new process does not run the program's main module again, so a script needs no
``if __name__ == "__main__"``. Only where it is handed something that the main module defines, it
has to, and does.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any

if sys.platform in ("win32", "darwin"):
    from multiprocessing.context import SpawnContext as _Context
    from multiprocessing.context import SpawnProcess as _Process
else:
    from multiprocessing.context import ForkServerContext as _Context
    from multiprocessing.context import ForkServerProcess as _Process

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Read by numeric libraries when they are loaded."""

_NOT_PRELOADED = ("drummix.cli", "drummix.__main__")


class Process(_Process):
    """A process of `context`."""

    @staticmethod
    def _Popen(process_obj: BaseProcess) -> Any:  # noqa: N802
        # The server, where there is one, is started with the first process.
        with _interrupts_held(), _one_thread():
            _preload_what_is_loaded()
            try:
                with _main_module_hidden():
                    return _Process._Popen(process_obj)
            except pickle.PicklingError:
                return _Process._Popen(process_obj)


class Context(_Context):
    """What `multiprocessing` calls a context: starts processes, and makes what they share."""

    Process = Process


context = Context()
"""The one context, also for the loaders of torch."""


def _preload_what_is_loaded() -> None:
    """Let the server load what is loaded here, so that its forks share it and start at once."""
    context.set_forkserver_preload(
        sorted(
            name
            for name, module in sys.modules.items()
            if name.partition(".")[0] == "drummix"
            and module is not None
            and not name.startswith(_NOT_PRELOADED)
        )
    )


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Start processes that never see Ctrl-C, which is this process's business."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Load numeric libraries without threads, which a fork of the server would lose."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _main_module_hidden() -> Iterator[None]:
    """Start a process that does not look for the main module; pickling what is of it fails."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
