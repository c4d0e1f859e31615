"""Measuring one file in a single pass, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drummix.audio import Audio, BlockReader
from drummix.levels import MIN_RATE_HZ, GatedLoudness, gain_to_db

FloatArray = NDArray[np.float32]

FULL_SCALE = 1.0 - 1.5 / 32768
"""A sample from here on is at full scale: the last two steps of 16 bits, all finer codings'."""
CLIPPED_RUN_SAMPLES = 3

_BLOCK_VALUES = 1 << 18
"""Samples of all channels together that are read at a time."""

_CHECKSUM_START = np.arange(1, 5, dtype=np.uint64) * np.uint64(0xCBF29CE484222325)


@dataclass(frozen=True)
class Measurement:
    """What one file holds.

    Args:
        peak_dbfs: Largest sample of all channels.
        rms_dbfs: Root mean square over all channels.
        lufs: Integrated loudness; -inf where nothing passes the gate, the rate is below 8 kHz, or
            it was not measured.
        dc_offset: Mean of the channel whose mean is largest, full scale 1.0.
        dc_by_chance: Mean that a noise of this level and length may well have, full scale 1.0.
        n_clipped_runs: Runs of at least three samples at full scale, over all channels.
        first_clipped_s: Where the first of them starts; None without any.
        channel_digests: A checksum of each channel's samples.
    """

    peak_dbfs: float
    rms_dbfs: float
    lufs: float
    dc_offset: float
    dc_by_chance: float
    n_clipped_runs: int
    first_clipped_s: float | None
    channel_digests: tuple[bytes, ...]

    @property
    def channels_are_equal(self) -> bool:
        """Whether there are two channels or more, all the same."""
        return len(self.channel_digests) > 1 and len(set(self.channel_digests)) == 1


def measure(content: Path | Audio) -> Measurement:
    """Measure a file or an array, its loudness included.

    Raises:
        AudioFileError: If the file turns out to be damaged or to hold a NaN.
    """
    if isinstance(content, Audio):
        return _measured(content.rate_hz, content.n_channels, [content.samples])
    with BlockReader(content) as reader:
        n_samples = max(1, _BLOCK_VALUES // reader.n_channels)
        return _measured(reader.rate_hz, reader.n_channels, reader.blocks(n_samples))


def _measured(rate_hz: int, n_channels: int, blocks: Iterable[FloatArray]) -> Measurement:
    meter = FileMeter(rate_hz, n_channels)
    loudness = GatedLoudness(rate_hz, n_channels) if rate_hz >= MIN_RATE_HZ else None
    for block in blocks:
        meter.add(block)
        if loudness is not None:
            loudness.add(block)
    return meter.result(-np.inf if loudness is None else loudness.integrated_lufs())


class FileMeter:
    """Everything about a file but its loudness, from its samples in blocks of any size.

    Args:
        rate_hz: Sample rate in Hz.
        n_channels: Number of channels of every block.
    """

    def __init__(self, rate_hz: int, n_channels: int) -> None:
        self._rate_hz = rate_hz
        self._sums = np.zeros((n_channels, 2))
        self._peaks = np.zeros(n_channels, np.float32)
        self._runs = np.tile(np.array([0, 0, -1], np.int64), (n_channels, 1))
        self._checksums = np.tile(_CHECKSUM_START, (n_channels, 1))
        self._n_samples = 0

    def add(self, block: FloatArray) -> None:
        """Take in the next samples (channels, samples)."""
        from drummix.inspection.kernels import add_checksum, add_levels, add_runs

        for index, samples in enumerate(block):
            channel = np.ascontiguousarray(samples, np.float32)
            loudest = add_levels(channel, self._sums[index])
            self._peaks[index] = max(self._peaks[index], loudest)
            if loudest >= FULL_SCALE:
                runs = self._runs[index]
                add_runs(channel, self._n_samples, FULL_SCALE, CLIPPED_RUN_SAMPLES, runs)
            else:
                self._runs[index, 1] = 0
            add_checksum(channel.view(np.uint32), self._n_samples, self._checksums[index])
        self._n_samples += block.shape[1]

    def result(self, lufs: float = -np.inf) -> Measurement:
        """What was heard so far, with a loudness that was measured beside it."""
        n_samples = max(1, self._n_samples)
        means = self._sums[:, 0] / n_samples
        firsts = self._runs[self._runs[:, 2] >= 0, 2]
        rms = float(np.sqrt(self._sums[:, 1].sum() / (n_samples * len(self._sums))))
        return Measurement(
            peak_dbfs=gain_to_db(float(self._peaks.max())),
            rms_dbfs=gain_to_db(rms),
            lufs=lufs,
            dc_offset=float(means[np.argmax(np.abs(means))]),
            dc_by_chance=6.0 * rms / float(np.sqrt(n_samples)),
            n_clipped_runs=int(self._runs[:, 0].sum()),
            first_clipped_s=int(firsts.min()) / self._rate_hz if firsts.size else None,
            channel_digests=tuple(checksum.tobytes() for checksum in self._checksums),
        )
