"""How close a style brings another song to the mix that it should become."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from drummix.audio import Audio
from drummix.effects.reverse import fit_gains, si_sdr_of_products
from drummix.errors import SessionError
from drummix.matching.alignment import find_offset
from drummix.matching.example import Example, FloatArray, look_through, open_mix
from drummix.mixers.style import Style
from drummix.mixers.style_mixer import Levels, StyleMixer
from drummix.notices import Notice
from drummix.session import open_session
from drummix.session.gathering import Roles, Source


@dataclass(frozen=True)
class StyleCheck:
    """A style tried on a song whose mix is known.

    Args:
        si_sdr_db: Of the style's mix, all channels sharing one scale.
        static_si_sdr_db: Of the best static gains, fitted to this very mix: what faders and pans
            alone could do.
        gain_db: Level of the style's mix over that of the known one.
        notices: What the mixer said.
    """

    si_sdr_db: float
    static_si_sdr_db: float
    gain_db: float
    notices: tuple[Notice, ...]

    def to_mapping(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "si_sdr_db": round(self.si_sdr_db, 2),
            "static_si_sdr_db": round(self.static_si_sdr_db, 2),
            "gain_db": round(self.gain_db, 2),
            "notices": [notice.to_dict() for notice in self.notices],
        }


def check_style(
    style: Style,
    stems: Source,
    mix: Path | str | Audio,
    *,
    roles: Roles | None = None,
    levels: Levels = "auto",
) -> StyleCheck:
    """Mix a song with a style and compare with the mix that it has.

    Args:
        style: The style.
        stems: The song's stems.
        mix: Its mix.
        roles: Role -> file name, for files whose name does not tell.
        levels: As `drummix.mixers.style_mixer.StyleMixer` takes it.

    Raises:
        DrummixError: As `match` and the mixer.
    """
    opened = open_mix(mix)
    look_through(opened)
    session = open_session(stems, roles=roles)
    example = Example(session, opened)
    example = replace(example, offset=find_offset(example))
    start, stop = example.overlap
    if stop <= start:
        raise SessionError(f"{opened.name} and {session.name} do not overlap: nothing to compare")
    plan = StyleMixer(style, levels=levels).plan(session)
    products = np.zeros(3)
    for made, wanted in _beside(plan.blocks(), example):
        a, b = made.astype(np.float64), wanted.astype(np.float64)
        products += [np.vdot(a, a), np.vdot(a, b), np.vdot(b, b)]
    static = fit_gains(
        (block, target) for first, block, target in example.pairs(start, stop) if first >= start
    )
    made_energy, crossed, wanted_energy = (float(product) for product in products)
    return StyleCheck(
        si_sdr_db=si_sdr_of_products(made_energy, crossed, wanted_energy),
        static_si_sdr_db=static.score.si_sdr_db,
        gain_db=10.0 * math.log10((made_energy + 1e-30) / (wanted_energy + 1e-30)),
        notices=plan.notices,
    )


def _beside(
    blocks: Iterator[FloatArray], example: Example
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """The mixer's blocks with the known mix beside them, where it is there."""
    start, stop = example.overlap
    targets = example.mix.blocks(example.session.rate_hz, start=start + example.offset)
    waiting = np.zeros((2, 0), np.float32)
    position = 0
    for block in blocks:
        first, last = max(start, position), min(stop, position + block.shape[1])
        if first < last:
            while waiting.shape[1] < last - first:
                waiting = np.concatenate([waiting, next(targets)], axis=1)
            yield block[:, first - position : last - position], waiting[:, : last - first]
            waiting = waiting[:, last - first :]
        position += block.shape[1]
