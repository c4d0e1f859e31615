"""Measuring one file in a single pass, in bounded memory."""

from __future__ import annotations

import hashlib
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

_BLOCK_SAMPLES = 1 << 18


@dataclass(frozen=True)
class Measurement:
    """What one file holds.

    Args:
        peak_dbfs: Largest sample of all channels.
        rms_dbfs: Root mean square over all channels.
        lufs: Integrated loudness; -inf where nothing passes the gate, or the rate is below 8 kHz.
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
    channel_digests: tuple[str, ...]

    @property
    def channels_are_equal(self) -> bool:
        """Whether there are two channels or more, all the same."""
        return len(self.channel_digests) > 1 and len(set(self.channel_digests)) == 1


def measure(content: Path | Audio) -> Measurement:
    """Measure a file or an array.

    Raises:
        AudioFileError: If the file turns out to be damaged or to hold a NaN.
    """
    if isinstance(content, Audio):
        meter = _Meter(content.rate_hz, content.n_channels)
        meter.add(content.samples)
        return meter.result()
    with BlockReader(content) as reader:
        meter = _Meter(reader.rate_hz, reader.n_channels)
        for block in reader.blocks(_BLOCK_SAMPLES):
            meter.add(block)
        return meter.result()


class _Meter:
    def __init__(self, rate_hz: int, n_channels: int) -> None:
        self._rate_hz = rate_hz
        has_loudness = rate_hz >= MIN_RATE_HZ
        self._loudness = GatedLoudness(rate_hz, n_channels) if has_loudness else None
        self._digests = [hashlib.blake2b(digest_size=16) for _ in range(n_channels)]
        self._runs = [_ClippedRuns() for _ in range(n_channels)]
        self._sums = np.zeros(n_channels)
        self._energy = 0.0
        self._peak = 0.0
        self._n_samples = 0

    def add(self, block: FloatArray) -> None:
        if self._loudness is not None:
            self._loudness.add(block)
        self._sums += block.sum(axis=1, dtype=np.float64)
        self._energy += float(np.square(block, dtype=np.float64).sum())
        self._peak = max(self._peak, float(np.max(np.abs(block), initial=0.0)))
        for channel, digest, runs in zip(block, self._digests, self._runs, strict=True):
            # Adding zero makes -0.0 and 0.0 the same.
            digest.update(np.ascontiguousarray(channel + np.float32(0.0)).tobytes())
            runs.add(channel, self._n_samples)
        self._n_samples += block.shape[1]

    def result(self) -> Measurement:
        means = self._sums / self._n_samples
        firsts = [runs.first for runs in self._runs if runs.first is not None]
        n_values = self._n_samples * len(self._sums)
        rms = float(np.sqrt(self._energy / n_values))
        return Measurement(
            peak_dbfs=gain_to_db(self._peak),
            rms_dbfs=gain_to_db(rms),
            lufs=-np.inf if self._loudness is None else self._loudness.integrated_lufs(),
            dc_offset=float(means[np.argmax(np.abs(means))]),
            dc_by_chance=6.0 * rms / float(np.sqrt(self._n_samples)),
            n_clipped_runs=sum(runs.n_runs for runs in self._runs),
            first_clipped_s=min(firsts) / self._rate_hz if firsts else None,
            channel_digests=tuple(digest.hexdigest() for digest in self._digests),
        )


class _ClippedRuns:
    """Counts runs at full scale in one channel, also those that cross blocks."""

    def __init__(self) -> None:
        self.n_runs = 0
        self.first: int | None = None
        self._n_open = 0

    def add(self, channel: FloatArray, start: int) -> None:
        is_full = np.abs(channel) >= FULL_SCALE
        if not is_full.any():
            self._n_open = 0
            return
        edges = np.flatnonzero(np.diff(np.concatenate([[False], is_full, [False]]).astype(np.int8)))
        for begin, end in edges.reshape(-1, 2).tolist():
            n_before = self._n_open if begin == 0 else 0
            length = end - begin + n_before
            # A run that was long enough in the last block has been counted there.
            if n_before < CLIPPED_RUN_SAMPLES <= length:
                self.n_runs += 1
                if self.first is None:
                    self.first = start + begin - n_before
            self._n_open = length if end == channel.size else 0
        if not is_full[-1]:
            self._n_open = 0
