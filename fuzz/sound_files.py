"""Damaged sound files of every container: headers, chunks, rates, samples; cut, and sparse."""

from __future__ import annotations

import os
import random
import struct
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import soundfile

import drummix
from drummix.audio import probe, read
from drummix.audio.excerpt import read_excerpt
from drummix.inspection import inspect_session
from fuzz.running import Case, fuzz

RATE_HZ = 44_100
_CONTAINERS = (
    ("wav", "WAV", "PCM_16"),
    ("wav", "WAV", "PCM_24"),
    ("wav", "WAV", "FLOAT"),
    ("wav", "WAVEX", "PCM_24"),
    ("wav", "RF64", "PCM_16"),
    ("w64", "W64", "PCM_24"),
    ("aif", "AIFF", "PCM_24"),
    ("caf", "CAF", "PCM_16"),
    ("flac", "FLAC", "PCM_24"),
    ("ogg", "OGG", "VORBIS"),
    ("mp3", "MP3", "MPEG_LAYER_III"),
)
_HEADER_BYTES = 120
_SPARSE_BYTES = 1 << 26
_NUMBERS = (0, 1, 2, 3, 7, 8, 255, 256, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE)
_PIECES = (b"data", b"fmt ", b"LIST", b"RIFF", b"bext", b"iXML", b"fact", b"SSND", b"COMM", b"\0")
_SHOWN_BYTES = 400


def _bytes_of(format: str, subtype: str, folder: Path) -> bytes:
    rng = np.random.default_rng(0)
    samples = 0.1 * rng.standard_normal((4000, 2 if format == "W64" else 1))
    path = folder / "good"
    soundfile.write(path, samples, RATE_HZ, subtype, format=format)
    return path.read_bytes()


def _number(good: bytes, rng: random.Random) -> bytes:
    """Another number of 2, 4 or 8 bytes, of either order, in the header."""
    width = rng.choice((2, 4, 4, 4, 8))
    at = rng.randrange(max(1, min(len(good), _HEADER_BYTES) - width))
    value = rng.choice((*_NUMBERS, rng.randrange(1 << 32))) % (1 << (8 * width))
    order = rng.choice(("little", "big"))
    return good[:at] + value.to_bytes(width, order) + good[at + width :]


def _flip(good: bytes, rng: random.Random) -> bytes:
    where = _HEADER_BYTES if rng.random() < 0.7 else len(good)
    at = rng.randrange(min(len(good), where))
    return good[:at] + bytes([rng.randrange(256)]) + good[at + 1 :]


def _cut(good: bytes, rng: random.Random) -> bytes:
    return good[: rng.randrange(len(good) if rng.random() < 0.5 else _HEADER_BYTES)]


def _take_out(good: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(good))
    return good[:start] + good[start + rng.randint(1, 64) :]


def _put_in(good: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(min(len(good), _HEADER_BYTES))
    piece = rng.choice(_PIECES) + struct.pack("<I", rng.choice(_NUMBERS))
    return good[:at] + piece * rng.choice((1, 1, 500)) + good[at:]


def _wild_samples(good: bytes, rng: random.Random) -> bytes:
    wild = struct.pack("<f", rng.choice((float("nan"), float("inf"), 3e38, -3e38, 1e20)))
    at = rng.randrange(len(good))
    return good[:at] + wild * rng.choice((1, 40)) + good[at + 4 :]


_KINDS = (*(_number,) * 4, _flip, _flip, _cut, _take_out, _put_in, _wild_samples)


def _read_all(path: Path) -> object:
    """All that drummix does with a sound file before it mixes."""
    inspect_session(path.parent, roles={"kick": path.name})
    info = probe(path)
    if path.suffix == ".wav":
        read_excerpt(path, 0, min(info.n_samples, 100))
    return read(path)


def _mix(path: Path) -> object:
    session = drummix.open_session(path.parent, roles={"kick": path.name})
    if session.n_samples > 10 * session.rate_hz:
        return session  # what a header promises may be hours
    return drummix.mix(path.parent, system="unity", roles={"kick": path.name})


def targets(folder: Path) -> list[tuple[str, Path, bytes, Callable[[Path], object]]]:
    """What is damaged, and what reads it: name, file, its bytes, reader."""
    found = []
    for suffix, format, subtype in _CONTAINERS:
        good = _bytes_of(format, subtype, folder)
        for word, reader in (("read", _read_all), ("mix", _mix)):
            place = folder / f"{format}-{subtype}-{word}"
            place.mkdir()
            found.append((f"{format} {subtype} {word}", place / f"x.{suffix}", good, reader))
    return found


def main(words: Sequence[str] | None = None) -> int:
    """Run the command."""
    # The decoder of MP3 talks about every damage on its own; findings go to stdout.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    with tempfile.TemporaryDirectory(prefix="drummix-fuzz-") as name:
        known = targets(Path(name))
        for _, path, good, reader in known:  # loads and compiles what the first case would
            path.write_bytes(good)
            reader(path)
            path.unlink()

        def case(rng: random.Random) -> Case:
            target, path, good, reader = rng.choice(known)
            damaged = good
            for _ in range(rng.choice((1, 1, 2, 4))):
                damaged = rng.choice(_KINDS)(damaged or good, rng)
            is_sparse = rng.random() < 0.02

            def run() -> object:
                path.write_bytes(damaged)
                try:
                    if is_sparse:  # a recorder that died leaves zeros, as many as it had reserved
                        with path.open("r+b") as file:
                            file.truncate(_SPARSE_BYTES)
                    return reader(path)
                finally:
                    path.unlink()

            zeros = f", then zeros up to {_SPARSE_BYTES}" if is_sparse else ""
            shown = f"{damaged[:_SHOWN_BYTES]!r} ({len(damaged)} bytes{zeros})"
            return Case(target, shown, run)

        return fuzz(case, words)


if __name__ == "__main__":
    sys.exit(main())
