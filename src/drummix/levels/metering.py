"""Loudness and true peak of whole sounds and of streams.

Source: ITU-R BS.1770-4; for the K-weighting at any rate De Man, "Evaluation of implementations of
the EBU R128 loudness measurement", AES 145th Convention, 2018.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from drummix.errors import SettingError
from drummix.levels.decibels import db_to_gain, gain_to_db

FloatArray = NDArray[np.float32]
DoubleArray = NDArray[np.float64]

MIN_RATE_HZ = 8_000
"""The K-weighting's shelf lies at 1.7 kHz: below this rate it is bent, or does not exist."""

_N_TAPS = 64
"""Of each interpolator: flat to 0.01 dB up to 0.46 of the sample rate."""

_KAISER_BETA = 7.0

GATE_LUFS = -70.0
"""Blocks that are quieter do not count, whatever the rest is like."""


def integrated_lufs(samples: NDArray[np.floating], rate_hz: int) -> float:
    """Integrated, gated loudness.

    Args:
        samples: Samples (channels, samples), at most left, right and centre: every channel has
            weight 1.0.
        rate_hz: Sample rate in Hz.

    Returns:
        Loudness in LUFS; -inf where no 400 ms block passes the gate (silence, or too short).

    Source: ITU-R BS.1770-4, Annex 1. An incomplete last block is not used.
    """
    meter = GatedLoudness(rate_hz, samples.shape[0])
    meter.add(samples)
    return meter.integrated_lufs()


def true_peak_dbtp(samples: NDArray[np.floating], rate_hz: int) -> float:
    """Largest value of the waveform between the samples, found by 4x oversampling.

    Args:
        samples: Samples (channels, samples).
        rate_hz: Sample rate in Hz.

    Returns:
        Level in dBTP, never below the sample peak.

    Source: ITU-R BS.1770-4, Annex 2, with four times 64 taps instead of the 48 printed there.
    """
    meter = _TruePeak(samples.shape[0])
    meter.add(_as_float32(samples))
    return meter.dbtp()


class LoudnessMeter:
    """Loudness and true peak of a stream, in memory that does not grow with the audio.

    It keeps one energy for every 100 ms (under 1 MB an hour). Its results equal
    `integrated_lufs` and `true_peak_dbtp` of all blocks joined, whatever the block sizes,
    and may be asked for at any time, more than once.

    Args:
        rate_hz: Sample rate in Hz.
        n_channels: Number of channels of every block.
    """

    def __init__(self, rate_hz: int, n_channels: int) -> None:
        self._loudness = GatedLoudness(rate_hz, n_channels)
        self._true_peak = _TruePeak(n_channels)

    def add(self, block: NDArray[np.floating]) -> None:
        """Take in the next samples (channels, samples)."""
        block = _as_float32(block)
        self._loudness.add(block)
        self._true_peak.add(block)

    def integrated_lufs(self, gain_db: float = 0.0) -> float:
        """As `GatedLoudness.integrated_lufs`."""
        return self._loudness.integrated_lufs(gain_db)

    def gain_db_for(self, lufs: float) -> float | None:
        """As `GatedLoudness.gain_db_for`."""
        return self._loudness.gain_db_for(lufs)

    def true_peak_dbtp(self) -> float:
        """True peak in dBTP of everything so far."""
        return self._true_peak.dbtp()


@cache
def _k_weighting(rate_hz: int) -> DoubleArray:
    """The two biquads of BS.1770's K-weighting at any rate, (2, 6): a high shelf, a high-pass.

    The analogue filters behind the coefficients that BS.1770 prints for 48 kHz, which these equal
    to 1e-11 there.
    """
    tan = math.tan(math.pi * 1681.9744509555319 / rate_hz)
    high = db_to_gain(3.99984385397)
    middle = high**0.499666774155
    slope = tan / 0.7071752369554193
    shelf = (
        high + middle * slope + tan * tan,
        2.0 * (tan * tan - high),
        high - middle * slope + tan * tan,
        1.0 + slope + tan * tan,
        2.0 * (tan * tan - 1.0),
        1.0 - slope + tan * tan,
    )
    tan = math.tan(math.pi * 38.13547087613982 / rate_hz)
    slope = tan / 0.5003270373253953
    poles = (1.0 + slope + tan * tan, 2.0 * (tan * tan - 1.0), 1.0 - slope + tan * tan)
    # The standard prints the high-pass with zeros of unit gain, whatever its poles.
    high_pass = (poles[0], -2.0 * poles[0], poles[0], *poles)
    return np.array([np.array(section) / section[3] for section in (shelf, high_pass)])


