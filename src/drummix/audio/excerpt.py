"""Short stretches out of long files, as training reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from drummix.audio.samples import FloatArray
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
    try:
        with soundfile.SoundFile(path) as file:
            first, last = max(0, start), min(file.frames, start + n_samples)
            excerpt = np.zeros((n_samples, file.channels), np.float32)
            if first < last:
                file.seek(first)
                heard = file.read(last - first, dtype="float32", always_2d=True)
                excerpt[first - start : first - start + len(heard)] = heard
    except (OSError, soundfile.LibsndfileError) as error:
        raise AudioFileError(f"{path} cannot be read ({error}); render or copy it again") from error
    return np.ascontiguousarray(excerpt.T)
