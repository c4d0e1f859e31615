"""Compressor, gate and limiter.

In: float32 samples (channels, samples) and their rate in Hz. Out: a new array of the same shape.
None of them adds latency: where an effect looks ahead, it reads ahead in the array.
Source: Giannoulis, Massberg and Reiss, "Digital dynamic range compressor design", JAES 60(6), 2012.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import minimum_filter1d

from drummix.effects.checks import (
    FloatArray,
    checked_range,
    checked_rate,
    checked_samples,
    one_pole_coefficient,
)
from drummix.effects.compressor import CompressorGain, checked_curve
from drummix.errors import Parameter, SettingError
from drummix.levels import db_to_gain

DoubleArray = NDArray[np.float64]


def compressor_gain_db(
    level_db: ArrayLike, *, threshold_db: float, ratio: float, knee_db: float = 6.0
) -> DoubleArray:
    """Static gain of a compressor, before attack and release.

    Args:
        level_db: Track level in dBFS, any shape.
        threshold_db: Level in dBFS above which the gain falls.
        ratio: dB in per dB out above the threshold; 1.0 changes nothing.
        knee_db: Width of the quadratic knee around the threshold in dB; 0.0 is a hard knee.

    Returns:
        Gain in dB, never above 0.0, shape of `level_db`.

    Raises:
        SettingError: If `ratio` is below 1.0 or `knee_db` below 0.0.

    Source:
        Giannoulis et al. 2012, eq. 4.

    >>> compressor_gain_db([-10.0], threshold_db=-20.0, ratio=4.0, knee_db=0.0)
    array([-7.5])
    """
    threshold_db, slope, knee_db = checked_curve(threshold_db, ratio, knee_db)
    over_db = np.asarray(level_db, dtype=np.float64) - threshold_db
    if knee_db == 0.0:
        return slope * np.maximum(over_db, 0.0)
    # Clipped to the knee, the quadratic is zero below it and the rest is a straight line above it.
    in_knee_db = np.clip(over_db + knee_db / 2.0, 0.0, knee_db)
    return slope * (in_knee_db**2 / (2.0 * knee_db) + np.maximum(over_db - knee_db / 2.0, 0.0))


def compress(
    samples: ArrayLike,
    rate_hz: int,
    *,
    threshold_db: float,
    ratio: float,
    attack_ms: float,
    release_ms: float,
    knee_db: float = 6.0,
    makeup_db: float = 0.0,
    link: bool = True,
    sidechain: ArrayLike | None = None,
) -> FloatArray:
    """Compress a track: feed-forward, log domain, branching smoother on the gain.

    Args:
        samples: Audio (channels, samples).
        rate_hz: Sample rate in Hz.
        threshold_db: Peak level in dBFS above which the gain falls.
        ratio: dB in per dB out above the threshold, at least 1.0.
        attack_ms: Time in which 63% of a fall of the gain is done.
        release_ms: Time in which 63% of a rise of the gain is done.
        knee_db: Width of the knee in dB.
        makeup_db: Gain added afterwards.
        link: One gain for all channels, from the loudest of them; or each on its own.
        sidechain: Audio that sets the gain instead of `samples`: as many samples, and one
            channel or (not linked) as many channels.

    Returns:
        New array of the same shape.

    Raises:
        SettingError: If a setting is outside its range or the side chain does not fit.

    Source:
        Giannoulis et al. 2012, eq. 17 (smooth branching), on the gain as in their fig. 7c.
    """
    track = checked_samples(samples)
    detector = _detector(track, sidechain, link=link)
    gains = [
        CompressorGain(
            rate_hz,
            threshold_db=threshold_db,
            ratio=ratio,
            attack_ms=attack_ms,
            release_ms=release_ms,
            knee_db=knee_db,
            makeup_db=makeup_db,
        ).add(heard)
        for heard in ([detector] if link else detector[:, np.newaxis])
    ]
    return track * np.stack(gains)


def parallel_compress(
    samples: ArrayLike,
    rate_hz: int,
    *,
    wet_share: float,
    threshold_db: float,
    ratio: float,
    attack_ms: float,
    release_ms: float,
    knee_db: float = 6.0,
    makeup_db: float = 0.0,
    link: bool = True,
    sidechain: ArrayLike | None = None,
) -> FloatArray:
    """Mix a track with its compressed self.

    Args:
        samples: Audio (channels, samples).
        rate_hz: Sample rate in Hz.
        wet_share: Share of the compressed signal: 0.0 is the dry track, 1.0 is `compress`.
        threshold_db: As in `compress`, and so on below.
        ratio: See `compress`.
        attack_ms: See `compress`.
        release_ms: See `compress`.
        knee_db: See `compress`.
        makeup_db: Gain of the compressed signal alone.
        link: See `compress`.
        sidechain: See `compress`.

    Returns:
        New array of the same shape.

    Raises:
        SettingError: If a setting is outside its range.
    """
    share = np.float32(checked_range("wet_share", wet_share, 0.0, 1.0))
    wet = compress(
        samples,
        rate_hz,
        threshold_db=threshold_db,
        ratio=ratio,
        attack_ms=attack_ms,
        release_ms=release_ms,
        knee_db=knee_db,
        makeup_db=makeup_db,
        link=link,
        sidechain=sidechain,
    )
    return (np.float32(1.0) - share) * checked_samples(samples) + share * wet


def gate(
    samples: ArrayLike,
    rate_hz: int,
    *,
    threshold_db: float,
    range_db: float,
    attack_ms: float,
    hold_ms: float,
    release_ms: float,
    sidechain: ArrayLike | None = None,
) -> FloatArray:
    """Turn a track down while it (or its side chain) is quiet.

    All channels share one gain, so the stereo image stays where it is.

    Args:
        samples: Audio (channels, samples).
        rate_hz: Sample rate in Hz.
        threshold_db: Peak level in dBFS at which the gate opens.
        range_db: How far the closed gate turns the track down, 0..120 dB.
        attack_ms: Time in which the gain rises by 63% of the way to 1.0.
        hold_ms: How long the gate stays open after the last sample at the threshold; give it
            half a period of the lowest note, or the gate chatters.
        release_ms: Time in which the gain falls by 63% of the way down.
        sidechain: Audio that opens the gate instead of `samples`; as many samples.

    Returns:
        New array of the same shape.

    Raises:
        SettingError: If a setting is outside its range or the side chain does not fit.
    """
    track = checked_samples(samples)
    hold = _time_in_samples("hold_ms", hold_ms, rate_hz)
    threshold = float(db_to_gain(checked_range("threshold_db", threshold_db, -120.0, 60.0)))
    detector = _detector(track, sidechain, link=True)
    loud = np.flatnonzero(np.abs(detector).max(axis=0) >= threshold)
    is_open = _open_after(loud, before=0, after=hold, n_samples=track.shape[1])
    return _gated(track, is_open, rate_hz, (range_db, attack_ms, release_ms))


def gate_from_hits(
    samples: ArrayLike,
    rate_hz: int,
    *,
    onsets: ArrayLike,
    hold_ms: float,
    release_ms: float,
    range_db: float,
    attack_ms: float = 0.2,
    lookahead_ms: float = 1.0,
) -> FloatArray:
    """Turn a track down between hits whose times are known.

    Args:
        samples: Audio (channels, samples).
        rate_hz: Sample rate in Hz.
        onsets: Sample indices of the hits, in any order; those outside the track count too,
            for as much of their opening as reaches into it.
        hold_ms: How long the gate stays open after an onset.
        release_ms: Time in which the gain falls by 63% of the way down.
        range_db: How far the closed gate turns the track down, 0..120 dB.
        attack_ms: Time in which the gain rises by 63% of the way to 1.0.
        lookahead_ms: How long before the onset the gate begins to open; five times the attack
            has it 99.3% open at the onset.

    Returns:
        New array of the same shape.

    Raises:
        SettingError: If a setting is outside its range or the onsets are no list of integers.
    """
    track = checked_samples(samples)
    indices = np.asarray(onsets)
    if indices.ndim != 1 or (indices.size and not np.issubdtype(indices.dtype, np.integer)):
        raise SettingError(
            "onsets",
            onsets,
            "give sample indices of the hits",
            problem="are no list of whole numbers",
        )
    is_open = _open_after(
        indices.astype(np.int64),
        before=_time_in_samples("lookahead_ms", lookahead_ms, rate_hz),
        after=_time_in_samples("hold_ms", hold_ms, rate_hz),
        n_samples=track.shape[1],
    )
    return _gated(track, is_open, rate_hz, (range_db, attack_ms, release_ms))


def limit(
    samples: ArrayLike,
    rate_hz: int,
    *,
    ceiling_db: float,
    release_ms: float = 100.0,
    lookahead_ms: float = 2.0,
) -> FloatArray:
    """Keep every sample at or below a ceiling, by a gain that falls ahead of each peak.

    The gain needed at each peak is held over the lookahead, released exponentially, and then
    averaged over the lookahead. Each value that goes into the average is at or below the
    gain that its sample needs, so the average is too: no clipping is involved, and the gain
    moves in straight lines. All channels share one gain.

    Args:
        samples: Audio (channels, samples).
        rate_hz: Sample rate in Hz.
        ceiling_db: Highest sample peak in dBFS.
        release_ms: Time in which 63% of a rise of the gain is done.
        lookahead_ms: Time the gain takes to fall before a peak; 0.0 falls within one sample.

    Returns:
        New array of the same shape, aligned with `samples`; no sample above the ceiling.

    Raises:
        SettingError: If a setting is outside its range.
    """
    track = checked_samples(samples)
    rate_hz = checked_rate(rate_hz)
    ceiling = float(db_to_gain(checked_range("ceiling_db", ceiling_db, -120.0, 60.0)))
    lookahead = _time_in_samples("lookahead_ms", lookahead_ms, rate_hz)
    release = one_pole_coefficient(checked_range("release_ms", release_ms, 0.0), rate_hz)
    if track.shape[1] == 0:
        return track.copy()
    peak = np.abs(track).max(axis=0).astype(np.float64)
    needed = np.minimum(1.0, ceiling / np.maximum(peak, ceiling))
    padded = np.concatenate([needed, np.ones(lookahead)])
    # The window of sample n is n..n+lookahead: a centred filter read half a window later.
    held = minimum_filter1d(padded, lookahead + 1, origin=-((lookahead + 1) // 2), mode="nearest")
    gain = _released_and_averaged(held[: track.shape[1]], release, lookahead + 1)
    # Rounding to float32 may land one step above the ceiling.
    top = np.float32(ceiling)
    if float(top) > ceiling:
        top = np.nextafter(top, np.float32(0.0))
    return np.clip(track * gain.astype(np.float32), -top, top)


def _time_in_samples(name: str, time_ms: float, rate_hz: int) -> int:
    return round(checked_range(name, time_ms, 0.0, 60_000.0) * checked_rate(rate_hz) / 1000.0)


def _detector(track: FloatArray, sidechain: ArrayLike | None, *, link: bool) -> FloatArray:
    """What sets the gain, (channels, samples)."""
    detector = track
    if sidechain is not None:
        detector = checked_samples(sidechain, name="sidechain")
        if detector.shape[1] != track.shape[1]:
            raise SettingError(
                "sidechain",
                detector.shape,
                "give them the same length",
                problem=f"has {detector.shape[1]} samples but the track has {track.shape[1]}",
            )
        if not link and detector.shape[0] not in (1, track.shape[0]):
            raise SettingError(
                "sidechain",
                detector.shape,
                "give one channel, as many channels, or ",
                Parameter("link", True),
                problem=f"has {detector.shape[0]} channels but the track has {track.shape[0]}",
            )
    return detector


def _open_after(
    events: NDArray[np.int64], *, before: int, after: int, n_samples: int
) -> NDArray[np.bool_]:
    """Mark event - before .. event + after (inclusive) of every event."""
    starts = np.clip(events - before, 0, n_samples)
    ends = np.clip(events + after + 1, 0, n_samples)
    change = np.bincount(starts, minlength=n_samples + 1).astype(np.int64)
    change -= np.bincount(ends, minlength=n_samples + 1)
    return np.cumsum(change[:n_samples]) > 0


def _gated(
    track: FloatArray,
    is_open: NDArray[np.bool_],
    rate_hz: int,
    range_attack_release: tuple[float, float, float],
) -> FloatArray:
    """Apply the gain of a gate that is told when to be open."""
    range_db, attack_ms, release_ms = range_attack_release
    floor = float(db_to_gain(-checked_range("range_db", range_db, 0.0, 120.0)))
    rate_hz = checked_rate(rate_hz)
    attack = one_pole_coefficient(checked_range("attack_ms", attack_ms, 0.0), rate_hz)
    release = one_pole_coefficient(checked_range("release_ms", release_ms, 0.0), rate_hz)
    return track * _gate_gain(is_open, floor, attack, release)


@njit(cache=True, nogil=True, fastmath=False)
def _gate_gain(is_open, floor, attack, release):  # type: ignore[no-untyped-def]
    gain = np.empty(is_open.shape[0], dtype=np.float32)
    state = floor
    for n in range(is_open.shape[0]):
        target, coefficient = (1.0, attack) if is_open[n] else (floor, release)
        state = target + coefficient * (state - target)
        gain[n] = state
    return gain


@njit(cache=True, nogil=True, fastmath=False)
def _released_and_averaged(held, release, width):  # type: ignore[no-untyped-def]
    # Before the first sample the gain counts as already down at its first value.
    released = np.empty_like(held)
    averaged = np.empty_like(held)
    state = held[0]
    total = width * state
    for n in range(held.shape[0]):
        state = min(held[n], held[n] + release * (state - held[n]))
        released[n] = state
        total += state - (released[n - width] if n >= width else released[0])
        averaged[n] = total / width
    return averaged
