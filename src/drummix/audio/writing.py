"""Writing sound files, whole or block by block, atomically."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import soundfile
from numpy.typing import NDArray

from drummix.arrays import FloatArray
from drummix.audio.atomic import atomic_path
from drummix.audio.samples import Audio
from drummix.errors import OutputError, SettingError

_FORMATS = {
    ".wav": "WAV",
    ".wave": "WAV",
    ".bwf": "WAV",
    ".flac": "FLAC",
    ".aif": "AIFF",
    ".aiff": "AIFF",
    ".ogg": "OGG",
    ".mp3": "MP3",
}
_FLOAT_SUBTYPES = frozenset({"FLOAT", "DOUBLE"})
_LOSSY_FORMATS = frozenset({"OGG", "MP3"})
_BITS = {
    "PCM_S8": 8,
    "PCM_U8": 8,
    "PCM_16": 16,
    "PCM_24": 24,
    "PCM_32": 32,
    "FLOAT": 32,
    "DOUBLE": 64,
}
_MAX_DITHERED_BITS = 16
"""Of 24 bits the last step is 48 dB below that of 16, and below the noise of any recording."""
_DITHER_SEED = 16
_RIFF_LIMIT_BYTES = 2**32 - 2**16
"""A WAV's sizes are 32 bits; the rest is room for its header."""
_COPY_SAMPLES = 1 << 20


class Writer:
    """A sound file written block by block that appears only when it is complete.

    A context manager: the file takes its name when the block ends, and nothing is left behind if
    it ends with an exception. Samples beyond full scale are limited to it and counted, except in
    a float subtype, which keeps them. A WAV that outgrows 4 GB becomes an RF64.

    Codings of 16 bits or fewer are dithered where a sample lies between two steps: what is on a
    step, as silence and what was read from such a file, stays there. The dither of every file is
    the same, whatever the blocks.

    Args:
        target: The file to write; its suffix chooses the container.
        rate_hz: Sample rate in Hz.
        n_channels: Number of channels of every block.
        subtype: Coding, e.g. ``PCM_16``, ``PCM_24``, ``FLOAT``; OGG and MP3 have only their own.
        format: Container, for a target whose suffix does not tell.

    Attributes:
        n_clipped: Number of samples so far that went beyond full scale and were limited.

    Raises:
        OutputError: If the file cannot be written.
        SettingError: If the container or the coding is unknown, or they do not go together.
    """

    def __init__(
        self,
        target: Path | str,
        *,
        rate_hz: int,
        n_channels: int,
        subtype: str = "PCM_24",
        format: str | None = None,
    ) -> None:
        self._target = Path(target)
        self._format = format or _format_of(self._target)
        self._subtype = None if self._format in _LOSSY_FORMATS else subtype
        self._rate_hz = rate_hz
        self._n_channels = n_channels
        if not soundfile.check_format(self._format, self._subtype):
            raise SettingError(
                "subtype",
                subtype,
                f"use one of {', '.join(soundfile.available_subtypes(self._format))}",
                problem=f"is {subtype!r}, which {self._format} cannot hold",
            )
        self._n_bits = _BITS.get(str(self._subtype), 32)
        # Always the same noise, so that the same samples always make the same file.
        self._dither_rng = np.random.default_rng(_DITHER_SEED)
        self.n_clipped = 0
        self._n_written = 0

    def __enter__(self) -> Self:
        self._atomic = atomic_path(self._target)
        self._path = self._atomic.__enter__()
        try:
            self._file = self._open(self._path)
        except BaseException as error:
            self._atomic.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._file.close()
            if exception is None and self._path.parent.is_dir():  # moved: `atomic_path` says it
                self._check_written()
        except BaseException as error:
            self._atomic.__exit__(type(error), error, error.__traceback__)
            raise
        self._atomic.__exit__(kind, exception, trace)

    def write(self, block: NDArray[np.floating]) -> None:
        """Append samples (channels, samples)."""
        if block.shape[0] != self._n_channels:
            raise SettingError(
                "block",
                block.shape,
                "expected (channels, samples)",
                problem=f"has {block.shape[0]} channels, {self._target.name} {self._n_channels}",
            )
        frames: NDArray[np.generic]
        if self._subtype in _FLOAT_SUBTYPES:
            frames = np.array(block.T, order="C")
        else:
            self.n_clipped += int(np.count_nonzero(np.abs(block) > 1.0))
            dither = self._dither(block.shape[1]) if self._n_bits <= _MAX_DITHERED_BITS else None
            frames = _to_int32(block.T, self._n_bits, dither)
        if self._format == "WAV" and self._size_bytes(frames.shape[0]) > _RIFF_LIMIT_BYTES:
            self._go_on_as_rf64()
        self._append(self._file, frames)
        self._n_written += frames.shape[0]

    def _open(self, path: Path) -> soundfile.SoundFile:
        try:
            return soundfile.SoundFile(
                path, "w", self._rate_hz, self._n_channels, self._subtype, format=self._format
            )
        except soundfile.LibsndfileError as error:
            raise OutputError(
                f"{self._target} cannot be written as {self._format}, {self._rate_hz} Hz, "
                f"{self._n_channels} channels: {error.error_string}"
            ) from error

    def _append(self, file: soundfile.SoundFile, frames: NDArray[np.generic]) -> None:
        try:
            file.write(frames)
        except soundfile.LibsndfileError as error:
            raise self._incomplete() from error

    def _dither(self, n_frames: int) -> FloatArray:
        """Triangular noise within one step, in steps (frames, channels)."""
        shape = (n_frames, self._n_channels, 2)
        uniform = self._dither_rng.random(shape, dtype=np.float32)
        return uniform[..., 0] - uniform[..., 1]

    def _size_bytes(self, n_more: int) -> int:
        return (self._n_written + n_more) * self._n_channels * _BITS[str(self._subtype)] // 8

    def _go_on_as_rf64(self) -> None:
        """Move what is written so far into a container with 64-bit sizes."""
        self._file.close()
        self._check_written()
        self._format = "RF64"
        bigger = self._path.with_name(self._path.name + ".rf64")
        # Integers go through int32 unchanged, floats through double.
        dtype = "float64" if self._subtype in _FLOAT_SUBTYPES else "int32"
        try:
            with soundfile.SoundFile(self._path) as old, self._open(bigger) as new:
                for frames in old.blocks(_COPY_SAMPLES, dtype=dtype, always_2d=True):
                    self._append(new, frames)
            bigger.replace(self._path)
        finally:
            bigger.unlink(missing_ok=True)
        self._file = soundfile.SoundFile(self._path, "r+")
        self._file.seek(0, soundfile.SEEK_END)

    def _check_written(self) -> None:
        """Libsndfile may not report a write that failed; a short file does."""
        try:
            n_found = soundfile.info(self._path).frames
        except soundfile.LibsndfileError as error:
            raise self._incomplete() from error
        if n_found < self._n_written and self._format not in _LOSSY_FORMATS:
            raise self._incomplete()

    def _incomplete(self) -> OutputError:
        return OutputError(
            f"{self._target} could not be written after "
            f"{self._n_written / self._rate_hz:.3f} s; free space on its disk, or choose another"
        )


