"""Automatic compression and reverberation of a dry mix, as the paper's random-forest system has it.

Source: the compressor of Moffat and Sandler (2019) and the reverberation rules of De Man et al., in
three profiles. ``paper`` is what the published description says; ``as-heard`` is what the
published audio sounds like: one fixed plate; ``sane`` keeps the idea with ranges that musicians
use: Giannoulis, Massberg and Reiss, "Parameter automation in a dynamic range compressor", JAES
61(10), 2013, for the times, and a reverberation of two beats.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from drummix.effects.compressor import CompressorGain
from drummix.effects.dynamics import compressor_gain_db
from drummix.effects.plate import MIN_T60_S, PlateStream, decay_for_t60
from drummix.effects.tempo import tail_s, tempo_bpm
from drummix.levels import db_to_gain, gain_to_db
from drummix.mixers.base import FloatArray
from drummix.mixers.forest.envelope import (
    PIECE_SAMPLES,
    PIECES_PER_S,
    Envelope,
    Music,
    active_pieces,
)

WetProfile = Literal["sane", "paper", "as-heard"]
_HIGH_CUT_HZ = 5000.0
_DAMPING_LIMIT = 0.5
_PLATE_RMS_GAIN = 1.6
"""Energy of the plate's impulse response."""


@dataclass(frozen=True)
class HeardMix:
    """What the rules go by.

    Args:
        peak_db: Highest sample in dBFS.
        rms_db: RMS of the music in dBFS, without silence around it.
        bpm: Tempo, or None where nothing repeats.
        tail_s: How long strokes sound.
    """

    peak_db: float
    rms_db: float
    bpm: float | None
    tail_s: float


@dataclass(frozen=True)
class WetEffects:
    """Settings of both effects; see `effects.dynamics.compress` and `effects.plate.plate`."""

    threshold_db: float
    ratio: float
    attack_ms: float
    release_ms: float
    knee_db: float
    makeup_db: float
    decay: float
    damping: float
    predelay_ms: float
    high_cut_hz: float
    direct_gain: float
    plate_gain: float
    bpm: float | None
    tail_s: float

    def to_mapping(self) -> dict[str, Any]:
        """Plain data."""
        return {
            name: round(value, 5) if isinstance(value, float) else value
            for name, value in asdict(self).items()
        }


def measure_mix(blocks: Iterator[FloatArray], rate_hz: int) -> HeardMix:
    """Measure a dry mix (2, samples) as it goes by; silence before and behind does not count."""
    music, envelope = Music(rate_hz, 2), Envelope(2)
    for block in blocks:
        envelope.add(music.process(block))
    envelope.add(music.flush())
    is_music = active_pieces(envelope.peaks())
    peaks = envelope.peaks().max(axis=0)
    n_samples = max(1, int(is_music.sum())) * PIECE_SAMPLES
    mean_square = float(envelope.energies()[:, is_music].sum()) / (2 * n_samples)
    # Rests keep their place in time; only what follows the last sound goes.
    peaks = peaks[: int(np.flatnonzero(is_music).max(initial=-1)) + 1]
    return HeardMix(
        peak_db=gain_to_db(float(peaks.max(initial=0.0))),
        rms_db=gain_to_db(math.sqrt(mean_square)),
        bpm=tempo_bpm(peaks, PIECES_PER_S),
        tail_s=tail_s(peaks, PIECES_PER_S),
    )


def decide_wet(heard: HeardMix, profile: WetProfile) -> WetEffects:
    """Settings for a mix by one of the profiles.

    >>> mix = HeardMix(peak_db=-6.0, rms_db=-26.0, bpm=120.0, tail_s=0.1)
    >>> decide_wet(mix, "paper").ratio, round(decide_wet(mix, "sane").ratio, 2)
    (10.0, 4.33)
    """
    crest_db = max(0.0, heard.peak_db - heard.rms_db)
    beat_s = 60.0 / (heard.bpm or 120.0)
    compressor = (_sane_compressor if profile != "paper" else _paper_compressor)(
        heard, crest_db, beat_s
    )
    predelay_s = _predelay_s(heard.bpm)
    crest = db_to_gain(crest_db)
    if profile == "paper":
        t60_s = min(max(-1.1 * (heard.bpm or 120.0) + 136.1, MIN_T60_S), 5.0)
        wet_share = 1.0 - 10 ** (-9 / 20)
        direct, returned = 1.0 - wet_share, wet_share / crest**3
    elif profile == "sane":
        t60_s = min(max(2.0 * beat_s - predelay_s, MIN_T60_S), 2.5)
        direct, returned = 1.0, db_to_gain(-16.0)
    else:
        t60_s, predelay_s = 0.0, 0.01
        direct, returned = 1.0, 0.55 / math.sqrt(_PLATE_RMS_GAIN)
    return WetEffects(
        **compressor,
        decay=0.5 if profile == "as-heard" else decay_for_t60(t60_s),
        damping=min(1.0 / crest**2, _DAMPING_LIMIT),
        predelay_ms=1000.0 * predelay_s,
        high_cut_hz=_HIGH_CUT_HZ,
        direct_gain=direct,
        plate_gain=float(returned),
        bpm=heard.bpm,
        tail_s=heard.tail_s,
    )


