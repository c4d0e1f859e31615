"""Is a microphone's polarity opposite to that of its partner?

In: a session. Out: a score for each pair, +1 same to -1 opposite.

Two microphones on one drum hear the same transient, a little apart in time. The cross-correlation
near that lag has its largest peak upwards where the polarities agree, downwards where they do not;
half-whitening the spectra keeps a ringing drum's own period from hiding the transient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drummix.roles import Role
from drummix.session import Session, Stem

CONFIDENT_SCORE = 0.35
"""On 16 rendered takes of three kits each, no pair wired right scored below -0.27."""

_BLOCK_SAMPLES = 1 << 15
_MOST_BLOCKS = 400
_BAND_HZ = (150.0, 6000.0)
_WHITENING = 0.5
_LEAST_OVER_BACKGROUND = 10.0
"""Chance alone makes a peak of 3 to 4 times the background in the few milliseconds looked at."""
_TOMS = (Role.TOM_HIGH, Role.TOM_MID, Role.TOM_MID_LOW, Role.TOM_LOW)

_NEARBY_MS = 10.0
"""A peak twice as large at another lag within this is the real one, and the pair is not ours."""


@dataclass(frozen=True)
class PolarityPair:
    """A microphone and what it is compared with.

    Args:
        stem: Index of the microphone among the session's stems.
        partners: Indices of the stems whose sum is the reference.
        lag_ms: The lags that are looked at: how much later the partners hear the drum.
    """

    stem: int
    partners: tuple[int, ...]
    lag_ms: tuple[float, float]


def polarity_pairs(stems: Sequence[Stem]) -> list[PolarityPair]:
    """The pairs of a session whose polarity can be told from the sound.

    Snare and toms are compared with the overheads, right overhead and room with the left, and the
    second microphones of kick and snare with the first. Hi-hat, cymbals and kick against the
    overheads are left out: what the overheads hear of them is too unlike.
    """
    where = {stem.role: index for index, stem in enumerate(stems)}
    overheads = tuple(
        where[role]
        for role in (Role.OVERHEAD_LEFT, Role.OVERHEAD_RIGHT, Role.OVERHEAD_MONO)
        if role in where
    )
    pairs = [
        PolarityPair(where[role], overheads, (0.5, 4.5))
        for role in (Role.SNARE, *_TOMS)
        if role in where and overheads
    ]
    for role, partner, most_ms in (
        (Role.OVERHEAD_RIGHT, Role.OVERHEAD_LEFT, 1.0),
        (Role.ROOM_RIGHT, Role.ROOM_LEFT, 1.0),
        (Role.KICK_OUT, Role.KICK, 2.0),
        (Role.SNARE_BOTTOM, Role.SNARE, 1.0),
    ):
        if role in where and partner in where:
            pairs.append(PolarityPair(where[role], (where[partner],), (-most_ms, most_ms)))
    return pairs


def polarity_scores(session: Session, pairs: Sequence[PolarityPair]) -> list[float]:
    """How far each pair's polarities agree.

    Args:
        session: The session.
        pairs: Pairs from `polarity_pairs` of its stems.

    Returns:
        For each pair +1.0 (same) to -1.0 (opposite); 0.0 where nothing is heard in common.
    """
    meter = PolarityMeter(session.rate_hz, pairs)
    for block in session.blocks(_BLOCK_SAMPLES):
        meter.add(block)
        if meter.is_full:
            break
    return meter.scores()


class PolarityMeter:
    """How far the polarities of pairs agree, from the stems in blocks of any size.

    Args:
        rate_hz: Sample rate in Hz.
        pairs: Pairs from `polarity_pairs` of the stems.
        most_blocks: Blocks of each pair that are looked at, the first in which its drum is struck.
    """

    def __init__(
        self, rate_hz: int, pairs: Sequence[PolarityPair], *, most_blocks: int = _MOST_BLOCKS
    ) -> None:
        self._rate_hz, self._pairs = rate_hz, pairs
        self._spectra = [_CrossSpectrum(most_blocks) for _ in pairs]
        self._waiting: list[NDArray[np.float32]] = []
        self._n_waiting = 0

    @property
    def is_full(self) -> bool:
        """Whether more blocks would change nothing."""
        return all(spectrum.is_full for spectrum in self._spectra)

    def add(self, block: NDArray[np.float32]) -> None:
        """Take in the next samples (stems, samples)."""
        if self.is_full:
            return
        self._waiting.append(block)
        self._n_waiting += block.shape[1]
        if self._n_waiting < _BLOCK_SAMPLES:
            return
        waiting = np.concatenate(self._waiting, axis=1) if len(self._waiting) > 1 else block
        n_used = waiting.shape[1] // _BLOCK_SAMPLES * _BLOCK_SAMPLES
        for start in range(0, n_used, _BLOCK_SAMPLES):
            self._add_whole(waiting[:, start : start + _BLOCK_SAMPLES])
        self._waiting, self._n_waiting = [waiting[:, n_used:]], waiting.shape[1] - n_used

    def _add_whole(self, block: NDArray[np.float32]) -> None:
        known: dict[tuple[int, ...], NDArray[np.complex128]] = {}

        def spectrum_of(rows: tuple[int, ...]) -> NDArray[np.complex128]:
            # Snare and toms have the same overheads as partners.
            if rows not in known:
                known[rows] = np.fft.rfft(block[list(rows)].sum(axis=0), 2 * _BLOCK_SAMPLES)
            return known[rows]

        for pair, spectrum in zip(self._pairs, self._spectra, strict=True):
            if spectrum.wants(block[pair.stem]):
                spectrum.add(spectrum_of((pair.stem,)), spectrum_of(pair.partners))

    def scores(self) -> list[float]:
        """For each pair +1.0 (same) to -1.0 (opposite); 0.0 where nothing is heard in common."""
        if self._n_waiting and not self.is_full:
            self._add_whole(np.concatenate(self._waiting, axis=1))
            self._waiting, self._n_waiting = [], 0
        return [
            spectrum.score(self._rate_hz, pair.lag_ms)
            for pair, spectrum in zip(self._pairs, self._spectra, strict=True)
        ]


class _CrossSpectrum:
    """Summed cross-spectrum of two signals over the blocks in which the first is heard."""

    def __init__(self, most_blocks: int) -> None:
        self._sum: NDArray[np.complex128] = np.zeros(_BLOCK_SAMPLES + 1, dtype=np.complex128)
        self._most_blocks = most_blocks
        self._n_blocks = 0
        self._mean_energy = 0.0

    @property
    def is_full(self) -> bool:
        return self._n_blocks >= self._most_blocks

    def wants(self, first: NDArray[np.float32]) -> bool:
        """Whether this block of the first signal counts."""
        energy = float(np.vdot(first, first))
        # A running mean lets loud blocks in: those in which the drum itself is struck.
        self._mean_energy = max(0.98 * self._mean_energy, 0.0) + 0.02 * energy
        return not self.is_full and energy != 0.0 and energy >= self._mean_energy

    def add(self, first: NDArray[np.complex128], second: NDArray[np.complex128]) -> None:
        """Take in the spectra of a block that counts."""
        self._sum += second * np.conj(first)
        self._n_blocks += 1

    def score(self, rate_hz: int, lag_ms: tuple[float, float]) -> float:
        magnitude = np.abs(self._sum)
        if not np.any(magnitude > 0.0):
            return 0.0
        frequencies_hz = np.fft.rfftfreq(2 * _BLOCK_SAMPLES, 1.0 / rate_hz)
        in_band = (frequencies_hz >= _BAND_HZ[0]) & (frequencies_hz <= _BAND_HZ[1])
        whitened = np.zeros_like(self._sum)
        heard = in_band & (magnitude > 0.0)
        whitened[heard] = self._sum[heard] / magnitude[heard] ** _WHITENING
        correlation = np.fft.irfft(whitened)
        first, last = (round(ms * rate_hz / 1000.0) for ms in lag_ms)
        near = correlation[np.arange(first, last + 1)]
        up, down = max(float(near.max()), 0.0), max(float(-near.min()), 0.0)
        largest = max(up, down)
        far = np.abs(np.arange(correlation.size) - correlation.size // 2) < correlation.size // 4
        background = float(np.sqrt(np.mean(np.square(correlation[far]))))
        nearby = round(_NEARBY_MS * rate_hz / 1000.0)
        largest_nearby = float(np.max(np.abs(correlation[np.arange(-nearby, nearby + 1)])))
        is_chance = largest < _LEAST_OVER_BACKGROUND * background
        is_side_lobe = largest < 0.5 * largest_nearby
        if is_chance or is_side_lobe or largest == 0.0:
            return 0.0
        return (up - down) / largest
