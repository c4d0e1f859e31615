"""Stereo samples on disk for as long as a mix is being made."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from drummix.errors import OutputError

FloatArray = NDArray[np.float32]

_FRAME_BYTES = 2 * np.dtype(np.float32).itemsize


class Scratch:
    """Float32 stereo blocks, kept in a file that has no name and goes with the process.

    A context manager. Where the system allows (Linux, macOS) not even a kill leaves it behind.

    Args:
        target: The file that the samples are for; they are kept on the same disk.

    Raises:
        OutputError: If the disk is full or the folder not writable.
    """

    def __init__(self, target: Path) -> None:
        self._target = target

    def __enter__(self) -> Self:
        try:
            # Unbuffered: a full disk shows when it is written to, not when it is closed.
            self._file = tempfile.TemporaryFile(dir=self._target.parent, buffering=0)
        except OSError as error:
            raise self._refused(error) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def append(self, block: FloatArray) -> None:
        """Keep the next samples (2, samples)."""
        left = memoryview(block.T.astype(np.float32).tobytes())
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            raise self._refused(error) from error

    def blocks(self, n_samples: int) -> Iterator[FloatArray]:
        """All samples from the start, in blocks (2, at most `n_samples`)."""
        self._file.seek(0)
        while stored := self._file.read(n_samples * _FRAME_BYTES):
            # A read may stop short anywhere, and a frame must be whole.
            while len(stored) % _FRAME_BYTES:
                stored += self._file.read(_FRAME_BYTES - len(stored) % _FRAME_BYTES)
            yield np.frombuffer(stored, dtype=np.float32).reshape(-1, 2).T

    def _refused(self, error: OSError) -> OutputError:
        return OutputError(
            f"{self._target} cannot be written: {error.strerror or error} (a mix in the making "
            "takes 8 bytes a sample beside it); free space there, or choose another place"
        )
