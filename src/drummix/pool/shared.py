"""Large values that several processes hold once between them."""

from __future__ import annotations

import mmap
import os
import pickle
import sys
import tempfile
from collections.abc import Sequence
from multiprocessing import reduction
from typing import IO, Any, Generic, TypeVar

Value = TypeVar("Value")

_ALIGNMENT = 64


class Shared(Generic[Value]):
    """A value whose arrays are not copied for a process that it is handed to, but mapped.

    They lie in one file without a name, which is gone with the last process that has it. There
    they can be read, not written to. On Windows they are copied.

    Args:
        value: The value; it pickles.
    """

    def __init__(self, value: Value) -> None:
        self.value = value
        self._file: IO[bytes] | None = None
        self._pickled = b""
        self._spans: list[tuple[int, int]] = []

    def __reduce__(self) -> tuple[Any, ...]:
        if sys.platform == "win32":
            return Shared, (self.value,)
        if self._file is None:
            self._file = self._written()
        return _mapped, (reduction.DupFd(self._file.fileno()), self._pickled, self._spans)

    def _written(self) -> IO[bytes]:
        arrays: list[pickle.PickleBuffer] = []
        self._pickled = pickle.dumps(self.value, protocol=5, buffer_callback=arrays.append)
        self._spans = []
        file = tempfile.TemporaryFile()  # noqa: SIM115
        for array in arrays:
            file.write(b"\0" * (-file.tell() % _ALIGNMENT))
            start = file.tell()
            file.write(array.raw())
            self._spans.append((start, file.tell()))
        file.flush()
        return file


def _mapped(descriptor: Any, pickled: bytes, spans: Sequence[tuple[int, int]]) -> Shared[Any]:
    with os.fdopen(descriptor.detach(), "rb") as file:
        # An empty file cannot be mapped.
        held = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if spans else b""
    view = memoryview(held)
    return Shared(pickle.loads(pickled, buffers=[view[start:stop] for start, stop in spans]))
