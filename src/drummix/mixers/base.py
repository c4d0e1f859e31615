"""What every mixer has in common: it plans a mix of a session, then gives it block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from drummix.audio import sample_fault, weighted_sums
from drummix.errors import MixError
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
        system: Name of the system that will make it.
        session: What will be mixed.
        settings: What the mixer will do, plain data.
        notices: What a person should know about it.
        make_blocks: Makes the mix: stereo blocks (2, samples) at the session's rate that join to
            exactly `Session.n_samples`. May be called more than once.
    """

    system: str
    session: Session
    settings: Mapping[str, Any]
    notices: tuple[Notice, ...]
    make_blocks: Callable[[], Iterator[FloatArray]]

    def blocks(self) -> Iterator[FloatArray]:
        """The mix, block by block, none of them empty; may be called more than once.

        Raises:
            MixError: If a sample is not a number, or far beyond any level.
        """
        n_done = 0
        for block in self.make_blocks():
            if block.shape[1] == 0:
                continue
            if (fault := sample_fault(block)) is not None:
                at_s = (n_done + fault.at) / self.session.rate_hz
                raise MixError(
                    f"the mix of {self.session.name} by {self.system} holds {fault.what} at "
                    f"{at_s:.3f} s: its model or style is damaged, or a track is far beyond full "
                    "scale there (drummix inspect); take another system, or repair the track"
                )
            yield block
            n_done += block.shape[1]
        assert n_done == self.session.n_samples, "a mixer gave a mix of another length"


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