class GatedLoudness:
    """Integrated loudness of a stream: `LoudnessMeter` without the dearer true peak.

    Args:
        rate_hz: Sample rate in Hz, at least `MIN_RATE_HZ`.
        n_channels: Number of channels of every block.

    Raises:
        SettingError: If the rate is lower.
    """

    def __init__(self, rate_hz: int, n_channels: int) -> None:
        if rate_hz < MIN_RATE_HZ:
            raise SettingError("rate_hz", rate_hz, f"loudness needs at least {MIN_RATE_HZ} Hz")
        self._rate_hz = rate_hz
        self._sections = _k_weighting(rate_hz)
        self._state = np.zeros((n_channels, 4))
        self._energies: list[float] = []
        self._open_energy = 0.0
        self._n_seen = 0

    def _cell_end(self, cell: int) -> int:
        """First sample after the 100 ms cell, on an exact grid at rates 10 does not divide."""
        return (cell + 1) * self._rate_hz // 10

    def add(self, block: NDArray[np.floating]) -> None:
        """Take in the next samples (channels, samples)."""
        if block.shape[1] == 0:
            return
        from drummix.levels.kernels import add_weighted_energy

        first, n_seen = len(self._energies), self._n_seen + block.shape[1]
        ends: list[int] = []
        while not ends or ends[-1] < n_seen:
            ends.append(min(self._cell_end(first + len(ends)), n_seen))
        # All channels weigh 1.0, so their energies may be added up first.
        energies = np.zeros(len(ends))
        energies[0] = self._open_energy
        cell_ends = np.array(ends, np.int64) - self._n_seen
        add_weighted_energy(_as_float32(block), self._sections, self._state, cell_ends, energies)
        self._n_seen = n_seen
        self._energies.extend(energies[:-1].tolist())
        self._open_energy = float(energies[-1])
        if self._cell_end(len(self._energies)) == n_seen:
            self._energies.append(self._open_energy)
            self._open_energy = 0.0

    def integrated_lufs(self, gain_db: float = 0.0) -> float:
        """Integrated loudness in LUFS of everything so far, had it been so much louder.

        Returns:
            -inf where nothing passes the gate.
        """
        power = self._block_power()
        passed = power[power >= _lufs_to_power(GATE_LUFS - gain_db)]
        if passed.size == 0:
            return -np.inf
        # The absolute gate still holds where the relative one lies below it.
        gated = passed[passed > np.mean(passed) / 10.0]
        return float(_power_to_lufs(gated.mean(keepdims=True))[0]) + gain_db

    def gain_db_for(self, lufs: float) -> float | None:
        """Gain after which everything so far has a loudness.

        The gate at -70 LUFS stays where it is when a mix gets louder or quieter, so what passes it
        depends on the gain. For each number of loudest blocks the loudness is computed that they
        have alone, and the gain to the wanted one: it holds if at that gain just these pass. There
        always is such a number, since a block that comes to pass is quieter than all before it.

        Args:
            lufs: Wanted loudness in LUFS, more than -70.

        Returns:
            The gain in dB; None for silence, or less than 0.4 s.
        """
        power = np.sort(self._block_power())[::-1]
        power = power[power > 0.0]
        if not power.size:
            return None
        sums, counts = np.cumsum(power), np.arange(1, power.size + 1)
        n_gated = np.minimum(counts, np.searchsorted(-power, -sums / counts / 10.0))
        gains_db = lufs - _power_to_lufs(sums[n_gated - 1] / n_gated)
        lowest_db = GATE_LUFS - _power_to_lufs(power)
        highest_db = np.append(lowest_db[1:], np.inf)
        # Of several, the one where the rounding of a file is least likely to move a block.
        room_db = np.minimum(gains_db - lowest_db, highest_db - gains_db)
        return float(gains_db[np.argmax(room_db)])

    def _block_power(self) -> DoubleArray:
        """Mean square of every 400 ms, a new one every 100 ms."""
        cells = np.array(self._energies)
        if cells.size < 4:
            return cells[:0]
        return np.asarray(
            (cells[:-3] + cells[1:-2] + cells[2:-1] + cells[3:]) / (0.4 * self._rate_hz)
        )


def _lufs_to_power(lufs: float) -> float:
    return float(10.0 ** ((lufs + 0.691) / 10.0))


def _power_to_lufs(power: DoubleArray) -> DoubleArray:
    return np.asarray(-0.691 + 10.0 * np.log10(power))


@cache
def _interpolators() -> tuple[FloatArray, np.float32]:
    """Kernels (3, taps) for a quarter, a half and three quarters, and most that they give."""
    place = np.array([[0.25], [0.5], [0.75]])
    time = np.arange(_N_TAPS) - (_N_TAPS // 2 - 1) - place
    window = np.i0(_KAISER_BETA * np.sqrt(1.0 - (2.0 * time / (_N_TAPS + 1)) ** 2))
    kernels = np.sinc(time) * window
    kernels /= kernels.sum(axis=1, keepdims=True)
    # A little more, for the rounding of single precision.
    return kernels.astype(np.float32), np.float32(1.001 * np.abs(kernels).sum(axis=1).max())


class _TruePeak:
    """Largest oversampled value of a stream, silent before and after."""

    def __init__(self, n_channels: int) -> None:
        self._recent = np.zeros((n_channels, _N_TAPS - 1), np.float32)
        self._peak = 0.0

    def add(self, block: FloatArray) -> None:
        self._peak = max(self._peak, float(np.max(np.abs(block), initial=0.0)))
        joined = np.concatenate([self._recent, block], axis=1)
        self._peak = self._highest(joined)
        self._recent = joined[:, joined.shape[1] - (_N_TAPS - 1) :].copy()

    def dbtp(self) -> float:
        return gain_to_db(self._highest(np.pad(self._recent, ((0, 0), (0, _N_TAPS // 2)))))

    def _highest(self, samples: FloatArray) -> float:
        from drummix.levels.kernels import highest_between

        kernels, most = _interpolators()
        peak = np.float32(self._peak)
        for channel in samples:
            peak = highest_between(channel, kernels, most, peak)
        return float(peak)


def _as_float32(samples: NDArray[np.floating]) -> FloatArray:
    return np.ascontiguousarray(samples, dtype=np.float32)
