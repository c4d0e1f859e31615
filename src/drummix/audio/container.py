"""Is a sound file as long as its header promises? libsndfile reads a cut-off one without a word.

In: the path of a file. Out: how many bytes of its sound are missing, or whether its end is. What
is walked through here is counted: a file of a billion empty chunks is no sound file, and neither
this module nor libsndfile shall look for its sound for minutes.

Source: RIFF WAVE, EBU Tech 3306 (RF64), AIFF, CAF and Wave64 chunk layouts; RFC 3533 (OGG);
RFC 9639 (FLAC); ID3v2.4.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from drummix.errors import AudioFileError

MAX_CHUNKS = 10_000
"""Real files hold a dozen; some editors write one for each of some hundred markers."""

MAX_TAGS = 20

_UNKNOWN_SIZES = frozenset({0, 0xFFFFFFFF, 0x7FFFFFFF})
"""What programs write that stream to a pipe and never learn the length."""

_LARGEST_OGG_PAGE_BYTES = 27 + 255 + 255 * 255


@dataclass(frozen=True)
class _Layout:
    """How a container's chunks follow each other.

    Args:
        size: Form of a chunk's size, as `struct` names it.
        name_bytes: Length of a chunk's name.
        multiple: Chunks start at multiples of this many bytes behind the first.
        start: Where the first one starts.
        sound: Name of the chunk with the sound, where its size is looked at.
        counts_head: Whether a size counts the name and itself.
    """

    size: str
    name_bytes: int = 4
    multiple: int = 2
    start: int = 12
    sound: bytes = b""
    counts_head: bool = False


@dataclass(frozen=True)
class _Chunk:
    name: bytes
    start: int
    size: int


_FLAC = _Layout(">I", name_bytes=0, multiple=1, start=4)


def check_chunks(path: Path) -> None:
    """Refuse a file that is nothing but chunks, blocks or tags, before a decoder walks them.

    Raises:
        AudioFileError: If there are more than any sound file has.
        OSError: If the file cannot be read.
    """
    with path.open("rb") as file:
        after_tags = _skip_tags(path, file)
        layout = _layout_at(file, after_tags)
        if layout is not None:
            for number, _ in enumerate(_chunks(file, layout, after_tags)):
                if number >= MAX_CHUNKS:
                    raise _too_many(path, f"{MAX_CHUNKS} chunks")


def missing_bytes(path: Path) -> tuple[int, int]:
    """Bytes of sound that a WAV, RF64 or AIFF promises but does not hold.

    Args:
        path: The file; one of another container promises nothing that could be checked.

    Returns:
        Bytes missing and bytes promised; (0, 0) for a whole file or another container.
    """
    with path.open("rb") as file:
        layout = _layout_at(file, 0)
        if layout is None or not layout.sound:
            return 0, 0
        size_64: int | None = None
        for chunk in _chunks(file, layout, 0):
            if chunk.name == b"ds64" and len(sizes := file.read(16)) == 16:
                (size_64,) = struct.unpack("<8xQ", sizes)
            if chunk.name == layout.sound:
                is_long = size_64 is not None and chunk.size == 0xFFFFFFFF
                promised = size_64 if size_64 is not None and is_long else chunk.size
                if promised in _UNKNOWN_SIZES:
                    return 0, 0
                return max(0, chunk.start + promised - file.seek(0, 2)), promised
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


def _layout_at(file: BinaryIO, start: int) -> _Layout | None:
    file.seek(start)
    head = file.read(16)
    kind, form = head[:4], head[8:12]
    if kind in (b"RIFF", b"RF64", b"BW64") and form == b"WAVE":
        return _Layout("<I", sound=b"data")
    if kind == b"RIFX" and form == b"WAVE":
        return _Layout(">I", sound=b"data")
    if kind == b"FORM" and form in (b"AIFF", b"AIFC"):
        return _Layout(">I", sound=b"SSND")
    if kind == b"caff":
        return _Layout(">q", multiple=1, start=8)
    if kind == b"riff":
        return _Layout("<Q", name_bytes=16, multiple=8, start=40, counts_head=True)
    return _FLAC if kind == b"fLaC" else None


def _chunks(file: BinaryIO, layout: _Layout, base: int) -> Iterator[_Chunk]:
    """Chunks as long as they look like some; `file` stands behind the head of the last one."""
    at = base + layout.start
    head_bytes = layout.name_bytes + struct.calcsize(layout.size)
    n_bytes = file.seek(0, 2)
    # A size of 64 bits may lead beyond what a file can be.
    while at < n_bytes:
        file.seek(at)
        head = file.read(head_bytes)
        if len(head) < head_bytes:
            return
        name = head[: layout.name_bytes]
        (size,) = struct.unpack(layout.size, head[layout.name_bytes :])
        if layout is _FLAC:
            is_last, size = size >> 31, size & 0xFFFFFF
        elif not name[:4].isascii() or not name[:4].decode("ascii").isprintable():
            return  # zeros, or whatever else was written behind the last chunk
        if layout.counts_head:
            size -= head_bytes
        if size < 0:
            return
        yield _Chunk(name, at + head_bytes, size)
        if layout is _FLAC and is_last:
            return
        at += head_bytes + size
        at += -(at - base) % layout.multiple


def _skip_tags(path: Path, file: BinaryIO) -> int:
    """Where a file starts behind the ID3 tags in front of it."""
    at = 0
    for _ in range(MAX_TAGS):
        file.seek(at)
        head = file.read(10)
        if len(head) < 10 or head[:3] != b"ID3":
            return at
        at += 10 + sum(
            (byte & 0x7F) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True)
        )
    raise _too_many(path, f"{MAX_TAGS} tags in front of it")


def _too_many(path: Path, what: str) -> AudioFileError:
    return AudioFileError(
        f"{path} is no sound file: it has {what} or more; copy or export it again"
    )
