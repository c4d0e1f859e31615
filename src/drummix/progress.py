"""How far long work has come, told while it runs."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """What is called, now and then, with how far the work has come."""

    def __call__(self, step: str, n_done: int, n_all: int, /) -> None:
        """Hear how far one step of the work has come.

        Args:
            step: What is being done, a word or two; an item's name may follow a colon.
            n_done: How much of it is done, in samples, items or steps.
            n_all: All of it, in the same unit.
        """


def no_progress(step: str, n_done: int, n_all: int, /) -> None:
    """Hear it and do nothing."""
