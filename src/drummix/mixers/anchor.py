"""The hidden anchor of a listening test: the overheads alone, low-passed at 3.5 kHz.

Source: ITU-R BS.1534-3 (the mask of the low-pass anchor); Martinez Ramirez, Stoller and Moffat,
JAES 69(3), 2021, whose published anchor is gentler than the mask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from drummix.errors import Parameter, SessionError
from drummix.mixers.base import FloatArray, MixPlan, Progress, mixed_blocks
from drummix.notices import Code, Notice
from drummix.roles import Role
from drummix.session import Session

BlockFilter = Callable[[Iterator[FloatArray], int], Iterator[FloatArray]]

CUTOFF_HZ = 3500.0
_STOP_HZ = 4000.0
_STOP_DB = 60.0
"""The mask asks for 25 dB at 4 kHz and 50 dB at 4.5 kHz; this also keeps the ripple under 0.01."""


class AnchorMixer:
    """The two overheads, hard left and right, through a low-pass.

    Args:
        name: ``anchor`` for the low-pass of BS.1534, ``anchor-paper`` for the published one.
    """

    def __init__(self, name: str = "anchor") -> None:
        self.name = name
        self._low_pass, self._description = LOW_PASSES[name]

    def plan(self, session: Session, *, progress: Progress | None = None) -> MixPlan:
        """Find the overheads.

        Raises:
            SessionError: If the session has none.
        """
        matrix = _overhead_matrix(session)
        used = [session.stems[column].source for column in np.flatnonzero(matrix.any(axis=0))]
        return MixPlan(
            system=self.name,
            session=session,
            settings={"low_pass": self._description, "sources": used},
            notices=(Notice.of(Code.TEST_SIGNAL, self.name),),
            make_blocks=lambda: self._low_pass(mixed_blocks(session, matrix), session.rate_hz),
        )


def _overhead_matrix(session: Session) -> FloatArray:
    sides = {
        Role.OVERHEAD_LEFT: (1.0, 0.0),
        Role.OVERHEAD_RIGHT: (0.0, 1.0),
        Role.OVERHEAD_MONO: (1.0, 1.0),
    }
    gains = [sides.get(stem.role, (0.0, 0.0)) for stem in session.stems]
    matrix = np.array(gains, dtype=np.float32).T
    if not matrix.any():
        found = ", ".join(stem.role for stem in session.stems)
        raise SessionError(
            f"{session.name} has no overheads (found: {found}), and the anchor is nothing else; "
            "name them: ",
            Parameter("roles", {Role.OVERHEAD_LEFT.value: "FILE"}),
        )
    return matrix


def mask_kernel(rate_hz: int) -> NDArray[np.float64]:
    """Linear-phase low-pass within the mask of BS.1534, an odd number of taps.

    Args:
        rate_hz: Sample rate in Hz, at least 8 kHz as that of every session.
    """
    centre_hz = (CUTOFF_HZ + _STOP_HZ) / 2
    n_taps, beta = signal.kaiserord(_STOP_DB, (_STOP_HZ - CUTOFF_HZ) / (rate_hz / 2))
    return signal.firwin(n_taps | 1, centre_hz, window=("kaiser", beta), fs=rate_hz)


def _mask_low_pass(blocks: Iterator[FloatArray], rate_hz: int) -> Iterator[FloatArray]:
    """Filter without delay: the output starts with the input and is as long."""
    kernel = mask_kernel(rate_hz)
    delay = kernel.size // 2
    memory = np.zeros((2, 2 * delay))
    n_skipped = 0
    for block in blocks:
        joined = np.concatenate([memory, block], axis=1)
        filtered = signal.oaconvolve(joined, kernel[np.newaxis], mode="valid", axes=1)
        memory = joined[:, joined.shape[1] - 2 * delay :]
        n_skip = min(delay - n_skipped, filtered.shape[1])
        n_skipped += n_skip
        yield filtered[:, n_skip:].astype(np.float32)
    tail = np.concatenate([memory, np.zeros((2, delay))], axis=1)
    filtered = signal.oaconvolve(tail, kernel[np.newaxis], mode="valid", axes=1)
    yield filtered[:, delay - n_skipped :].astype(np.float32)


def _paper_low_pass(blocks: Iterator[FloatArray], rate_hz: int) -> Iterator[FloatArray]:
    """Two first-order low-passes in a row: 6 dB down at 3.5 kHz, 12 dB an octave above."""
    once = signal.butter(1, CUTOFF_HZ, fs=rate_hz, output="sos")
    sections = np.concatenate([once, once])
    state = np.zeros((sections.shape[0], 2, 2))
    for block in blocks:
        filtered, state = signal.sosfilt(sections, block, axis=1, zi=state)
        yield filtered.astype(np.float32)


LOW_PASSES: Mapping[str, tuple[BlockFilter, str]] = {
    "anchor": (_mask_low_pass, "3.5 kHz, BS.1534 mask"),
    "anchor-paper": (_paper_low_pass, "3.5 kHz, -6 dB there, 12 dB an octave"),
}
