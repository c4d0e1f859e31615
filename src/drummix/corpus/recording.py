"""A kit, a studio and an engineer: plays and mixes what a plan says, and writes no file.

A corpus on disk and training without one both get their sessions here, so that they are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from drummix.corpus.disturbance import (
    RENDERED_DISTURBANCES,
    Disturbance,
    disturb,
    draw_disturbance,
)
from drummix.corpus.drumgizmo import read_kit
from drummix.corpus.engineer import ReferenceMixes, mix_reference, mix_target
from drummix.corpus.kinds import strokes_of
from drummix.corpus.kit import FloatArray, Kit
from drummix.corpus.manifest import Target
from drummix.corpus.plan import CORPUS_RATE_HZ, CorpusSettings, PlannedItem, synthkit_seed
from drummix.corpus.render import Rendering, render_performance
from drummix.corpus.strokes import HitPool
from drummix.corpus.studio import Studio
from drummix.corpus.synthkit import synth_kit
from drummix.corpus.taste import Taste
from drummix.errors import CorpusError

# Tunings are drawn from these.
_TUNINGS = np.arange(-3.0, 3.5, 0.5)

# Enough for the test part to have three of them.
_SYNTHKIT_HITS = 12


@dataclass(frozen=True, eq=False)
class Take:
    """One item as it was played.

    Args:
        plan: What was to be played.
        rendering: Every microphone.
        tuning_semitones: How far up the kit was tuned.
        disturbance: What is to happen to the stems after the mix; None for nothing.
    """

    plan: PlannedItem
    rendering: Rendering
    tuning_semitones: float
    disturbance: Disturbance | None

    def disturbed(self, stems: FloatArray) -> FloatArray:
        """The stems as they are handed out."""
        if self.disturbance is None:
            return stems
        rng = _own_rng(self.plan, "noise")
        return disturb(stems, self.rendering.rate_hz, self.disturbance, rng)


class RecordingSession:
    """A kit set up in the studio, and its engineer.

    Args:
        settings: How the corpus is made.
        kit: The kit, by `load_kit`.

    Raises:
        CorpusError: If the kit lacks what a session needs.
    """

    def __init__(self, settings: CorpusSettings, kit: Kit) -> None:
        self.kit = kit
        self.taste = taste_of(settings)
        self._studio = Studio.for_kit(self.kit)
        self._kinds = settings.disturb

    def record(self, plan: PlannedItem) -> Take:
        """Play an item.

        Raises:
            CorpusError: If its performance is damaged, or the kit has no instrument for it.
        """
        pool: HitPool = "test" if plan.material.part == "test" else "train"
        rng = np.random.default_rng(plan.seed)
        tuning = _draw_tuning(plan) if "tuning" in self._kinds else 0.0
        hits = strokes_of(plan.material, rng=rng)
        try:
            rendering = render_performance(
                self.kit, hits, rng=rng, pool=pool, tuning_semitones=tuning
            )
        except CorpusError as error:
            raise CorpusError(f"performance {plan.material.performance}: {error}") from None
        kinds = [kind for kind in self._kinds if kind not in RENDERED_DISTURBANCES]
        disturbance = draw_disturbance(_own_rng(plan, "disturbance"), kinds) if kinds else None
        return Take(plan, rendering, tuning, disturbance)

    def mix(self, take: Take) -> ReferenceMixes:
        """Stems and both mixes; the stems are not disturbed yet."""
        return mix_reference(take.rendering, self._studio, self.taste)

    def mix_one(self, take: Take, target: Target) -> tuple[FloatArray, FloatArray]:
        """Stems (8, N) and one mix (2, N), which takes less time than both."""
        return mix_target(take.rendering, self._studio, self.taste, target)


def load_kit(name: str) -> Kit:
    """A DrumGizmo kit by its folder, or the built-in kit by the name ``synthkit``."""
    seed = synthkit_seed(name)
    if seed is not None:
        return synth_kit(seed, rate_hz=CORPUS_RATE_HZ, hits_per_instrument=_SYNTHKIT_HITS)
    return read_kit(Path(name), rate_hz=CORPUS_RATE_HZ)


def taste_of(settings: CorpusSettings) -> Taste:
    """The taste of the engineer of a corpus."""
    rng = np.random.default_rng(settings.engineer)
    return Taste.draw(rng, perspective=settings.perspective)


def licence_of(kit: Kit, plan: PlannedItem) -> str:
    """Licences of what an item is made from."""
    played = "; performance: CC BY 4.0 (Groove MIDI Dataset)" if plan.material.performances else ""
    return f"kit: {kit.licence}{played}"


def _draw_tuning(plan: PlannedItem) -> float:
    """How many semitones the kit of an item is tuned up."""
    return float(_own_rng(plan, "tuning").choice(_TUNINGS))


def _own_rng(plan: PlannedItem, purpose: str) -> np.random.Generator:
    """A stream of its own: what is disturbed changes nothing in how an item is played."""
    return np.random.default_rng([plan.seed, *purpose.encode()])
