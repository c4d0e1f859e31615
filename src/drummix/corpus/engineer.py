"""The reference engineer: the dry and the wet mix that a rendered session should become.

Dry: a fader, a pan position and a static tonal balance for each microphone. Wet: the same plus
gates opened by the known hits, EQ, compression of each close microphone keyed by its piece without
bleed, a parallel bus, a plate, bus compression and a limiter. One engineer is one consistent
taste, drawn once from ranges that published engineers state, and then used for every session.

Source: ranges after Izhaki, "Mixing Audio" (2018) and De Man, Reiss and Stables, "Ten Years of
Automatic Mixing" (2017); overhead and hi-hat shelves as measured on a human mix of ENST-Drums.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from drummix.corpus.kit import FloatArray
from drummix.corpus.render import Rendering
from drummix.corpus.studio import STUDIO_PEAKS_DBFS, Studio
from drummix.effects.dynamics import compress, gate_from_hits, limit, parallel_compress
from drummix.effects.eq import Band, butterworth, equalise
from drummix.effects.pan import pan
from drummix.effects.plate import plate
from drummix.levels import db_to_gain
from drummix.roles import PAPER_ROLES, Role

Perspective = Literal["audience", "drummer"]

CLOSE_ROLES = (Role.KICK, Role.SNARE, Role.HIHAT, Role.TOM_MID, Role.TOM_LOW, Role.TOM_MID_LOW)
_OVERHEADS = (Role.OVERHEAD_LEFT, Role.OVERHEAD_RIGHT)

# Fader range in dB for stems at the studio's levels.
_FADERS_DB: Mapping[Role, tuple[float, float]] = {
    Role.KICK: (-3.0, -1.0),
    Role.SNARE: (-4.5, -2.5),
    Role.HIHAT: (-16.0, -11.0),
    Role.TOM_MID: (-4.5, -2.0),
    Role.TOM_LOW: (-4.5, -2.0),
    Role.TOM_MID_LOW: (-4.5, -2.0),
    Role.OVERHEAD_LEFT: (-5.0, -2.0),
    Role.OVERHEAD_RIGHT: (-5.0, -2.0),
}

# Position in the audience's view, -1 left to 1 right, for a right-handed kit.
_PANS: Mapping[Role, tuple[float, float]] = {
    Role.KICK: (0.0, 0.0),
    Role.SNARE: (0.0, 0.1),
    Role.HIHAT: (0.25, 0.5),
    Role.TOM_MID: (0.1, 0.3),
    Role.TOM_MID_LOW: (-0.25, -0.1),
    Role.TOM_LOW: (-0.5, -0.3),
    Role.OVERHEAD_LEFT: (1.0, 1.0),
    Role.OVERHEAD_RIGHT: (-1.0, -1.0),
}

# The plate and the buses run past the last hit; the dry and wet peaks leave this much room.
_MASTER_DB = -3.0


@dataclass(frozen=True)
class Taste:
    """What one engineer likes; every value in dB, Hz, ms or seconds as its name says.

    Args:
        faders_db: Role -> gain of its microphone.
        pans: Role -> position, -1 left to 1 right, as the audience sees the kit.
        perspective: ``audience``, or ``drummer`` to mirror the image.
        overhead_shelf_db: High shelf of the overheads, both mixes.
        hihat_shelf_db: High shelf of the hi-hat, both mixes.
        gate_range_db: How far the wet mix turns close microphones down between hits.
        close_ratio: Compression ratio of kick, snare and toms.
        close_over_db: How far the threshold lies below the studio's peak of a loud hit.
        parallel_share: Share of the heavily compressed copy of the close microphones.
        plate_db: Level of the plate's return.
        plate_decay: Decay of the plate.
        predelay_ms: Pre-delay of the plate.
        bus_ratio: Ratio of the mix bus compressor.
        bus_threshold_db: Its threshold in dBFS.
        limiter_ceiling_db: Ceiling of the mastering limiter.
    """

    faders_db: Mapping[Role, float]
    pans: Mapping[Role, float]
    perspective: Perspective
    overhead_shelf_db: float
    hihat_shelf_db: float
    gate_range_db: float
    close_ratio: float
    close_over_db: float
    parallel_share: float
    plate_db: float
    plate_decay: float
    predelay_ms: float
    bus_ratio: float
    bus_threshold_db: float
    limiter_ceiling_db: float

    @classmethod
    def draw(cls, rng: np.random.Generator, *, perspective: Perspective = "audience") -> Taste:
        """Draw one engineer's taste; toms share a fader and both overheads do."""

        def between(low: float, high: float) -> float:
            return round(float(rng.uniform(low, high)), 3)

        faders = {role: between(*_FADERS_DB[role]) for role in PAPER_ROLES}
        faders[Role.TOM_LOW] = faders[Role.TOM_MID_LOW] = faders[Role.TOM_MID]
        faders[Role.OVERHEAD_RIGHT] = faders[Role.OVERHEAD_LEFT]
        return cls(
            faders_db=faders,
            pans={role: between(*_PANS[role]) for role in PAPER_ROLES},
            perspective=perspective,
            overhead_shelf_db=between(7.0, 10.0),
            hihat_shelf_db=between(4.0, 7.0),
            gate_range_db=between(10.0, 16.0),
            close_ratio=between(2.0, 3.0),
            close_over_db=between(4.0, 8.0),
            parallel_share=between(0.06, 0.12),
            plate_db=between(-18.0, -14.0),
            plate_decay=between(0.3, 0.42),
            predelay_ms=between(8.0, 20.0),
            bus_ratio=between(1.7, 2.2),
            bus_threshold_db=between(-16.0, -12.0),
            limiter_ceiling_db=-1.0,
        )

    def to_mapping(self) -> dict[str, Any]:
        """Plain data for the manifest of a corpus."""
        values = asdict(self)
        values["faders_db"] = {str(role): gain for role, gain in self.faders_db.items()}
        values["pans"] = {str(role): position for role, position in self.pans.items()}
        return values


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
    stems = studio.stems(rendering)
    by_role = {role: stems[i : i + 1] for i, role in enumerate(PAPER_ROLES)}
    toned = {role: _tone(track, role, rendering.rate_hz, taste) for role, track in by_role.items()}
    dry = _bus(toned, taste)
    wet = _wet(toned, rendering, studio, taste)
    master = np.float32(db_to_gain(_MASTER_DB))
    return ReferenceMixes(stems, master * dry, wet)


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
    stereo = [
        np.float32(db_to_gain(taste.faders_db[role])) * pan(track, mirror * taste.pans[role])
        for role, track in tracks.items()
    ]
    return np.sum(stereo, axis=0, dtype=np.float32)


