"""Short stretches out of long files, as training reads them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from drummix.audio.samples import FloatArray
from drummix.audio.wav_excerpt import read_frames, wav_layout
from drummix.errors import AudioFileError


def read_excerpt(path: Path, start: int, n_samples: int) -> FloatArray:
    """Read part of a sound file; what lies before or after the file is silence.

    Args:
        path: The file.
        start: First sample wanted; may be negative or past the end.
        n_samples: Number of samples wanted.

    Returns:
        Samples (channels, n_samples).

    Raises:
        AudioFileError: If the file cannot be read.
    """
    return _read(path, start, n_samples, None)


def read_mono_excerpts(paths: Sequence[Path | None], start: int, n_samples: int) -> FloatArray:
    """Read the same part of several mono files.

    Args:
        paths: The files; None for one that there is not, which is silence.
        start: First sample wanted; may be negative or past the end.
        n_samples: Number of samples wanted.

    Returns:
        Samples (files, n_samples).

    Raises:
        AudioFileError: If a file cannot be read or is not mono.
    """
    excerpts = np.zeros((len(paths), n_samples), np.float32)
    for path, row in zip(paths, excerpts, strict=True):
        if path is not None:
            _read(path, start, n_samples, row[np.newaxis])
    return excerpts


def _read(path: Path, start: int, n_samples: int, out: FloatArray | None) -> FloatArray:
    """Read into `out` (channels, n_samples), which is silence, or into a new array."""
    try:
        with path.open("rb", buffering=0) as file:
            layout = wav_layout(file)
            if layout is not None:
                out = _room(path, layout.n_channels, n_samples, out)
                first, last = _within(layout.n_frames, start, n_samples)
                if first < last:
                    read_frames(file, layout, first, out[:, first - start : last - start])
                return out
        with soundfile.SoundFile(path) as sound:
            out = _room(path, sound.channels, n_samples, out)
            first, last = _within(sound.frames, start, n_samples)
            if first < last:
                sound.seek(first)
                heard = sound.read(last - first, dtype="float32", always_2d=True)
                out[:, first - start : first - start + len(heard)] = heard.T
            return out
    except (OSError, soundfile.LibsndfileError) as error:
        raise AudioFileError(f"{path} cannot be read ({error}); render or copy it again") from error


def _room(path: Path, n_channels: int, n_samples: int, out: FloatArray | None) -> FloatArray:
    if out is None:
        return np.zeros((n_channels, n_samples), np.float32)
    if len(out) != n_channels:
        raise AudioFileError(f"{path} has {n_channels} channels; expected {len(out)}")
    return out


def _within(n_frames: int, start: int, n_samples: int) -> tuple[int, int]:
    """First and last sample of a stretch that lie within a file."""
    return max(0, start), min(n_frames, start + n_samples)
