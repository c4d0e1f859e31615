"""Mixing with the random forest: gains, or gains and pan; with effects on the mix for a wet one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from drummix.audio import weighted_sums
from drummix.levels import db_to_gain
from drummix.mixers.base import FloatArray, MixPlan, Progress, measured_blocks, mixed_blocks
from drummix.mixers.forest.features import Measured, Measuring
from drummix.mixers.forest.trees import Forest
from drummix.mixers.forest.wet import WetProfile, apply_wet, decide_wet, measure_mix
from drummix.mixers.slots import Routing, route_stems
from drummix.roles import PAPER_ROLES
from drummix.session import Session


class ForestMixer:
    """The paper's random-forest system.

    Args:
        name: Name of the system.
        forest: The trees.
        is_mono: Gains alone, as the published mixes; else gains and pan.
        wet: How to compress and reverberate the mix; None for a dry one.
    """

    def __init__(
        self, name: str, forest: Forest, *, is_mono: bool = False, wet: WetProfile | None = None
    ) -> None:
        self.name = name
        self._forest = forest
        self._is_mono = is_mono
        self._wet = wet

    def plan(self, session: Session, *, progress: Progress | None = None) -> MixPlan:
        """Measure the stems, predict their gains and, for a wet mix, measure the dry one."""
        routing = route_stems(session.stems, PAPER_ROLES)
        measured = _measure(session, routing, progress)
        gains_db = self._gains_db(measured)
        channel_gains = np.where(measured.is_silent, 0.0, db_to_gain(gains_db.T))
        matrix = np.asarray(channel_gains @ routing.matrix, dtype=np.float32)
        settings: dict[str, Any] = {
            "forest": {"sha256": self._forest.card["sha256"], "trees": len(self._forest.roots)},
            "gains": _gain_settings(measured, gains_db),
            **routing.to_mapping(),
        }
        if self._wet is None:
            return MixPlan(
                self.name,
                session,
                settings,
                routing.notices(),
                lambda: mixed_blocks(session, matrix),
            )
        heard = measure_mix(mixed_blocks(session, matrix), session.rate_hz)
        effects = decide_wet(heard, self._wet)

        def blocks() -> Iterator[FloatArray]:
            return apply_wet(mixed_blocks(session, matrix), session.rate_hz, effects)

        settings |= {"effects": effects.to_mapping()}
        return MixPlan(self.name, session, settings, routing.notices(), blocks)

    def _gains_db(self, measured: Measured) -> np.ndarray:
        """Gain of every input in the left and right channel, (inputs, 2)."""
        predicted = self._forest.predict(measured.rows())
        return predicted[:, [2, 2]] if self._is_mono else predicted[:, :2]


def _measure(session: Session, routing: Routing, progress: Progress | None) -> Measured:
    measuring = Measuring(PAPER_ROLES, session.rate_hz)
    for block in measured_blocks(session, progress):
        measuring.add(_inputs(routing.matrix, block))
    return measuring.result()


def _inputs(matrix: FloatArray, block: FloatArray) -> FloatArray:
    """The stems summed into inputs; where every input is one stem as it is, there is no sum."""
    is_one_stem = (matrix == 1.0).sum(axis=1) * (matrix != 0.0).sum(axis=1) == 1
    return block[matrix.argmax(axis=1)] if is_one_stem.all() else weighted_sums(matrix, block)


def _gain_settings(measured: Measured, gains_db: np.ndarray) -> list[Mapping[str, Any]]:
    return [
        {"input": role.value, "left_db": round(float(left), 2), "right_db": round(float(right), 2)}
        for role, (left, right), is_silent in zip(
            measured.roles, gains_db, measured.is_silent, strict=True
        )
        if not is_silent
    ]
