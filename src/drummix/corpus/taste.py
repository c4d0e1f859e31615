"""What one reference engineer likes: drawn once, then the same for every session.

Source: ranges after Izhaki, "Mixing Audio" (2018) and De Man, Reiss and Stables, "Ten Years of
Automatic Mixing" (2017); overhead and hi-hat shelves as measured on a human mix of ENST-Drums.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from drummix.roles import PAPER_ROLES, Role

Perspective = Literal["audience", "drummer"]
Range = tuple[float, float]

FADERS_DB: Mapping[Role, Range] = {
    Role.KICK: (-3.0, -1.0),
    Role.SNARE: (-4.5, -2.5),
    Role.HIHAT: (-16.0, -11.0),
    Role.TOM_MID: (-4.5, -2.0),
    Role.TOM_LOW: (-4.5, -2.0),
    Role.TOM_MID_LOW: (-4.5, -2.0),
    Role.OVERHEAD_LEFT: (-6.5, -3.5),
    Role.OVERHEAD_RIGHT: (-6.5, -3.5),
}
"""Range of each fader in dB for stems at the studio's levels."""

PANS: Mapping[Role, Range] = {
    Role.KICK: (0.0, 0.0),
    Role.SNARE: (0.0, 0.1),
    Role.HIHAT: (0.25, 0.5),
    Role.TOM_MID: (0.1, 0.3),
    Role.TOM_MID_LOW: (-0.25, -0.1),
    Role.TOM_LOW: (-0.5, -0.3),
    Role.OVERHEAD_LEFT: (0.6, 0.8),
    Role.OVERHEAD_RIGHT: (-0.8, -0.6),
}
"""Range of each position in the audience's view, -1 left to 1 right, of a right-handed kit."""

RANGES: Mapping[str, Range] = {
    "overhead_shelf_db": (7.0, 10.0),
    "hihat_shelf_db": (4.0, 7.0),
    "gate_range_db": (10.0, 16.0),
    "close_ratio": (2.0, 3.0),
    "close_over_db": (4.0, 8.0),
    "parallel_share": (0.06, 0.12),
    "plate_db": (-10.0, -7.0),
    "plate_decay": (0.2, 0.3),
    "predelay_ms": (3.0, 8.0),
    "bus_ratio": (1.7, 2.2),
    "bus_threshold_db": (-16.0, -12.0),
    "master_drive_db": (5.0, 7.0),
    "plate_size": (0.25, 0.35),
}
"""Ranges of the other values, in the order in which they are drawn."""

LIMITER_CEILING_DB = -1.0


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
        master_drive_db: Gain of the wet mix into the limiter.
        plate_size: Size of the plate.
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
    master_drive_db: float
    plate_size: float
    limiter_ceiling_db: float

    @classmethod
    def draw(cls, rng: np.random.Generator, *, perspective: Perspective = "audience") -> Taste:
        """Draw one engineer's taste; toms share a fader, both overheads do and lie opposite."""

        def between(low: float, high: float) -> float:
            return round(float(rng.uniform(low, high)), 3)

        faders = {role: between(*FADERS_DB[role]) for role in PAPER_ROLES}
        faders[Role.TOM_LOW] = faders[Role.TOM_MID_LOW] = faders[Role.TOM_MID]
        faders[Role.OVERHEAD_RIGHT] = faders[Role.OVERHEAD_LEFT]
        pans = {role: between(*PANS[role]) for role in PAPER_ROLES}
        pans[Role.OVERHEAD_RIGHT] = -pans[Role.OVERHEAD_LEFT]
        return cls(
            faders_db=faders,
            pans=pans,
            perspective=perspective,
            **{name: between(*limits) for name, limits in RANGES.items()},
            limiter_ceiling_db=LIMITER_CEILING_DB,
        )

    def to_mapping(self) -> dict[str, Any]:
        """Plain data for the manifest of a corpus."""
        values = asdict(self)
        values["faders_db"] = {str(role): gain for role, gain in self.faders_db.items()}
        values["pans"] = {str(role): position for role, position in self.pans.items()}
        return values
