"""How long, and with how much memory, `drummix inspect` looks at giant files with nothing in them.

    python benchmarks/giant_files.py

Writes one file after the other of 1 GB (`--gigabytes`), sparse where the disk can, and inspects
each in a process of its own: headers followed by zeros, and chunks, blocks and tags without end.
"""

from __future__ import annotations

import argparse
import os
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from drummix import audio
from drummix.audio import Audio

_FORMAT = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 44_100, 88_200, 2, 16)
_COPY_BYTES = 1 << 24


def contents(n_bytes: int) -> dict[str, tuple[str, bytes, bytes]]:
    """What each file is -> its suffix, how it starts, and what is repeated to its end."""
    riff = b"RIFF" + struct.pack("<I", n_bytes - 8) + b"WAVE"
    silence = riff + _FORMAT + b"data" + struct.pack("<I", n_bytes - 44)
    return {
        "WAV header, then zeros": (".wav", riff + _FORMAT, b""),
        "WAV of silence, 3:22:54 h a GB": (".wav", silence, b""),
        "RF64 header, then zeros": (".rf64", b"RF64\xff\xff\xff\xffWAVE", b""),
        "AIFF header, then zeros": (".aiff", b"FORM" + bytes(4) + b"AIFF", b""),
        "W64 of empty chunks": (".w64", b"riff" + bytes(36), b"junk" + bytes(12) + b"\x18" * 8),
        "WAV of empty chunks": (".wav", riff, b"junk" + bytes(4)),
        "AIFF of empty chunks": (".aiff", b"FORM" + bytes(4) + b"AIFF", b"ANNO" + bytes(4)),
        "CAF of empty chunks": (".caf", b"caff\0\1\0\0", b"free" + bytes(8)),
        "FLAC of empty blocks": (".flac", b"fLaC", b"\1\0\0\0"),
        "MP3 of empty tags": (".mp3", b"", b"ID3\4" + bytes(6)),
        "OGG of page heads": (".ogg", b"", b"OggS" + bytes(23)),
    }


def write_giant(path: Path, n_bytes: int, head: bytes, repeated: bytes) -> None:
    """Write `head`, then `repeated` (or zeros, sparse) up to a size."""
    with path.open("wb") as file:
        file.write(head)
        piece = repeated * (_COPY_BYTES // max(1, len(repeated)))
        while piece and file.tell() < n_bytes:
            file.write(piece)
        file.truncate(n_bytes)


def inspect(folder: Path) -> tuple[float, int, str]:
    """Seconds and peak memory in MB that `drummix inspect` takes, and what it says."""
    start_s = time.perf_counter()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "drummix", "inspect", folder], stdout=said, stderr=said
        )
        _, _, usage = os.wait4(process.pid, 0)
        took_s = time.perf_counter() - start_s
        said.seek(0)
        lines = [line for line in said.read().splitlines() if line.startswith(("- ", "  "))]
    return took_s, usage.ru_maxrss // 1024, " ".join(line.strip() for line in lines)


def main() -> None:
    """Print a row for every file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=1.0)
    n_bytes = int(parser.parse_args().gigabytes * 1e9)
    with tempfile.TemporaryDirectory() as folder:
        snare = Path(folder) / "snare.wav"
        audio.write(snare, Audio(np.full((1, 44_100), 0.5, np.float32), 44_100))
        inspect(Path(folder))  # what is compiled once, is compiled
        for name, (suffix, head, repeated) in contents(n_bytes).items():
            path = Path(folder) / f"kick{suffix}"
            write_giant(path, n_bytes, head, repeated)
            took_s, peak_mb, _ = inspect(Path(folder))
            print(f"{name:32} {took_s:6.2f} s {peak_mb:5} MB", flush=True)
            path.unlink()


if __name__ == "__main__":
    main()
