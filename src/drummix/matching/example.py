"""Stems and the mix they became, read side by side."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drummix.audio import Audio, BlockReader, probe, resample, resampled_length, sample_fault
from drummix.errors import AudioFileError, SessionError
from drummix.mixers.base import BLOCK_SAMPLES
from drummix.session import Session

FloatArray = NDArray[np.float32]

SHORTEST_S = 1.0
SILENCE_PEAK = 1e-4
"""A mix that never exceeds this (-80 dBFS) is silent."""

_CLIPPED_RUN = 3
_CLIPPED_PEAK = 0.25
_AT_CEILING = 0.9999


@dataclass(frozen=True, eq=False)
class MixFile:
    """A mix to learn from.

    Args:
        content: Its file, or its audio.
        name: What messages call it.
        rate_hz: Its own sample rate in Hz.
        n_channels: 1 or 2.
        n_samples: Its length at its own rate.
    """

    content: Path | Audio
    name: str
    rate_hz: int
    n_channels: int
    n_samples: int

    def length_at(self, rate_hz: int) -> int:
        """Length in samples at another rate."""
        return resampled_length(self.n_samples, self.rate_hz, rate_hz)

    def blocks(
        self, rate_hz: int, *, start: int = 0, n_samples: int = BLOCK_SAMPLES
    ) -> Iterator[FloatArray]:
        """Stereo blocks (2, at most `n_samples`) from a sample on; mono goes to both channels."""
        with ExitStack() as stack:
            if isinstance(self.content, Audio):
                whole = resample(self.content.samples, self.content.rate_hz, rate_hz)
                pieces = (
                    whole[:, at : at + n_samples] for at in range(start, whole.shape[1], n_samples)
                )
            else:
                reader = stack.enter_context(BlockReader(self.content, rate_hz=rate_hz))
                for at in range(0, start, BLOCK_SAMPLES):
                    reader.read(min(BLOCK_SAMPLES, start - at))
                pieces = reader.blocks(n_samples)  # type: ignore[assignment]
            for block in pieces:
                yield np.repeat(block, 2, axis=0) if block.shape[0] == 1 else block


@dataclass(frozen=True, eq=False)
class Example:
    """A session and its mix, laid over each other.

    Args:
        session: The stems.
        mix: The mix.
        offset: Sample of the mix, at the session's rate, that belongs to the stems' first one.
    """

    session: Session
    mix: MixFile
    offset: int = 0

    @property
    def overlap(self) -> tuple[int, int]:
        """First sample of the stems that the mix has too, and the one after the last."""
        n_mix = self.mix.length_at(self.session.rate_hz)
        return max(0, -self.offset), min(self.session.n_samples, n_mix - self.offset)

    def pairs(
        self, start: int, stop: int, edges: tuple[int, ...] = (), *, n_after: int = 0
    ) -> Iterator[tuple[int, FloatArray, FloatArray]]:
        """Stems and mix from `start` to `stop`, cut at `edges`.

        The stems come from their beginning on, since a filter remembers: before `start` the mix
        beside them is zeros, as it is for the `n_after` samples after `stop`.

        Yields:
            Number of the first sample, stems (stems, samples), mix (2, samples).
        """
        mix = self.mix.blocks(self.session.rate_hz, start=start + self.offset)
        waiting = np.zeros((2, 0), np.float32)
        position, last_of_all = 0, min(stop + n_after, self.session.n_samples)
        cuts = sorted({start, stop, *edges})
        for block in self.session.blocks(BLOCK_SAMPLES):
            end = min(position + block.shape[1], last_of_all)
            inside = [cut for cut in cuts if position < cut < end]
            for first, last in zip([position, *inside], [*inside, end], strict=True):
                stems = block[:, first - position : last - position]
                if last <= start or first >= stop:
                    yield first, stems, np.zeros((2, last - first), np.float32)
                    continue
                while waiting.shape[1] < last - first:
                    waiting = np.concatenate([waiting, next(mix)], axis=1)
                yield first, stems, waiting[:, : last - first]
                waiting = waiting[:, last - first :]
            position += block.shape[1]
            if position >= last_of_all:
                return


@dataclass(frozen=True)
class MixFacts:
    """What one look at a mix tells.

    Args:
        peak: Largest sample, linear.
        ceiling: Level at which it is clipped, linear; infinite where it is not.
        n_clipped: Samples at the ceiling, in each channel.
    """

    peak: float
    ceiling: float
    n_clipped: int


def open_mix(mix: Path | str | Audio) -> MixFile:
    """Open a mix and look through it.

    Raises:
        AudioFileError: If the file cannot be read.
        SessionError: If it has more than two channels or is shorter than a second.
    """
    if isinstance(mix, Audio):
        opened = MixFile(mix, "the mix", mix.rate_hz, mix.n_channels, mix.n_samples)
    else:
        info = probe(mix)
        opened = MixFile(Path(mix), str(mix), info.rate_hz, info.n_channels, info.n_samples)
    if opened.n_channels not in (1, 2):
        raise SessionError(
            f"{opened.name} has {opened.n_channels} channels; expected a mono or stereo mix"
        )
    duration_s = opened.n_samples / opened.rate_hz
    if duration_s < SHORTEST_S:
        raise SessionError(
            f"{opened.name} is {duration_s:.2f} s long; a style takes a mix of at least "
            f"{SHORTEST_S:g} s to learn from, better a whole song"
        )
    return opened


def look_through(mix: MixFile) -> MixFacts:
    """Find a mix's peak and where it is clipped.

    Raises:
        SessionError: If it is silent.
        AudioFileError: If it holds a NaN or is damaged.
    """
    peak, ceiling = 0.0, 0.0
    tail = np.zeros((2, 0), np.float32)
    for block in mix.blocks(mix.rate_hz):
        if (fault := sample_fault(block)) is not None:
            raise AudioFileError(f"{mix.name} holds {fault.what}; export it again")
        peak = max(peak, float(np.max(np.abs(block), initial=0.0)))
        joined = np.concatenate([tail, block], axis=1)
        ceiling = max(ceiling, float(np.max(np.abs(joined), where=flat_tops(joined), initial=0.0)))
        tail = joined[:, -(_CLIPPED_RUN - 1) :]
    if peak <= SILENCE_PEAK:
        raise SessionError(f"{mix.name} is silent; expected the finished mix of the stems")
    # A flat top below the peak is a square wave, or clipped before the fader: not this mix's end.
    if ceiling < _AT_CEILING * peak:
        return MixFacts(peak, np.inf, 0)
    n_clipped = sum(int(is_clipped(b, ceiling).sum()) for b in mix.blocks(mix.rate_hz))
    return MixFacts(peak, ceiling, n_clipped // 2)


def is_clipped(samples: NDArray[np.floating], ceiling: float) -> NDArray[np.bool_]:
    """Samples at the level where a mix is clipped."""
    return np.abs(samples) >= _AT_CEILING * ceiling


def flat_tops(samples: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Samples that stand still beside loud equal ones: a flat top of three or more."""
    same = np.zeros(samples.shape, dtype=bool)
    if samples.shape[1] < _CLIPPED_RUN:
        return same
    loud = np.abs(samples) >= _CLIPPED_PEAK
    equal = (samples[:, 1:] == samples[:, :-1]) & loud[:, 1:]
    run = equal[:, 1:] & equal[:, :-1]
    for shift in range(_CLIPPED_RUN):
        same[:, shift : samples.shape[1] - _CLIPPED_RUN + 1 + shift] |= run
    return same