def write(target: Path | str, audio: Audio, *, subtype: str = "PCM_24") -> int:
    """Write a whole sound file, atomically.

    Args:
        target: The file to write; its suffix chooses the container.
        audio: What to write.
        subtype: Coding, as in `Writer`.

    Returns:
        Number of samples that went beyond full scale and were limited.

    Raises:
        OutputError: If the file cannot be written.
        SettingError: If the container or the coding is unknown, or they do not go together.
    """
    writer = Writer(target, rate_hz=audio.rate_hz, n_channels=audio.n_channels, subtype=subtype)
    with writer:
        for start in range(0, audio.n_samples, _COPY_SAMPLES):
            writer.write(audio.samples[:, start : start + _COPY_SAMPLES])
    return writer.n_clipped


def _format_of(target: Path) -> str:
    try:
        return _FORMATS[target.suffix.lower()]
    except KeyError:
        what = target.suffix or "a name without suffix"
        raise SettingError(
            "target",
            target.name,
            f"use one of {' '.join(sorted(_FORMATS))}",
            problem=f"is {target.name}; which sound file is {what}?",
        ) from None


def _to_int32(
    frames: NDArray[np.floating], n_bits: int, dither: FloatArray | None
) -> NDArray[np.int32]:
    """Frames limited to full scale, rounded to `n_bits` and put at the top of 32-bit integers.

    libsndfile's own conversion multiplies by 2^(bits - 1) - 1 and truncates: files read and
    written again would change. This way they come out bit by bit as they went in.

    Source: Lipshitz, Wannamaker and Vanderkooy, "Quantization and dither", JAES 40(5), 1992: with
    triangular dither of two steps' width neither mean nor variance of the error follow the sound.
    """
    steps = 2.0 ** (n_bits - 1)
    # Up to 24 bits float32 holds every step, and a power of two scales it without rounding.
    is_exact = n_bits <= 24 and frames.dtype == np.float32
    scaled = np.multiply(frames, steps, dtype=np.float32 if is_exact else np.float64)
    if dither is not None:
        scaled += np.where(scaled == np.rint(scaled), np.float32(0.0), dither)
    integers = np.clip(np.rint(scaled, out=scaled), -steps, steps - 1.0, out=scaled)
    return np.ascontiguousarray(integers.astype(np.int32) << np.int32(32 - n_bits))
