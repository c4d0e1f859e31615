"""From mixes to stimuli: one excerpt an item, one loudness, no sign of the system.

In: the files of every system for one item. Out: samples of one length, rate and loudness, and what
was done to them. Loudness is BS.1770's and the true peak is checked, both by `drummix.levels`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drummix.audio import Audio, read
from drummix.errors import AudioFileError, TextFileError
from drummix.levels import db_to_gain, integrated_lufs, true_peak_dbtp
from drummix.listening.study import Study, System
from drummix.mixers.anchor import LOW_PASSES

FloatArray = NDArray[np.float32]

EDGE_S = 0.005
"""Raised-cosine fades at both ends of an excerpt, so that it loops without a click."""

_FRAME_S = 0.1
_MAX_LENGTH_DIFFERENCE_S = 0.05
_SAME_DIFFERENCE = 1e-4
_SILENT_FRAME_DB = 60.0
_LOW_PASS_NAMES = {"bs1534": "anchor", "paper": "anchor-paper"}


@dataclass(frozen=True, eq=False)
class Prepared:
    """One system's stimulus of an item.

    Args:
        samples: Samples (2, samples).
        source: The file it came from.
        gain_db: Gain that was applied.
        lufs: Loudness as it is now.
        true_peak_dbtp: True peak as it is now.
    """

    samples: FloatArray
    source: Path
    gain_db: float
    lufs: float
    true_peak_dbtp: float


@dataclass(frozen=True, eq=False)
class PreparedItem:
    """The stimuli of one item.

    Args:
        stimuli: System -> its stimulus; all of one length.
        start_s: Where the excerpt starts in the mixes.
        duration_s: Length of the excerpt.
        notices: What a person should know.
    """

    stimuli: Mapping[str, Prepared]
    start_s: float
    duration_s: float
    notices: tuple[str, ...]


def prepare_item(
    study: Study, item: str, files: Mapping[str, Path], *, start_s: float | None = None
) -> PreparedItem:
    """Cut, filter and level the mixes of one item.

    Args:
        study: Rate, loudness, limits and systems.
        item: Name of the item, for messages.
        files: System -> its file.
        start_s: Where the excerpt starts; None finds the most active place.

    Raises:
        AudioFileError: If a file cannot be read, is silent there, has more than two channels, or
            is not as long as the others.
        SettingError: If two systems sound the same, or a stimulus would clip and the study
            refuses that.
    """
    mixes = {system: _read_stereo(path, study.rate_hz) for system, path in files.items()}
    mixes = _of_one_length(item, mixes, files, study.rate_hz)
    n_samples = min(round(study.excerpt_s * study.rate_hz), _length(mixes))
    if start_s is None:
        start = most_active_start(list(mixes.values()), n_samples, study.rate_hz)
    else:
        start = round(start_s * study.rate_hz)
        if start < 0 or start + study.rate_hz // 2 > _length(mixes):
            raise TextFileError(
                f"items.{item}.start_s is {start_s:g}, but the mixes are "
                f"{_length(mixes) / study.rate_hz:.2f} s long; leave at least 0.5 s"
            )
        n_samples = min(n_samples, _length(mixes) - start)
    levelled = {}
    for system, samples in mixes.items():
        filtered = _low_passed(samples, study.systems[system], study.rate_hz)
        excerpt = with_soft_edges(filtered[:, start : start + n_samples], study.rate_hz)
        levelled[system] = _levelled(excerpt, files[system], study)
    trimmed, notices = _within_true_peak(study, item, levelled)
    _check_different(item, trimmed)
    return PreparedItem(trimmed, start / study.rate_hz, n_samples / study.rate_hz, notices)


def most_active_start(mixes: list[FloatArray], n_samples: int, rate_hz: int) -> int:
    """First sample of the window with the most going on, judged over all systems alike.

    The level of every system is taken in frames of 100 ms, no lower than 60 dB under that
    system's loudest; the window whose levels have the highest mean wins, the earliest of equals.
    A mean of levels, not of energies: one crash does not outweigh a bar of playing.
    """
    frame = round(_FRAME_S * rate_hz)
    n_frames = mixes[0].shape[1] // frame
    window = max(1, n_samples // frame)
    if n_frames <= window:
        return 0
    level_db = np.zeros(n_frames)
    for samples in mixes:
        frames = samples[:, : n_frames * frame].reshape(samples.shape[0], n_frames, frame)
        energy = np.mean(np.square(frames, dtype=np.float64), axis=(0, 2))
        relative = energy / max(float(np.max(energy)), 1e-30)
        level_db += 10.0 * np.log10(np.maximum(relative, 10.0 ** (-_SILENT_FRAME_DB / 10.0)))
    sums = np.concatenate([[0.0], np.cumsum(level_db)])
    activity = sums[window:] - sums[:-window]
    # Sums of floats differ in their last bits where the music does not.
    best = int(np.argmax(activity >= np.max(activity) - 1e-6))
    return min(best * frame, mixes[0].shape[1] - n_samples)


def with_soft_edges(samples: FloatArray, rate_hz: int) -> FloatArray:
    """Samples with a raised-cosine fade of 5 ms at each end."""
    n_edge = min(round(EDGE_S * rate_hz), samples.shape[1] // 2)
    fade = 0.5 - 0.5 * np.cos(np.pi * (np.arange(n_edge) + 0.5) / n_edge)
    faded = samples.copy()
    faded[:, :n_edge] *= fade
    faded[:, samples.shape[1] - n_edge :] *= fade[::-1]
    return faded


def _read_stereo(path: Path, rate_hz: int) -> FloatArray:
    audio: Audio = read(path, rate_hz=rate_hz)
    if audio.n_channels > 2:
        raise AudioFileError(f"{path} has {audio.n_channels} channels; expected mono or stereo")
    return np.broadcast_to(audio.samples, (2, audio.n_samples))


def _length(mixes: Mapping[str, FloatArray]) -> int:
    return next(iter(mixes.values())).shape[1]


def _of_one_length(
    item: str, mixes: Mapping[str, FloatArray], files: Mapping[str, Path], rate_hz: int
) -> dict[str, FloatArray]:
    lengths = {system: samples.shape[1] for system, samples in mixes.items()}
    longest, shortest = max(lengths, key=lengths.__getitem__), min(lengths, key=lengths.__getitem__)
    if lengths[longest] - lengths[shortest] > _MAX_LENGTH_DIFFERENCE_S * rate_hz:
        raise AudioFileError(
            f"{item}: {files[longest]} is {lengths[longest] / rate_hz:.2f} s long but "
            f"{files[shortest]} {lengths[shortest] / rate_hz:.2f} s; "
            "mix the same take with every system"
        )
    return {system: samples[:, : lengths[shortest]] for system, samples in mixes.items()}


def _low_passed(samples: FloatArray, system: System, rate_hz: int) -> FloatArray:
    if not system.is_filtered:
        return samples
    low_pass, _ = LOW_PASSES[_LOW_PASS_NAMES[str(system.low_pass)]]
    return np.concatenate(list(low_pass(iter([samples]), rate_hz)), axis=1)


def _levelled(excerpt: FloatArray, source: Path, study: Study) -> Prepared:
    found_lufs = integrated_lufs(excerpt, study.rate_hz)
    if not np.isfinite(found_lufs):
        raise AudioFileError(
            f"{source} is silent in the excerpt; mix it again, or choose another place by start_s"
        )
    return _with_gain(excerpt, source, study.lufs - found_lufs, study.rate_hz)


def _with_gain(samples: FloatArray, source: Path, gain_db: float, rate_hz: int) -> Prepared:
    louder = (samples * db_to_gain(gain_db)).astype(np.float32)
    return Prepared(
        samples=louder,
        source=source,
        gain_db=gain_db,
        lufs=integrated_lufs(louder, rate_hz),
        true_peak_dbtp=true_peak_dbtp(louder, rate_hz),
    )


def _within_true_peak(
    study: Study, item: str, levelled: Mapping[str, Prepared]
) -> tuple[dict[str, Prepared], tuple[str, ...]]:
    loudest = max(levelled, key=lambda system: levelled[system].true_peak_dbtp)
    over_db = levelled[loudest].true_peak_dbtp - study.max_true_peak_dbtp
    if over_db <= 0.0:
        return dict(levelled), ()
    at = f"{item}: at {study.lufs:g} LUFS {loudest} would peak at "
    peak = f"{levelled[loudest].true_peak_dbtp:.1f} dBTP, above {study.max_true_peak_dbtp:g}"
    if study.too_loud == "refuse":
        raise TextFileError(
            f"{at}{peak}; lower lufs by {over_db:.1f}, choose another start_s, "
            "or let too_loud = 'trim' lower the item"
        )
    # A hair more, so that the next measurement cannot round to above the limit.
    trim_db = over_db + 0.01
    trimmed = {
        system: _with_gain(one.samples, one.source, -trim_db, study.rate_hz)
        for system, one in levelled.items()
    }
    notice = f"{at}{peak}; every mix of the item is {trim_db:.1f} dB lower"
    return {
        system: Prepared(
            samples=one.samples,
            source=one.source,
            gain_db=levelled[system].gain_db - trim_db,
            lufs=one.lufs,
            true_peak_dbtp=one.true_peak_dbtp,
        )
        for system, one in trimmed.items()
    }, (notice,)


def _check_different(item: str, stimuli: Mapping[str, Prepared]) -> None:
    systems = list(stimuli)
    for number, first in enumerate(systems):
        for second in systems[number + 1 :]:
            difference = np.abs(stimuli[first].samples - stimuli[second].samples)
            if float(np.max(difference)) < _SAME_DIFFERENCE:
                raise TextFileError(
                    f"{item}: {first} and {second} sound the same ({stimuli[first].source}, "
                    f"{stimuli[second].source}); take one of them out, or mix it again"
                )
