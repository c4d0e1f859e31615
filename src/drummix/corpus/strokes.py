"""How a stroke is played on a kit: which recording, how loud, and when it is stopped.

Velocity asks for a level: that of the recording at the velocity's rank in the instrument's order of
loudness, in between for velocities in between. A recording near that rank is chosen, neighbours
taking turns, and brought to the level asked for. So loudness follows velocity without steps
however few recordings there are, and the turns of the neighbours change the colour only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from drummix.corpus.articulations import Opening, hihat_opening
from drummix.corpus.groove import OPEN_HIHAT_NOTES, PerformedHit
from drummix.corpus.kit import FloatArray, Hit, Instrument, Kit, Piece
from drummix.levels import gain_to_db

HitPool = Literal["train", "test", "all"]

# Of every four recordings of an instrument, in order of power, one is kept from training.
_HELD_OUT_OF = 4
_HELD_OUT_AT = 2

# Loudness of a recording: its start, before the ring, in the microphones that face the piece.
_LEVEL_S = 0.15

# So many recordings around the rank may take turns, if scaling by at most this much does for them;
# where fewer than two do, the two nearest within the wider limit.
_TURNS = 5
_TURN_DB = 3.0
_FEW_DB = 6.0

# The nearest recording is scaled by at most this much.
_SCALE_LIMIT_DB = 12.0

# Kits are recorded articulation by articulation, and some come out of proportion: a stroke of the
# note on the left peaks at least so many dB below one of each note on the right at its velocity.
_CEILINGS: Mapping[int, tuple[tuple[int, ...], float]] = {
    37: ((38,), 0.0),  # side stick: never above the snare
    44: ((22, 26, 42, 46), 6.0),  # pedal hi-hat: well below the stick
}

# A hi-hat that the module calls open is half-open up to here.
_HALF_OPEN_UP_TO = 0.6

# How fast a closing hi-hat is silent, and a cymbal that a hand grabs.
_HIHAT_STOP_S = 0.04
_HAND_STOP_S = 0.08


@dataclass(frozen=True)
class RenderedHit:
    """A stroke as it was rendered.

    Args:
        time_s: Seconds from the start of the rendering.
        piece: Piece of the kit.
        instrument: Articulation of the kit.
        velocity: MIDI velocity, 1 to 127.
        sample: Index of the recording among the instrument's hits, softest first.
        gain_db: How much louder than recorded it is played.
        stop_s: When its ringing is stopped, in seconds from the start of the rendering; None where
            it rings out.
        stop_fade_s: Time in which the sound is gone once it is stopped.
    """

    time_s: float
    piece: Piece
    instrument: str
    velocity: int
    sample: int
    gain_db: float = 0.0
    stop_s: float | None = None
    stop_fade_s: float = _HAND_STOP_S


def pool_indices(n_hits: int, pool: HitPool) -> list[int]:
    """Indices of an instrument's recordings that belong to a pool.

    >>> pool_indices(6, "train"), pool_indices(6, "test")
    ([0, 1, 3, 4, 5], [2])
    """
    if pool == "all" or n_hits < _HELD_OUT_OF:
        return list(range(n_hits))
    held_out = pool == "test"
    return [i for i in range(n_hits) if (i % _HELD_OUT_OF == _HELD_OUT_AT) == held_out]


def instrument_name(kit: Kit, stroke: PerformedHit) -> str | None:
    """The instrument that plays a stroke, or None where the kit has none for its note.

    The note says whether a hi-hat is closed, struck open or trodden; how far it is open is the
    pedal's to say, where the kit has instruments to choose from.
    """
    name = kit.note_map.get(stroke.note)
    if name is None or stroke.note not in OPEN_HIHAT_NOTES or stroke.openness <= 0.0:
        return name
    wanted: Opening = "half" if stroke.openness <= _HALF_OPEN_UP_TO else "open"
    if hihat_opening(name) in (None, wanted):
        return name
    others = [
        other
        for other, instrument in kit.instruments.items()
        if instrument.piece is Piece.HIHAT and hihat_opening(other) == wanted
    ]
    return others[0] if others else name


class Drummer:
    """Plays strokes on a kit with the recordings of one pool.

    Args:
        kit: The kit.
        pool: Which recordings may sound.
        rng: Source of the round robin.
    """

    def __init__(self, kit: Kit, *, pool: HitPool, rng: np.random.Generator) -> None:
        self._kit, self._pool, self._rng = kit, pool, rng
        self._dynamics: dict[str, _Dynamics] = {}
        self._last: dict[str, int] = {}

    def play(self, performance: Sequence[PerformedHit], *, lead_s: float) -> list[RenderedHit]:
        """Strokes with their recordings, in order of time, `lead_s` later than performed."""
        hits = []
        for stroke in sorted(performance, key=lambda hit: hit.time_s):
            name = instrument_name(self._kit, stroke)
            if name is not None:
                hits.append(self._played(stroke, name, lead_s))
        return _stopped(self._kit, hits)

    def _played(self, stroke: PerformedHit, name: str, lead_s: float) -> RenderedHit:
        dynamics = self._of(name)
        velocity = min(max(stroke.velocity, 1), 127)
        trims_db = dynamics.trims_db(velocity)
        sample = self._recording(name, dynamics.rank(velocity), trims_db)
        gain_db = float(np.clip(trims_db[sample], -_SCALE_LIMIT_DB, _SCALE_LIMIT_DB))
        gain_db += dynamics.velocity_db(sample, velocity)
        gain_db += self._ceiling_db(stroke.note, dynamics, velocity)
        time_s = stroke.time_s + lead_s
        piece = self._kit.instruments[name].piece
        return RenderedHit(
            time_s=time_s,
            piece=piece,
            instrument=name,
            velocity=stroke.velocity,
            sample=sample,
            gain_db=round(gain_db, 3),
            stop_s=None if stroke.rings_s is None else time_s + stroke.rings_s,
            stop_fade_s=_fade_s(piece),
        )

    def _of(self, name: str) -> _Dynamics:
        if name not in self._dynamics:
            self._dynamics[name] = _Dynamics(self._kit.instruments[name], self._kit.rate_hz)
        return self._dynamics[name]

    def _recording(self, name: str, rank: float, trims_db: NDArray[np.float64]) -> int:
        hits = self._kit.instruments[name].hits
        indices = pool_indices(len(trims_db), self._pool)
        nearest = sorted(indices, key=lambda index: abs(index - rank))
        turns = [index for index in nearest[:_TURNS] if abs(trims_db[index]) <= _TURN_DB]
        if len(turns) < 2:
            turns = [i for i in nearest[:2] if abs(trims_db[i]) <= _FEW_DB] or nearest[:1]
        fresh = sorted(index for index in turns if index != self._last.get(name)) or turns
        self._last[name] = fresh[self._draw([hits[index].weight for index in fresh])]
        return self._last[name]

    def _draw(self, weights: Sequence[float]) -> int:
        if len(set(weights)) == 1:
            return int(self._rng.integers(len(weights)))
        shares = np.array(weights) / np.sum(weights)
        return int(self._rng.choice(len(weights), p=shares))

    def _ceiling_db(self, note: int, dynamics: _Dynamics, velocity: int) -> float:
        """How much a stroke has to come down to keep its proportion to others; 0.0 or below."""
        others, margin_db = _CEILINGS.get(note, ((), 0.0))
        names = {self._kit.note_map[other] for other in others if other in self._kit.note_map}
        ceilings_db = [self._of(name).peak_db(velocity) - margin_db for name in sorted(names)]
        return min(0.0, min(ceilings_db, default=np.inf) - dynamics.peak_db(velocity))


class _Dynamics:
    """Loudness of an instrument by velocity."""

    def __init__(self, instrument: Instrument, rate_hz: int) -> None:
        n_samples = max(1, round(_LEVEL_S * rate_hz))
        starts = [_starts(instrument, hit, n_samples) for hit in instrument.hits]
        powers = [sum(float(np.sum(start**2)) for start in heard) / n_samples for heard in starts]
        peaks = [max((float(np.max(np.abs(s))) for s in heard), default=0.0) for heard in starts]
        self._levels_db = gain_to_db(np.sqrt(powers))
        self._ranked_levels_db = np.sort(self._levels_db)
        self._ranked_peaks_db = np.sort(gain_to_db(np.array(peaks)))
        self._is_normalised = np.array([hit.is_normalised for hit in instrument.hits])

    def rank(self, velocity: int) -> float:
        """Place of a velocity among the recordings, 0.0 the softest."""
        return (velocity - 1) / 126 * (len(self._levels_db) - 1)

    def trims_db(self, velocity: int) -> NDArray[np.float64]:
        """What each recording lacks of the level that a velocity asks for; 0.0 if normalised."""
        lacking_db = self._at(self._ranked_levels_db, velocity) - self._levels_db
        return np.where(self._is_normalised, 0.0, lacking_db)

    def velocity_db(self, sample: int, velocity: int) -> float:
        """Gain of a recording that was brought to full level; 0.0 for others."""
        return gain_to_db(velocity / 127) if self._is_normalised[sample] else 0.0

    def peak_db(self, velocity: int) -> float:
        """Peak that a velocity asks for, in the microphones that face the piece."""
        nearest = round(self.rank(velocity))
        return self._at(self._ranked_peaks_db, velocity) + self.velocity_db(nearest, velocity)

    def _at(self, ranked_db: NDArray[np.float64], velocity: int) -> float:
        return float(np.interp(self.rank(velocity), np.arange(len(ranked_db)), ranked_db))


def _starts(instrument: Instrument, hit: Hit, n_samples: int) -> list[FloatArray]:
    """Start of a recording in the microphones that face the piece, or in all if none does."""
    facing = [hit.channels[name] for name in instrument.main_channels if name in hit.channels]
    return [sound[:n_samples] for sound in facing or hit.channels.values() if len(sound)]


def _stopped(kit: Kit, hits: Sequence[RenderedHit]) -> list[RenderedHit]:
    """The hits with what stops them: the player, or a later stroke that chokes them."""
    stopped = list(hits)
    ringing: dict[str, list[int]] = {}
    for index, hit in enumerate(hits):
        for choked in kit.chokes.get(hit.instrument, ()):
            for earlier in ringing.pop(choked, []):
                before_s = stopped[earlier].stop_s
                if before_s is None or before_s > hit.time_s:
                    fade_s = kit.choke_times_s.get((hit.instrument, choked), _fade_s(hit.piece))
                    stopped[earlier] = replace(
                        stopped[earlier], stop_s=hit.time_s, stop_fade_s=fade_s
                    )
        ringing.setdefault(hit.instrument, []).append(index)
    return stopped


def _fade_s(piece: Piece) -> float:
    return _HIHAT_STOP_S if piece is Piece.HIHAT else _HAND_STOP_S
