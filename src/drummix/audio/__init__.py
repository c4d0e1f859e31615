"""Sound files: read whole or in blocks, resample, write atomically; nothing else touches them.

In: WAV, FLAC, AIFF, OGG and MP3 in any bit depth and rate. Out: float32 (channels, samples),
full scale 1.0, and files that are either complete or not there.

Belongs here: everything that opens a sound file, and the atomic write that other outputs share.
Does not belong here: levels, roles, or any idea of what the sound is.
"""

from drummix.audio.atomic import atomic_path, make_folder, remove_leftovers, write_text
from drummix.audio.reading import (
    AUDIO_SUFFIXES,
    FOREIGN_AUDIO_SUFFIXES,
    AudioInfo,
    BlockReader,
    probe,
    read,
)
from drummix.audio.resampling import ResamplingStream
from drummix.audio.samples import (
    Audio,
    SampleFault,
    resample,
    resampled_length,
    sample_fault,
    weighted_sums,
    whole_pieces,
)
from drummix.audio.writing import Writer, write

__all__ = [
    "AUDIO_SUFFIXES",
    "FOREIGN_AUDIO_SUFFIXES",
    "Audio",
    "AudioInfo",
    "BlockReader",
    "ResamplingStream",
    "SampleFault",
    "Writer",
    "atomic_path",
    "make_folder",
    "probe",
    "read",
    "remove_leftovers",
    "resample",
    "resampled_length",
    "sample_fault",
    "weighted_sums",
    "whole_pieces",
    "write",
    "write_text",
]
