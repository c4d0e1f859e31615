"""The best mix that fixed gains can make: an oracle, for it has seen the target.

In: the stems of a session and the mix they should become. Out: one gain from every stem to every
channel of the target, by least squares, and the mix they make. No static mixer, whatever it
knows, comes closer in SDR or SI-SDR; a system that does must have done more than set levels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drummix.errors import SettingError

FloatArray = NDArray[np.float32]

RIDGE = 1e-9
"""Weight of the gains' own size, for stems scaled to unit energy: twins share what they explain."""

SILENCE_POWER = 1e-12
"""Mean square of a stem (-120 dBFS RMS) below which it counts as silent and gets no gain."""


@dataclass(frozen=True, eq=False)
class StaticGains:
    """Fixed gains from stems to the channels of a mix.

    Args:
        matrix: Linear gains (channels, stems), float64; negative where the polarity is turned.
        is_silent: For each stem, whether it was left out as silent.
    """

    matrix: NDArray[np.float64]
    is_silent: tuple[bool, ...]

    def mix(self, stems: NDArray[np.floating]) -> FloatArray:
        """Mix stems (stems, samples) into (channels, samples)."""
        return np.asarray(self.matrix @ stems, dtype=np.float32)


def fit_static_gains(
    pairs: Iterable[tuple[NDArray[np.floating], NDArray[np.floating]]],
) -> StaticGains:
    """Fit the gains that bring stems closest to a target, in one pass over the audio.

    Only the sums of the normal equations are kept, so memory does not grow with the audio.

    Args:
        pairs: Blocks of the stems (stems, samples) with the target's (channels, samples) beside
            them, in any block size.

    Returns:
        The gains with the smallest squared error over all channels, but for a ridge of 1e-9 that
        keeps them finite where two stems are equal.

    Raises:
        SettingError: If there is no block, or a block and its target differ in length.
    """
    equations: _NormalEquations | None = None
    for stems, target in pairs:
        if stems.shape[1] != target.shape[1]:
            raise SettingError(
                f"stems of {stems.shape[1]} samples beside a target of {target.shape[1]}; "
                "give blocks of one length"
            )
        if equations is None:
            equations = _NormalEquations(stems.shape[0], target.shape[0])
        equations.add(stems, target)
    if equations is None:
        raise SettingError("no audio to fit gains to; give at least one block")
    return equations.solve()


class _NormalEquations:
    """Sums of products of stems with each other and with the target."""

    def __init__(self, n_stems: int, n_channels: int) -> None:
        self._products = np.zeros((n_stems, n_stems))
        self._with_target = np.zeros((n_stems, n_channels))
        self._n_samples = 0

    def add(self, stems: NDArray[np.floating], target: NDArray[np.floating]) -> None:
        exact = stems.astype(np.float64)
        self._products += exact @ exact.T
        self._with_target += exact @ target.astype(np.float64).T
        self._n_samples += stems.shape[1]

    def solve(self) -> StaticGains:
        energy = np.diag(self._products)
        is_silent = energy <= SILENCE_POWER * max(1, self._n_samples)
        heard = np.flatnonzero(~is_silent)
        matrix = np.zeros(self._with_target.T.shape)
        if heard.size:
            scale = 1.0 / np.sqrt(energy[heard])
            products = self._products[np.ix_(heard, heard)] * np.outer(scale, scale)
            with_target = self._with_target[heard] * scale[:, np.newaxis]
            solved = np.linalg.solve(products + RIDGE * np.eye(heard.size), with_target)
            matrix[:, heard] = (solved * scale[:, np.newaxis]).T
        return StaticGains(matrix, tuple(bool(silent) for silent in is_silent))
