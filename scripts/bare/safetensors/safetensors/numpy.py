"""Tensors as numpy arrays: `save` to bytes, `load` from bytes."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from safetensors import SafetensorError

_TYPES = {"F16": np.dtype("<f2"), "F32": np.dtype("<f4"), "F64": np.dtype("<f8")}
_ALIGNMENT = 8


def save(tensors: Mapping[str, NDArray[Any]]) -> bytes:
    """Tensors as the bytes of a file."""
    names = {kind: name for name, kind in _TYPES.items()}
    header: dict[str, Any] = {}
    blocks: list[bytes] = []
    at = 0
    for name, tensor in sorted(tensors.items(), key=lambda t: (-t[1].dtype.itemsize, t[0])):
        block = np.ascontiguousarray(tensor, tensor.dtype.newbyteorder("<")).tobytes()
        header[name] = {
            "dtype": names[tensor.dtype.newbyteorder("<")],
            "shape": list(tensor.shape),
            "data_offsets": [at, at + len(block)],
        }
        at += len(block)
        blocks.append(block)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return struct.pack("<Q", len(text)) + text + b"".join(blocks)


def load(data: bytes) -> dict[str, NDArray[Any]]:
    """Tensors by name.

    Raises:
        SafetensorError: If the bytes are no such file.
    """
    try:
        (n_header,) = struct.unpack_from("<Q", data)
        header = json.loads(data[8 : 8 + n_header])
        body = memoryview(data)[8 + n_header :]
        tensors = {}
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            first, last = entry["data_offsets"]
            flat = np.frombuffer(body[first:last], _TYPES[entry["dtype"]])
            tensors[name] = flat.reshape(entry["shape"]).copy()
    except (struct.error, ValueError, KeyError, TypeError) as error:
        raise SafetensorError(str(error)) from error
    return tensors
