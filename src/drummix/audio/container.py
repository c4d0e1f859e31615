"""Is a sound file as long as its header promises? libsndfile reads a cut-off one without a word.

In: the path of a file. Out: how many bytes of its sound are missing, or whether its end is.
Source: RIFF WAVE, EBU Tech 3306 (RF64) and AIFF chunk layouts; RFC 3533 (OGG).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

_UNKNOWN_SIZES = frozenset({0, 0xFFFFFFFF, 0x7FFFFFFF})
"""What programs write that stream to a pipe and never learn the length."""

_LARGEST_OGG_PAGE_BYTES = 27 + 255 + 255 * 255


def missing_bytes(path: Path) -> tuple[int, int]:
    """Bytes of sound that a WAV, RF64 or AIFF promises but does not hold.

    Args:
        path: The file; one of another container promises nothing that could be checked.

    Returns:
        Bytes missing and bytes promised; (0, 0) for a whole file or another container.
    """
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:] == b"WAVE":
            return _missing_in_chunks(file, sound=b"data", byte_order="<")
        if head[:4] == b"RIFX" and head[8:] == b"WAVE":
            return _missing_in_chunks(file, sound=b"data", byte_order=">")
        if head[:4] == b"FORM" and head[8:] in (b"AIFF", b"AIFC"):
            return _missing_in_chunks(file, sound=b"SSND", byte_order=">")
    return 0, 0


def lacks_last_ogg_page(path: Path) -> bool:
    """Whether an OGG stops before the page that is marked as its last.

    Args:
        path: The file; one of another container lacks nothing.

    Source: RFC 3533, section 6: page header, flag 0x04 (end of stream).
    """
    with path.open("rb") as file:
        if file.read(4) != b"OggS":
            return False
        file.seek(max(0, file.seek(0, 2) - _LARGEST_OGG_PAGE_BYTES))
        end = file.read()
    page = end[end.rfind(b"OggS") :]
    if len(page) < 27 or len(page) < 27 + page[26]:
        return True
    is_whole = len(page) >= 27 + page[26] + sum(page[27 : 27 + page[26]])
    return not (is_whole and page[5] & 0x04)


def _missing_in_chunks(file: BinaryIO, *, sound: bytes, byte_order: str) -> tuple[int, int]:
    start = file.tell()
    file_size = file.seek(0, 2)
    file.seek(start)
    size_64: int | None = None
    while len(head := file.read(8)) == 8:
        name = head[:4]
        (size,) = struct.unpack(byte_order + "I", head[4:])
        start = file.tell()
        if name == b"ds64" and len(sizes := file.read(16)) == 16:
            (size_64,) = struct.unpack("<8xQ", sizes)
        if name == sound:
            promised = size_64 if size_64 is not None and size == 0xFFFFFFFF else size
            if promised in _UNKNOWN_SIZES:
                return 0, 0
            return max(0, start + promised - file_size), promised
        file.seek(start + size + size % 2)
    return 0, 0
