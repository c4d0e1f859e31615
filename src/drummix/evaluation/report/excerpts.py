"""A few seconds of every item for the page: the same for all systems, at one loudness.

In: the folder of an item's mixes. Out: level-matched samples and one onset of the kick.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from drummix.audio import Audio, read
from drummix.evaluation.hits import find_hits
from drummix.levels import db_to_gain, integrated_lufs, peak_dbfs

FloatArray = NDArray[np.float32]

EXCERPT_S = 6.0
ONSET_S = (-0.005, 0.055)
"""The stretch about a kick's onset that is drawn."""

LOUDEST_LUFS = -20.0
LOWEST_BITS_PER_S, HIGHEST_BITS_PER_S = 40_000, 160_000
AUDIO_BYTES = 13_500_000
"""All sound of a page: Opus takes a fifth more for drums than it is asked to, text takes a third
more than bytes, and with 3 MB of pictures the page stays under 25 MB."""

_LEAD_S = 0.05
_FADE_S = 0.005
_KICK_HZ = 120.0
_KICK_S = 0.06


@dataclass(frozen=True, eq=False)
class Excerpt:
    """The excerpts of an item.

    Args:
        item: Name of the item.
        start_s: Where they begin in the mixes.
        duration_s: How long they are.
        lufs: The loudness they were all brought to; NaN where the reference has none.
        onset_s: The kick's onset, from the beginning of the excerpt; NaN where nothing is struck.
        signals: Name -> level-matched samples (2, samples).
        rate_hz: Sample rate in Hz.
    """

    item: str
    start_s: float
    duration_s: float
    lufs: float
    onset_s: float
    signals: Mapping[str, FloatArray]
    rate_hz: int

    def onset(self, name: str) -> FloatArray:
        """The left-right mean of a signal about the kick's onset (empty if there is none)."""
        if math.isnan(self.onset_s):
            return np.zeros(0, np.float32)
        first, last = (round((self.onset_s + edge) * self.rate_hz) for edge in ONSET_S)
        mono = self.signals[name].mean(axis=0)
        padded = np.pad(mono, (max(0, -first), max(0, last - mono.size)))
        first += max(0, -first)
        return np.asarray(padded[first : first + round(np.ptp(ONSET_S) * self.rate_hz)])


@dataclass(frozen=True)
class AudioBudget:
    """How the page's size is shared out.

    Args:
        n_items: Number of items that have sound.
        bits_per_s: Bit rate of a stereo signal.
    """

    n_items: int
    bits_per_s: int

    @classmethod
    def of(cls, n_items: int, n_signals: int) -> AudioBudget:
        """The highest bit rate with which all fits; fewer items where not even the lowest does.

        >>> AudioBudget.of(4, 8), AudioBudget.of(1000, 8)
        (AudioBudget(n_items=4, bits_per_s=160000), AudioBudget(n_items=56, bits_per_s=40000))
        """
        per_item_s = max(1, n_signals) * EXCERPT_S
        rate = AUDIO_BYTES * 8 / (per_item_s * max(1, n_items))
        bits_per_s = int(min(max(rate, LOWEST_BITS_PER_S), HIGHEST_BITS_PER_S))
        return cls(min(n_items, int(AUDIO_BYTES * 8 / (per_item_s * bits_per_s))), bits_per_s)


def read_excerpt_of(folder: Path, item: str, names: Sequence[str]) -> Excerpt:
    """Cut the same seconds out of all mixes of an item and bring them to one loudness.

    The excerpt is the stretch with the most hits in the first reference; the loudness is
    `LOUDEST_LUFS`, or as much less as keeps the highest peak of all below full scale.

    Args:
        folder: Folder of the item's mixes.
        item: Name of the item.
        names: Mixes, a reference first.

    Raises:
        AudioFileError: If a file is missing or damaged.
    """
    sounds = {name: read(folder / f"{name}.flac") for name in names}
    first = sounds[names[0]]
    start = _busiest(first)
    n_samples = min(first.n_samples - start, round(EXCERPT_S * first.rate_hz))
    cut = {name: a.samples[:, start : start + n_samples] for name, a in sounds.items()}
    matched, lufs = _at_one_loudness(cut, first.rate_hz)
    faded = {name: _faded(samples, first.rate_hz) for name, samples in matched.items()}
    return Excerpt(
        item, start / first.rate_hz, n_samples / first.rate_hz, lufs,
        _kick_onset_s(matched[names[0]], first.rate_hz), faded, first.rate_hz,
    )  # fmt: skip


def _busiest(reference: Audio) -> int:
    """First sample of the excerpt: shortly before the hit that most others follow closely."""
    hits = find_hits(reference.samples, reference.rate_hz)
    n_excerpt = round(EXCERPT_S * reference.rate_hz)
    lead = round(_LEAD_S * reference.rate_hz)
    latest = max(0, reference.n_samples - n_excerpt)
    starts = np.clip(hits - lead, 0, latest)
    if not starts.size:
        return 0
    counts = [np.count_nonzero((hits >= start) & (hits < start + n_excerpt)) for start in starts]
    return int(starts[int(np.argmax(counts))])


def _at_one_loudness(
    signals: Mapping[str, FloatArray], rate_hz: int
) -> tuple[dict[str, FloatArray], float]:
    loudness = {name: integrated_lufs(samples, rate_hz) for name, samples in signals.items()}
    known = {name: lufs for name, lufs in loudness.items() if math.isfinite(lufs)}
    if not known:
        return dict(signals), math.nan
    # The peak that each would have at 0 LUFS tells how loud all can be without clipping.
    highest_db = max(peak_dbfs(signals[name]) - lufs for name, lufs in known.items())
    wanted = min(LOUDEST_LUFS, -0.5 - highest_db)
    gains = {name: wanted - lufs for name, lufs in known.items()}
    matched = {
        name: samples * np.float32(db_to_gain(gains.get(name, 0.0)))
        for name, samples in signals.items()
    }
    return matched, wanted


def _faded(samples: FloatArray, rate_hz: int) -> FloatArray:
    """With raised-cosine ends, so that a loop does not click."""
    n_fade = min(round(_FADE_S * rate_hz), samples.shape[1] // 2)
    fade = (0.5 - 0.5 * np.cos(np.pi * (np.arange(n_fade) + 0.5) / max(1, n_fade))).astype(
        np.float32
    )
    faded = samples.copy()
    faded[:, :n_fade] *= fade
    faded[:, samples.shape[1] - n_fade :] *= fade[::-1]
    return faded


def _kick_onset_s(reference: FloatArray, rate_hz: int) -> float:
    """The hit with the most energy below 120 Hz in its first 60 ms, that fades leave alone."""
    edge = round(-ONSET_S[0] * rate_hz) + round(_FADE_S * rate_hz)
    n_window = round(_KICK_S * rate_hz)
    hits = find_hits(reference, rate_hz)
    hits = hits[(hits >= edge) & (hits + n_window + edge < reference.shape[1])]
    if not hits.size:
        return math.nan
    low_pass = signal.butter(4, _KICK_HZ, fs=rate_hz, output="sos")
    low = np.square(signal.sosfilt(low_pass, reference.mean(axis=0)))
    energies = [float(np.sum(low[hit : hit + n_window])) for hit in hits]
    return float(hits[int(np.argmax(energies))] / rate_hz)
