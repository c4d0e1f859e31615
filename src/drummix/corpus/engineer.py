"""The reference engineer: the dry and the wet mix that a rendered session should become.

Dry: a fader, a pan position and a static tonal balance for each microphone. Wet: the same plus
gates opened by the known hits, EQ, compression of each close microphone keyed by its piece without
bleed, a parallel bus, a plate, bus compression and a limiter. What differs from engineer to
engineer is a `Taste`; what stands in this module is common to all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drummix.corpus.kit import FloatArray
from drummix.corpus.manifest import Target
from drummix.corpus.render import Rendering
from drummix.corpus.studio import STUDIO_PEAKS_DBFS, Studio
from drummix.corpus.taste import Taste
from drummix.effects.dynamics import compress, gate_from_hits, limit
from drummix.effects.eq import Band, butterworth, equalise
from drummix.effects.pan import pan
from drummix.effects.plate import plate
from drummix.gain_staging import staged_gains
from drummix.levels import db_to_gain
from drummix.roles import PAPER_ROLES, Role

CLOSE_ROLES = (Role.KICK, Role.SNARE, Role.HIHAT, Role.TOM_MID, Role.TOM_LOW, Role.TOM_MID_LOW)
_OVERHEADS = (Role.OVERHEAD_LEFT, Role.OVERHEAD_RIGHT)

# Room that the dry mix leaves below full scale.
_MASTER_DB = -3.0

_PLATE_SENDS = (Role.SNARE, Role.TOM_MID, Role.TOM_LOW, Role.TOM_MID_LOW)

_GATE_HOLD_MS: Mapping[Role, float] = {
    Role.KICK: 120.0,
    Role.SNARE: 160.0,
    Role.TOM_MID: 350.0,
    Role.TOM_MID_LOW: 400.0,
    Role.TOM_LOW: 450.0,
}
_TOM_EQ = (Band("peak", 400.0, -3.0, 1.0), Band("peak", 4000.0, 2.0, 0.8))
# The shelf gives cymbals back what the bus compressor and the limiter take from them.
_OVERHEAD_EQ = (Band("low_shelf", 150.0, -2.0), Band("high_shelf", 6000.0, 1.5))
_WET_EQ: Mapping[Role, tuple[Band, ...]] = {
    Role.KICK: (
        Band("low_shelf", 80.0, 1.5),
        Band("peak", 350.0, -3.0, 1.0),
        Band("peak", 3500.0, 2.5, 0.9),
    ),
    Role.SNARE: (
        *butterworth("high_pass", 45.0, order=2),
        Band("peak", 200.0, 1.5, 1.0),
        Band("peak", 550.0, -1.5, 1.2),
        Band("high_shelf", 5000.0, 2.0),
    ),
    Role.HIHAT: butterworth("high_pass", 250.0, order=2),
    Role.TOM_MID: (Band("peak", 130.0, 2.0, 1.0), *_TOM_EQ),
    Role.TOM_MID_LOW: (Band("peak", 105.0, 2.0, 1.0), *_TOM_EQ),
    Role.TOM_LOW: (Band("peak", 85.0, 2.0, 1.0), *_TOM_EQ),
    Role.OVERHEAD_LEFT: _OVERHEAD_EQ,
    Role.OVERHEAD_RIGHT: _OVERHEAD_EQ,
}


@dataclass(frozen=True, eq=False)
class ReferenceMixes:
    """The stems of a session and its engineer's mixes.

    Args:
        stems: (8, N) in the order of `PAPER_ROLES`.
        dry: Stereo dry mix (2, N).
        wet: Stereo wet mix (2, N).
    """

    stems: FloatArray
    dry: FloatArray
    wet: FloatArray


def mix_reference(rendering: Rendering, studio: Studio, taste: Taste) -> ReferenceMixes:
    """Mix a rendered session as the engineer with this taste does."""
    channels = _channels(rendering, studio, taste)
    wet = _wet(channels, rendering, studio, taste)
    return ReferenceMixes(channels.stems, _dry(channels, taste), wet)


def mix_target(
    rendering: Rendering, studio: Studio, taste: Taste, target: Target
) -> tuple[FloatArray, FloatArray]:
    """The stems (8, N) and one mix (2, N) of `mix_reference`, without the work of the other."""
    channels = _channels(rendering, studio, taste)
    if target == "dry":
        return channels.stems, _dry(channels, taste)
    return channels.stems, _wet(channels, rendering, studio, taste)


@dataclass(frozen=True, eq=False)
class _Channels:
    """The desk before any fader: stems, what the preamps did, and stems with their tone."""

    stems: FloatArray
    preamps: NDArray[np.float32]
    toned: Mapping[Role, FloatArray]


def _channels(rendering: Rendering, studio: Studio, taste: Taste) -> _Channels:
    recorded = studio.stems(rendering)
    preamps = staged_gains(recorded, PAPER_ROLES, rendering.rate_hz)
    stems = preamps[:, np.newaxis] * recorded
    by_role = {role: stems[i : i + 1] for i, role in enumerate(PAPER_ROLES)}
    toned = {role: _tone(track, role, rendering.rate_hz, taste) for role, track in by_role.items()}
    return _Channels(stems, preamps, toned)


def _dry(channels: _Channels, taste: Taste) -> FloatArray:
    return np.float32(db_to_gain(_MASTER_DB)) * _bus(channels.toned, taste)


def _tone(track: FloatArray, role: Role, rate_hz: int, taste: Taste) -> FloatArray:
    """Static tonal balance of both mixes: close drums flat, cymbals lifted."""
    if role in _OVERHEADS:
        return equalise(track, rate_hz, [Band("high_shelf", 7500.0, taste.overhead_shelf_db)])
    if role is Role.HIHAT:
        return equalise(track, rate_hz, [Band("high_shelf", 8000.0, taste.hihat_shelf_db)])
    return track


def _bus(tracks: Mapping[Role, FloatArray], taste: Taste) -> FloatArray:
    """Faders and pans: tracks (1, N) to stereo (2, N)."""
    mirror = 1.0 if taste.perspective == "audience" else -1.0
    n_samples = next(iter(tracks.values())).shape[1]
    stereo = np.zeros((2, n_samples), np.float32)
    for role, track in tracks.items():
        fader = np.float32(db_to_gain(taste.faders_db[role]))
        stereo += fader * pan(track, mirror * taste.pans[role])
    return stereo


def _wet(channels: _Channels, rendering: Rendering, studio: Studio, taste: Taste) -> FloatArray:
    rate_hz = rendering.rate_hz
    clean = {
        role: channels.preamps[PAPER_ROLES.index(role)] * track
        for role, track in studio.clean(rendering).items()
    }
    processed = {}
    for role, track in channels.toned.items():
        if role in CLOSE_ROLES:
            onsets = rendering.onsets(*studio.pieces[role])
            track = _close_channel(track, role, onsets, clean[role], rate_hz, taste)
        processed[role] = equalise(track, rate_hz, _WET_EQ[role])
    mix = _bus(processed, taste)
    mix = mix + np.float32(taste.parallel_share) * _parallel_bus(processed, rate_hz, taste)
    mix = mix + np.float32(db_to_gain(taste.plate_db)) * _plate_return(processed, rate_hz, taste)
    mix = compress(
        mix,
        rate_hz,
        threshold_db=taste.bus_threshold_db,
        ratio=taste.bus_ratio,
        attack_ms=25.0,
        release_ms=150.0,
    )
    mix = mix * np.float32(db_to_gain(taste.master_drive_db))
    return limit(mix, rate_hz, ceiling_db=taste.limiter_ceiling_db, release_ms=80.0)


def _parallel_bus(tracks: Mapping[Role, FloatArray], rate_hz: int, taste: Taste) -> FloatArray:
    """The close microphones, squashed."""
    return compress(
        _bus({role: tracks[role] for role in CLOSE_ROLES}, taste),
        rate_hz,
        threshold_db=-30.0,
        ratio=8.0,
        attack_ms=15.0,
        release_ms=120.0,
        makeup_db=8.0,
    )


def _plate_return(tracks: Mapping[Role, FloatArray], rate_hz: int, taste: Taste) -> FloatArray:
    """A plate that does not move, so that a network can learn it."""
    returned = plate(
        _bus({role: tracks[role] for role in _PLATE_SENDS}, taste),
        rate_hz,
        decay=taste.plate_decay,
        size=taste.plate_size,
        predelay_ms=taste.predelay_ms,
        low_cut_hz=180.0,
        high_cut_hz=7000.0,
        excursion_samples=0.0,
    )
    return returned if taste.perspective == "audience" else returned[::-1]


def _close_channel(
    track: FloatArray,
    role: Role,
    onsets: np.ndarray,
    clean: FloatArray,
    rate_hz: int,
    taste: Taste,
) -> FloatArray:
    """Gate a drum's microphone at its own hits and compress it by the drum alone."""
    if role is Role.HIHAT:
        return track
    gated = gate_from_hits(
        track,
        rate_hz,
        onsets=onsets,
        hold_ms=_GATE_HOLD_MS[role],
        release_ms=120.0,
        range_db=taste.gate_range_db,
    )
    reduction_db = taste.close_over_db * (1.0 - 1.0 / taste.close_ratio)
    return compress(
        gated,
        rate_hz,
        threshold_db=STUDIO_PEAKS_DBFS[role] - taste.close_over_db,
        ratio=taste.close_ratio,
        attack_ms=12.0,
        release_ms=100.0,
        makeup_db=0.5 * reduction_db,
        sidechain=clean[np.newaxis],
    )
