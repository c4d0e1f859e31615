"""Sound for a web page: short samples coded as Opus, in memory."""

from __future__ import annotations

import io

import numpy as np
import soundfile

from drummix.audio.samples import Audio, resample
from drummix.errors import SettingError

OPUS_RATE_HZ = 48_000

# libsndfile's compression level is linear in the bit rate of one channel between these ends.
_HIGHEST_BITS, _LOWEST_BITS = 256_000, 6_000


def encode_opus(audio: Audio, *, bits_per_s: int) -> bytes:
    """Code samples as Ogg Opus.

    Args:
        audio: One or two channels; resampled to 48 kHz.
        bits_per_s: Wanted bit rate of all channels together; what a signal really takes varies
            about it.

    Returns:
        The file.

    Raises:
        SettingError: If the bit rate is out of range.
    """
    per_channel = bits_per_s / audio.n_channels
    if not _LOWEST_BITS <= per_channel <= _HIGHEST_BITS:
        raise SettingError(
            "bits_per_s",
            bits_per_s,
            f"Opus takes {_LOWEST_BITS} to {_HIGHEST_BITS} a channel",
            problem=f"is {bits_per_s} for {audio.n_channels} channels",
        )
    level = (_HIGHEST_BITS - per_channel) / (_HIGHEST_BITS - _LOWEST_BITS)
    frames = np.clip(resample(audio.samples, audio.rate_hz, OPUS_RATE_HZ).T, -1.0, 1.0)
    coded = io.BytesIO()
    soundfile.write(
        coded, frames, OPUS_RATE_HZ, format="OGG", subtype="OPUS", compression_level=level
    )
    return coded.getvalue()
