"""Reading sound files, whole or block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np
import soundfile
import soxr

from drummix.audio.container import check_chunks, lacks_last_ogg_page, missing_bytes
from drummix.audio.samples import (
    RESAMPLING_QUALITY,
    Audio,
    FloatArray,
    fit_length,
    resampled_length,
    sample_fault,
)
from drummix.audio.wav_excerpt import WavLayout, read_frames, wav_layout
from drummix.errors import AudioFileError

AUDIO_SUFFIXES = frozenset(
    {".wav", ".wave", ".bwf", ".rf64", ".w64", ".flac", ".aif", ".aiff", ".aifc", ".caf"}
    | {".au", ".ogg", ".oga", ".opus", ".mp3"}
)
"""Suffixes, in lower case, of the sound files that can be read."""

FOREIGN_AUDIO_SUFFIXES = frozenset([".m4a", ".mp4", ".aac", ".wma", ".ape", ".wv", ".alac"])
"""Suffixes of sound files that cannot be read and must be converted first."""

MIN_RATE_HZ, MAX_RATE_HZ = 1000, 768_000
"""Converters go up to 768 kHz; a header that says more is damaged."""

_AT_ONCE_SAMPLES = 1 << 24

_LOSSY_FORMATS = frozenset({"OGG", "MP3"})
_LOSSY_SHORTFALL_SAMPLES = 4 * 1152
"""MP3 and OGG headers may miss the length by some coder frames; more is a file cut off."""


@dataclass(frozen=True)
class AudioInfo:
    """What a sound file's header says.

    Args:
        path: The file.
        rate_hz: Sample rate in Hz.
        n_channels: Number of channels.
        n_samples: Length in samples (of one channel).
        format: Container as libsndfile names it, e.g. ``WAV``.
        subtype: Coding as libsndfile names it, e.g. ``PCM_24``.
    """

    path: Path
    rate_hz: int
    n_channels: int
    n_samples: int
    format: str
    subtype: str

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.n_samples / self.rate_hz


def probe(path: Path | str) -> AudioInfo:
    """Read a sound file's header and check that the file is as long as it promises.

    Raises:
        AudioFileError: If the file is missing, is no sound file, holds no samples or was cut off.
    """
    with _open_for_reading(Path(path)) as file:
        return _info(Path(path), file)


def read(path: Path | str, *, rate_hz: int | None = None) -> Audio:
    """Read a whole sound file.

    Args:
        path: The file.
        rate_hz: Rate in Hz to resample to; None keeps the file's own.

    Returns:
        The file's channels as they are, float32.

    Raises:
        AudioFileError: As `probe`, or if a sample is NaN or infinite.
    """
    with BlockReader(path, rate_hz=rate_hz) as reader:
        if reader.n_samples * reader.n_channels <= _AT_ONCE_SAMPLES:
            return Audio(reader.read(reader.n_samples), reader.rate_hz)
        # Room is made for what is there, not for what a header promises.
        blocks = list(reader.blocks(_AT_ONCE_SAMPLES // reader.n_channels))
        return Audio(np.concatenate(blocks, axis=1), reader.rate_hz)


class BlockReader:
    """A sound file read block by block, resampled on the way where asked.

    The blocks joined equal `read` of the same file, whatever their sizes. A context manager.

    Args:
        path: The file.
        rate_hz: Rate in Hz to resample to; None keeps the file's own.

    Attributes:
        info: The file's header.
        rate_hz: Rate in Hz of what `read` returns.
        n_channels: Number of channels.
        n_samples: Length of the whole file in samples at `rate_hz`.

    Raises:
        AudioFileError: As `probe`; `read` and `blocks` raise it for a NaN or infinite sample.
    """

    def __init__(self, path: Path | str, *, rate_hz: int | None = None) -> None:
        self._file = _open_for_reading(Path(path))
        self.info = _info(Path(path), self._file)
        self._plain = _open_plain(self.info)
        # Whole numbers are always finite; to look costs as much as to decode.
        self._is_whole_numbers = self.info.subtype.startswith("PCM_")
        self.rate_hz = self.info.rate_hz if rate_hz is None else rate_hz
        self.n_channels = self.info.n_channels
        self.n_samples = resampled_length(self.info.n_samples, self.info.rate_hz, self.rate_hz)
        self._n_source_read = 0
        self._n_returned = 0
        self._stream: soxr.ResampleStream | None = None
        self._waiting: FloatArray = np.zeros((0, self.n_channels), dtype=np.float32)
        if self.rate_hz != self.info.rate_hz:
            self._stream = soxr.ResampleStream(
                self.info.rate_hz,
                self.rate_hz,
                self.n_channels,
                dtype="float32",
                quality=RESAMPLING_QUALITY,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        if self._plain is not None:
            self._plain[0].close()

    def read(self, n_samples: int) -> FloatArray:
        """The next samples, (channels, at most `n_samples`); (channels, 0) at the end."""
        wanted = min(n_samples, self.n_samples - self._n_returned)
        self._n_returned += wanted
        if self._stream is None:
            return self._read_source(wanted).T
        parts = [self._waiting]
        n_ready = self._waiting.shape[0]
        while n_ready < wanted and self._n_source_read < self.info.n_samples:
            n_needed = (wanted - n_ready) * self.info.rate_hz // self.rate_hz + 1024
            source = self._read_source(min(n_needed, self.info.n_samples - self._n_source_read))
            is_last = self._n_source_read == self.info.n_samples
            parts.append(self._stream.resample_chunk(source, last=is_last))
            n_ready += parts[-1].shape[0]
        ready = np.concatenate(parts)
        self._waiting = ready[wanted:].copy()
        return fit_length(ready, wanted).T

    def blocks(self, n_samples: int) -> Iterator[FloatArray]:
        """What is left of the file, in blocks of `n_samples`; the last may be shorter."""
        while (block := self.read(n_samples)).shape[1] > 0:
            yield block

    def _read_source(self, n_samples: int) -> FloatArray:
        """Exactly `n_samples` frames (samples, channels) at the file's own rate, all finite."""
        try:
            frames = self._decoded(n_samples)
        except soundfile.LibsndfileError as error:
            reason = error.error_string.removeprefix("Error : ").rstrip(".")
            raise AudioFileError(
                f"{self.info.path} is damaged and cannot be decoded to its end ({reason}); "
                "copy or export it again"
            ) from error
        n_missing = n_samples - frames.shape[0]
        if self.info.format in _LOSSY_FORMATS and 0 < n_missing <= _LOSSY_SHORTFALL_SAMPLES:
            frames = fit_length(frames, n_samples)
        elif n_missing > 0:
            found_s = (self._n_source_read + frames.shape[0]) / self.info.rate_hz
            raise _cut_off(self.info.path, self.info.duration_s, found_s)
        fault = None if self._is_whole_numbers else sample_fault(frames.T)
        if fault is not None:
            at_s = (self._n_source_read + fault.at) / self.info.rate_hz
            raise AudioFileError(
                f"{self.info.path} holds {fault.what} at {at_s:.3f} s; export it again, or repair "
                "that place"
            )
        self._n_source_read += n_samples
        return frames

    def _decoded(self, n_samples: int) -> FloatArray:
        """The next frames (at most `n_samples`, channels) of the file."""
        if self._plain is None:
            return self._file.read(n_samples, dtype="float32", always_2d=True)
        file, layout = self._plain
        n_left = layout.n_frames - self._n_source_read
        samples = np.empty((layout.n_channels, min(n_samples, n_left)), np.float32)
        try:
            if samples.size:
                read_frames(file, layout, self._n_source_read, samples)
        except OSError:  # cut off since it was opened
            samples = samples[:, :0]
        return np.ascontiguousarray(samples.T)


