"""What the forest knows of a stem: numbers measured over the whole session, one row a stem.

In: the stems of a session, block by block. Out: rows of features. The paper names none; these are
levels, dynamics, spectrum, and each stem beside the others, after De Man and Reiss, "A semantic
approach to autonomous mixing" (2013). All levels are in dB, so that a stem recorded 6 dB louder
moves some features by 6 and leaves the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from drummix.audio import whole_pieces
from drummix.gain_staging import SILENCE_DBFS
from drummix.mixers.forest.envelope import (
    MEASURED_RATE_HZ,
    PIECE_SAMPLES,
    Envelope,
    Music,
    active_pieces,
    add_power,
)
from drummix.roles import PAPER_ROLES, Role

FloatArray = NDArray[np.float32]
DoubleArray = NDArray[np.float64]

BANDS_HZ = ((20.0, 150.0), (150.0, 600.0), (600.0, 2500.0), (2500.0, 7000.0), (7000.0, 20_000.0))

FEATURES: Mapping[str, str] = {
    **{f"is_{role}": "1 for this microphone, else 0" for role in PAPER_ROLES},
    "loud_db": "self-weighted mean of the 10 ms peaks, near the peak of a loud stroke, dBFS",
    "rms_db": "RMS of the music, without silence around it, dBFS",
    "peak_db": "highest 10 ms peak, dBFS",
    "crest_db": "peak less RMS, dB",
    "spread_db": "highest peak less loud strokes, dB",
    "active_share": "share of 10 ms of the music within 30 dB of the highest, 0 to 1",
    **{
        f"band_{low:g}_db": f"energy from {low:g} to {high:g} Hz over all, dB"
        for low, high in BANDS_HZ
    },
    "centroid_octaves": "centre of the power spectrum, octaves above 1 kHz",
    "flatness_db": "geometric over arithmetic mean of the power spectrum, dB",
    "loud_beside_db": "loud strokes less the mean of the session's stems, dB",
    "rms_beside_db": "RMS less the mean of the session's stems, dB",
    "alike": "highest correlation of 10 ms peaks with another stem, -1 to 1",
    "n_stems": "stems of the session that are not silent",
}
"""Name -> meaning and unit, in the order of the columns."""

_FRAME = 4096
_FLOOR = 1e-12
_ACTIVE_DB = 30.0


@dataclass(frozen=True, eq=False)
class Measured:
    """A session's stems, measured.

    Args:
        roles: Role of every stem.
        loud_db: (stems,) see `FEATURES`, and so on below.
        rms_db: (stems,).
        peak_db: (stems,); `SILENCE_DBFS` and below counts as silent.
        active_share: (stems,).
        spectrum: (stems, columns): bands, centroid and flatness.
        alike: (stems,).
    """

    roles: tuple[Role, ...]
    loud_db: DoubleArray
    rms_db: DoubleArray
    peak_db: DoubleArray
    active_share: DoubleArray
    spectrum: DoubleArray
    alike: DoubleArray

    @property
    def is_silent(self) -> NDArray[np.bool_]:
        """Which stems have nothing to go by, (stems,)."""
        return self.peak_db <= SILENCE_DBFS

    def at_gains(self, gains_db: DoubleArray) -> Measured:
        """What would have been measured had each stem been recorded at another gain (stems,)."""
        return replace(
            self,
            loud_db=self.loud_db + gains_db,
            rms_db=self.rms_db + gains_db,
            peak_db=self.peak_db + gains_db,
        )

    def rows(self) -> FloatArray:
        """Features (stems, features); the rows of silent stems mean nothing."""
        heard = ~self.is_silent
        n_heard = max(1, int(heard.sum()))
        columns = [np.array([role is known for role in self.roles], float) for known in PAPER_ROLES]
        columns += [
            self.loud_db,
            self.rms_db,
            self.peak_db,
            self.peak_db - self.rms_db,
            self.peak_db - self.loud_db,
            self.active_share,
            *self.spectrum.T,
            self.loud_db - self.loud_db[heard].sum() / n_heard,
            self.rms_db - self.rms_db[heard].sum() / n_heard,
            self.alike,
            np.full(len(self.roles), float(n_heard)),
        ]
        return np.stack(columns, axis=1).astype(np.float32)


class Measuring:
    """Measures stems as they go by, in memory that grows by 1,200 bytes a second and stem.

    Silence before and behind the music is not measured, and all is measured at 44.1 kHz.

    Args:
        roles: Role of every stem.
        rate_hz: Sample rate in Hz.
    """

    def __init__(self, roles: Sequence[Role], rate_hz: int) -> None:
        self._roles = tuple(roles)
        self._music = Music(rate_hz, len(roles))
        self._envelope = Envelope(len(roles))
        self._frame_rest = np.zeros((len(roles), 0), np.float32)
        self._power = np.zeros((len(roles), _FRAME // 2 + 1))
        self._window = np.hanning(_FRAME).astype(np.float32)

    def add(self, block: FloatArray) -> None:
        """Hear the next samples (stems, samples)."""
        self._hear(self._music.process(block))

    def _hear(self, block: FloatArray) -> None:
        self._envelope.add(block)
        frames, self._frame_rest = whole_pieces(self._frame_rest, block, _FRAME)
        self._add_power(frames)

    def _add_power(self, frames: FloatArray) -> None:
        # Stem by stem: what is between the steps then stays in the cache.
        for stem_frames, power in zip(frames, self._power, strict=True):
            add_power(scipy.fft.rfft(stem_frames * self._window, overwrite_x=True), power)

    def result(self) -> Measured:
        """Everything measured, at the end of the session."""
        self._hear(self._music.flush())
        n_last = self._frame_rest.shape[1]
        last = np.pad(self._frame_rest, ((0, 0), (0, _FRAME - n_last)))[:, np.newaxis]
        self._frame_rest = self._frame_rest[:, :0]
        if n_last:
            self._add_power(last)
        peaks, energies = self._envelope.peaks(), self._envelope.energies()
        is_music = active_pieces(peaks)
        # A last piece of silence: there is a highest peak even in nothing.
        peaks = np.pad(peaks[:, is_music], ((0, 0), (0, 1)))
        n_samples = max(1, int(is_music.sum())) * PIECE_SAMPLES
        highest = peaks.max(axis=1)
        scaled = peaks / np.maximum(highest, _FLOOR)[:, np.newaxis]
        sums = [np.maximum((scaled**power).sum(axis=1), _FLOOR) for power in (4, 6)]
        loud = np.sqrt(sums[1] / sums[0]) * highest
        is_active = scaled > 10 ** (-_ACTIVE_DB / 20)
        return Measured(
            roles=self._roles,
            loud_db=_db(loud),
            rms_db=_db(np.sqrt(energies[:, is_music].sum(axis=1) / n_samples)),
            peak_db=_db(highest),
            active_share=is_active.mean(axis=1),
            spectrum=self._spectrum(),
            alike=_alike(peaks),
        )

    def _spectrum(self) -> DoubleArray:
        frequency_hz = np.fft.rfftfreq(_FRAME, 1 / MEASURED_RATE_HZ)
        heard = (frequency_hz >= BANDS_HZ[0][0]) & (frequency_hz < BANDS_HZ[-1][1])
        power = self._power[:, heard]
        frequency_hz = frequency_hz[heard]
        # Relative to the stem's own strongest line, so that the floor is at no fixed level.
        power = power / np.maximum(power.max(axis=1, keepdims=True), _FLOOR) + _FLOOR
        total = power.sum(axis=1)
        columns = []
        for low_hz, high_hz in BANDS_HZ:
            inside = (frequency_hz >= low_hz) & (frequency_hz < high_hz)
            columns.append(10 * np.log10(power[:, inside].sum(axis=1) / total + 1e-9))
        columns.append(np.log2((power * frequency_hz).sum(axis=1) / total / 1000.0))
        columns.append(10 * np.log10(np.exp(np.log(power).mean(axis=1)) / power.mean(axis=1)))
        return np.stack(columns, axis=1)


def _db(amplitude: DoubleArray) -> DoubleArray:
    return 20 * np.log10(np.maximum(amplitude, 1e-6))


def _alike(peaks: DoubleArray) -> DoubleArray:
    centred = peaks - peaks.mean(axis=1, keepdims=True)
    length = np.sqrt((centred**2).sum(axis=1))
    normed = centred / np.maximum(length, _FLOOR)[:, np.newaxis]
    correlation = np.einsum("in,jn->ij", normed, normed)
    np.fill_diagonal(correlation, -1.0)
    return correlation.max(axis=1, initial=-1.0)