def apply_wet(
    blocks: Iterator[FloatArray], rate_hz: int, effects: WetEffects
) -> Iterator[FloatArray]:
    """Compress a stream and add the plate, in memory that does not grow.

    The mix does not depend on the size of the blocks. Those that come out are as many as went in,
    and one more: what is heard of the plate lags some 20 ms behind.
    """
    compressor = CompressorGain(
        rate_hz,
        threshold_db=effects.threshold_db,
        ratio=effects.ratio,
        attack_ms=effects.attack_ms,
        release_ms=effects.release_ms,
        knee_db=effects.knee_db,
        makeup_db=effects.makeup_db,
    )
    reverb = PlateStream(
        rate_hz,
        decay=effects.decay,
        damping=effects.damping,
        predelay_ms=effects.predelay_ms,
        high_cut_hz=min(effects.high_cut_hz, 0.45 * rate_hz),
        excursion_samples=0.0,
    )
    direct_gain, plate_gain = np.float32(effects.direct_gain), np.float32(effects.plate_gain)
    waiting = np.zeros((2, 0), np.float32)
    for block in blocks:
        direct = block * compressor.add(block)
        returned = reverb.add(direct)
        n_ready = returned.shape[1]
        waiting = np.concatenate([waiting, direct], axis=1)
        yield direct_gain * waiting[:, :n_ready] + plate_gain * returned
        waiting = waiting[:, n_ready:]
    yield direct_gain * waiting + plate_gain * reverb.finish()


def _paper_compressor(heard: HeardMix, crest_db: float, beat_s: float) -> dict[str, float]:
    release_s = max(0.0, beat_s - heard.tail_s)
    knee_db = min(crest_db * heard.tail_s / release_s, crest_db) if release_s else crest_db
    return _made_up(
        threshold_db=heard.rms_db,
        ratio=db_to_gain(crest_db),
        attack_ms=1000.0 * heard.tail_s,
        release_ms=1000.0 * release_s,
        knee_db=knee_db,
        share=1.0,
    )


def _sane_compressor(heard: HeardMix, crest_db: float, beat_s: float) -> dict[str, float]:
    """Times fall with the square of the crest factor, from 80 ms and a second at the most."""
    crest_squared = db_to_gain(crest_db) ** 2
    attack_ms = max(2.0 * 80.0 / crest_squared, 3.0)
    return _made_up(
        threshold_db=heard.rms_db + 0.5 * crest_db,
        ratio=min(max(1.0 + crest_db / 6.0, 2.0), 8.0),
        attack_ms=attack_ms,
        release_ms=min(max(2000.0 / crest_squared - attack_ms, 60.0), 1000.0 * beat_s),
        knee_db=6.0,
        share=0.5,
    )


def _made_up(
    *,
    threshold_db: float,
    ratio: float,
    attack_ms: float,
    release_ms: float,
    knee_db: float,
    share: float,
) -> dict[str, float]:
    """The same with a share of what it takes from full scale made up."""
    taken = compressor_gain_db(0.0, threshold_db=threshold_db, ratio=ratio, knee_db=knee_db)
    return {
        "threshold_db": threshold_db,
        "ratio": ratio,
        "attack_ms": attack_ms,
        "release_ms": release_ms,
        "knee_db": knee_db,
        "makeup_db": min(-share * float(taken), 40.0),
    }


def _predelay_s(bpm: float | None) -> float:
    """The shortest binary fraction of a beat that is 30 ms or more; 10 ms without a tempo."""
    if bpm is None:
        return 0.01
    fractions = [60.0 / bpm / 2**k for k in range(9)]
    return min(fraction for fraction in fractions if fraction >= 0.03)
