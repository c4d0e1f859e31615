"""What every mixer has in common: it plans a mix of a session, then gives it block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from drummix.session import Session

FloatArray = NDArray[np.float32]

Progress = Callable[[str, int, int], None]
"""Called with what is being done, samples done, and samples in all."""

BLOCK_SAMPLES = 1 << 17
"""Samples read at a time where nothing asks for another size: 3 s, 1 MB a pair of stems."""


@dataclass(frozen=True, eq=False)
class MixPlan:
    """A mix decided on but not made yet.

    Args:
        settings: What the mixer will do, plain data.
        notices: What a person should know about it, a line each.
        blocks: Makes the mix: stereo blocks (2, samples) at the session's rate that join to
            exactly `Session.n_samples`. May be called more than once.
    """

    settings: Mapping[str, Any]
    notices: tuple[str, ...]
    blocks: Callable[[], Iterator[FloatArray]]


class Mixer(Protocol):
    """A system that turns a session into a stereo mix."""

    @property
    def name(self) -> str:
        """Name of the system."""

    def plan(self, session: Session, *, progress: Progress | None = None) -> MixPlan:
        """Decide how to mix a session; reads its samples only where their level is needed."""


def mixed_blocks(session: Session, matrix: FloatArray) -> Iterator[FloatArray]:
    """The session through a matrix of gains: blocks (rows of `matrix`, samples)."""
    for block in session.blocks(BLOCK_SAMPLES):
        yield matrix @ block