def _open_plain(info: AudioInfo) -> tuple[BinaryIO, WavLayout] | None:
    """A WAV file that can be decoded here, in a fifth of the time; None for any other."""
    if info.format not in ("WAV", "WAVEX"):
        return None
    file = info.path.open("rb")
    layout = wav_layout(file)
    if layout is None or (layout.n_frames, layout.n_channels) != (info.n_samples, info.n_channels):
        file.close()
        return None
    return file, layout


def _open_for_reading(path: Path) -> soundfile.SoundFile:
    try:
        size_bytes = path.stat().st_size
        if path.is_dir():
            raise AudioFileError(f"{path} is a folder; expected a sound file")
        if size_bytes == 0:
            raise AudioFileError(f"{path} is empty (0 bytes); copy or export it again")
        check_chunks(path)
        n_missing, n_promised = missing_bytes(path)
        if lacks_last_ogg_page(path):
            raise AudioFileError(f"{path} is cut off: its end is missing; copy or export it again")
        file = soundfile.SoundFile(path)
    except OSError as error:
        raise AudioFileError(f"{path} cannot be read: {error.strerror or error}") from error
    except soundfile.LibsndfileError as error:
        raise AudioFileError(
            f"{path} is not a sound file that can be read ({error.error_string.rstrip('.')}); "
            "expected WAV, FLAC, AIFF, OGG or MP3"
        ) from error
    try:
        _check_header(path, file, n_missing, n_promised)
    except AudioFileError:
        file.close()
        raise
    return file


def _check_header(path: Path, file: soundfile.SoundFile, n_missing: int, n_promised: int) -> None:
    if n_missing > 0:
        there_s = file.frames / file.samplerate
        promised_s = there_s * n_promised / max(1, n_promised - n_missing)
        raise _cut_off(path, promised_s, there_s)
    if file.frames == 0:
        raise AudioFileError(f"{path} holds no samples; export it again, or take it out")
    if not MIN_RATE_HZ <= file.samplerate <= MAX_RATE_HZ:
        raise AudioFileError(
            f"{path} has a sample rate of {file.samplerate} Hz; expected {MIN_RATE_HZ} to "
            f"{MAX_RATE_HZ} Hz: export it again"
        )


def _info(path: Path, file: soundfile.SoundFile) -> AudioInfo:
    return AudioInfo(
        path=path,
        rate_hz=file.samplerate,
        n_channels=file.channels,
        n_samples=file.frames,
        format=file.format,
        subtype=file.subtype,
    )


def _cut_off(path: Path, promised_s: float, there_s: float) -> AudioFileError:
    return AudioFileError(
        f"{path} is cut off: its header promises {promised_s:.3f} s, "
        f"{there_s:.3f} s are there; copy or export it again"
    )
