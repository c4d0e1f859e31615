"""What every mixer has in common: it plans a mix of a session, then gives it block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from drummix.audio import weighted_sums
from drummix.gain_staging import GainStaging, StagedStem
from drummix.mixers.streaming import ahead
from drummix.notices import Notice
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
        notices: What a person should know about it.
        blocks: Makes the mix: stereo blocks (2, samples) at the session's rate that join to
            exactly `Session.n_samples`. May be called more than once.
    """

    settings: Mapping[str, Any]
    notices: tuple[Notice, ...]
    blocks: Callable[[], Iterator[FloatArray]]


class Mixer(Protocol):
    """A system that turns a session into a stereo mix."""

    @property
    def name(self) -> str:
        """Name of the system."""

    def plan(self, session: Session, *, progress: Progress | None = None) -> MixPlan:
        """Decide how to mix a session; reads its samples only where their level is needed."""


def measured_blocks(
    session: Session, progress: Progress | None = None, *, threads: int = 1
) -> Iterator[FloatArray]:
    """The session's blocks (stems, samples), for what has to be known before it is mixed."""
    n_done = 0
    blocks = session.blocks(BLOCK_SAMPLES, threads=threads)
    for block in ahead(blocks, threads=threads):
        yield block
        n_done += block.shape[1]
        if progress is not None:
            progress("measuring", n_done, session.n_samples)


def stage_session(
    session: Session, progress: Progress | None = None, *, threads: int = 1
) -> tuple[StagedStem, ...]:
    """Level and gain of every stem of a session; reads it once."""
    staging = GainStaging([stem.role for stem in session.stems], session.rate_hz)
    for block in measured_blocks(session, progress, threads=threads):
        staging.add(block)
    return staging.stems()


def mixed_blocks(session: Session, matrix: FloatArray, *, threads: int = 1) -> Iterator[FloatArray]:
    """The session through a matrix of gains: blocks (rows of `matrix`, samples)."""
    for block in session.blocks(BLOCK_SAMPLES, threads=threads):
        yield weighted_sums(matrix, block)
