"""A session that is open: its stems, and their samples side by side in blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import repeat
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from drummix.audio import Audio, AudioInfo, BlockReader, resample
from drummix.notices import Notice
from drummix.roles import Role

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Stem:
    """One microphone of a session, always mono.

    Args:
        role: What it is.
        source: Its file's name, or its key in the mapping.
        channel: Its channel in that file from 0; None for the mean of all channels.
        why: How the role was found, for a person to read.
        info: The file's header.
    """

    role: Role
    source: str
    channel: int | None
    why: str
    info: AudioInfo


class SessionWatch(Protocol):
    """What listens while a session's blocks are read for something else."""

    def start(self) -> bool:
        """A pass over the session begins; whether it is to be heard."""

    def add(self, files: Mapping[str, FloatArray], stems: FloatArray) -> None:
        """Hear a block: the channels of each file, and the stems made of them.

        Args:
            files: Name -> samples (channels, samples) at the session's rate; none after its end.
            stems: Samples (stems, samples).
        """

    def finish(self) -> None:
        """The pass has come to the end of the session."""


@dataclass(frozen=True, eq=False)
class Session:
    """The microphone tracks of one take, at one rate and of one length.

    Args:
        name: Name of the session: its folder's.
        folder: Where the files are; None for a mapping.
        rate_hz: Sample rate in Hz of all blocks.
        n_samples: Length of the longest stem, which all others are padded to.
        stems: The stems to mix, in the order of `Role`.
        left_out: Files that are no microphone of the kit, or that the user ignored.
        notices: What was resampled, padded, summed, assumed or left out.
    """

    name: str
    folder: Path | None
    rate_hz: int
    n_samples: int
    stems: tuple[Stem, ...]
    left_out: tuple[Stem, ...]
    notices: tuple[Notice, ...]
    _contents: Mapping[str, Path | Audio] = field(repr=False)
    _watch: SessionWatch | None = field(default=None, repr=False)

    def watched_by(self, watch: SessionWatch) -> Session:
        """The same session, whose passes `watch` hears."""
        return replace(self, _watch=watch)

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.n_samples / self.rate_hz

    def blocks(self, block_samples: int, *, threads: int = 1) -> Iterator[FloatArray]:
        """The stems' samples, block by block, in memory that does not grow with the session.

        Args:
            block_samples: Length of every block but the last, which may be shorter.
            threads: Threads that decode files, each of them one at a time.

        Yields:
            Arrays (stems, samples), rows as in `stems`; a stem that has ended is zeros.

        Raises:
            AudioFileError: If a file turns out to be damaged or to hold a NaN.
        """
        with ExitStack() as stack:
            readers = {
                source: self._reader(source, stack)
                for source in dict.fromkeys(stem.source for stem in self.stems)
            }
            each: Callable[..., Iterable[FloatArray]] = map
            if threads > 1 and len(readers) > 1:
                each = stack.enter_context(ThreadPoolExecutor(threads, "drummix-reading")).map
            watch = self._watch if self._watch is not None and self._watch.start() else None
            for start in range(0, self.n_samples, block_samples):
                n_samples = min(block_samples, self.n_samples - start)
                block = np.empty((len(self.stems), n_samples), dtype=np.float32)
                found = each(_read_next, readers.values(), repeat(n_samples))
                read = dict(zip(readers, found, strict=True))
                for row, stem in zip(block, self.stems, strict=True):
                    samples = read[stem.source]
                    is_mean = stem.channel is None and samples.shape[0] > 1
                    row[: samples.shape[1]] = (
                        samples.mean(axis=0) if is_mean else samples[stem.channel or 0]
                    )
                    row[samples.shape[1] :] = 0.0
                if watch is not None:
                    watch.add(read, block)
                yield block
            if watch is not None:
                watch.finish()

    def read(self) -> FloatArray:
        """All samples at once, (stems, `n_samples`); for sessions that fit in memory."""
        return next(self.blocks(self.n_samples))

    def _reader(self, source: str, stack: ExitStack) -> BlockReader | _ArrayReader:
        content = self._contents[source]
        if isinstance(content, Audio):
            is_ready = content.rate_hz == self.rate_hz
            samples = content.samples
            return _ArrayReader(
                samples if is_ready else resample(samples, content.rate_hz, self.rate_hz)
            )
        return stack.enter_context(BlockReader(content, rate_hz=self.rate_hz))


def _read_next(reader: BlockReader | _ArrayReader, n_samples: int) -> FloatArray:
    return reader.read(n_samples)


class _ArrayReader:
    """Reads an array as a `BlockReader` reads a file."""

    def __init__(self, samples: FloatArray) -> None:
        self._samples = samples
        self._position = 0

    def read(self, n_samples: int) -> FloatArray:
        block = self._samples[:, self._position : self._position + n_samples]
        self._position += block.shape[1]
        return block