def _wet(
    toned: Mapping[Role, FloatArray], rendering: Rendering, studio: Studio, taste: Taste
) -> FloatArray:
    rate_hz = rendering.rate_hz
    clean = studio.clean(rendering)
    processed = {}
    for role, track in toned.items():
        if role in CLOSE_ROLES:
            onsets = rendering.onsets(*studio.pieces[role])
            track = _close_channel(track, role, onsets, clean[role], rate_hz, taste)
        processed[role] = equalise(track, rate_hz, _WET_EQ[role])
    mix = _bus(processed, taste)
    close = _bus({role: processed[role] for role in CLOSE_ROLES}, taste)
    crushed = parallel_compress(
        close,
        rate_hz,
        wet_share=1.0,
        threshold_db=-30.0,
        ratio=8.0,
        attack_ms=15.0,
        release_ms=120.0,
        makeup_db=8.0,
    )
    send = _bus({role: processed[role] for role in _PLATE_SENDS}, taste)
    reverb = plate(
        send,
        rate_hz,
        decay=taste.plate_decay,
        predelay_ms=taste.predelay_ms,
        low_cut_hz=180.0,
        high_cut_hz=7000.0,
        excursion_samples=0.0,
    )
    mix = mix + np.float32(taste.parallel_share) * crushed
    mix = mix + np.float32(db_to_gain(taste.plate_db)) * reverb
    mix = compress(
        mix,
        rate_hz,
        threshold_db=taste.bus_threshold_db,
        ratio=taste.bus_ratio,
        attack_ms=25.0,
        release_ms=150.0,
    )
    return limit(mix, rate_hz, ceiling_db=taste.limiter_ceiling_db, release_ms=80.0)


_PLATE_SENDS = (Role.SNARE, Role.TOM_MID, Role.TOM_LOW, Role.TOM_MID_LOW)

_GATE_HOLD_MS: Mapping[Role, float] = {
    Role.KICK: 120.0,
    Role.SNARE: 160.0,
    Role.TOM_MID: 350.0,
    Role.TOM_MID_LOW: 400.0,
    Role.TOM_LOW: 450.0,
}
_TOM_EQ = (Band("peak", 400.0, -3.0, 1.0), Band("peak", 4000.0, 2.0, 0.8))
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
    Role.OVERHEAD_LEFT: (Band("low_shelf", 150.0, -2.0),),
    Role.OVERHEAD_RIGHT: (Band("low_shelf", 150.0, -2.0),),
}


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
