"""The systems by name.

What a system needs is loaded when it is made: effects and filters take longer than a short mix.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drummix.errors import SettingError, WeightsError
from drummix.mixers.base import Mixer
from drummix.mixers.compute import Compute
from drummix.mixers.unity import UnityMixer
from drummix.mixers.waveunet import WaveUNetMixer
from drummix.mixers.weights import load_model, read_card
from drummix.notices import Code, Notice

if TYPE_CHECKING:
    from drummix.mixers.forest.wet import WetProfile

DEFAULT_SYSTEM = "waveunet-wet"

DESCRIPTIONS: Mapping[str, str] = {
    "waveunet-wet": "finished mix by the Wave-U-Net: levels, pan, EQ, dynamics and reverb",
    "waveunet-dry": "balance by the Wave-U-Net: levels and pan, no effects",
    "forest-dry": "gains and pan by the paper's random forest",
    "forest-wet": "the same with automatic compression and reverb",
    "forest-mono-dry": "gains by the random forest, mono as the paper's published mixes",
    "forest-paper-wet": "forest-wet with the compressor and reverb rules that the paper describes",
    "forest-as-heard-wet": "forest-wet with the one plate that the paper's published mixes have",
    "unity": "every microphone at its recorded level, overheads and rooms panned: no mixing",
    "anchor": "overheads alone, low-passed at 3.5 kHz after BS.1534: the low mark of a test",
    "anchor-paper": "the same with the gentler low-pass of the paper's examples",
}
_TARGETS = {"waveunet-wet": "wet", "waveunet-dry": "dry"}
_FOREST_PROFILES: Mapping[str, WetProfile | None] = {
    "forest-dry": None,
    "forest-wet": "sane",
    "forest-mono-dry": None,
    "forest-paper-wet": "paper",
    "forest-as-heard-wet": "as-heard",
}


@dataclass(frozen=True)
class System:
    """A system that can mix.

    Args:
        name: Its name, as `make_mixer` takes it.
        description: What it does, in one line.
        is_ready: Whether everything it needs is installed.
        why_not: What is missing where it is not ready.
        metrics: Its figures as its model card gives them; empty where it has none.
    """

    name: str
    description: str
    is_ready: bool
    why_not: str
    metrics: Mapping[str, Any]

    @property
    def is_default(self) -> bool:
        """Whether it mixes where no system is named."""
        return self.name == DEFAULT_SYSTEM

    def to_mapping(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "name": self.name,
            "description": self.description,
            "ready": self.is_ready,
            "why_not": self.why_not,
            "default": self.is_default,
            "metrics": dict(self.metrics),
        }


def systems() -> tuple[System, ...]:
    """All systems, the default one first."""
    return tuple(_system(name) for name in DESCRIPTIONS)


def make_mixer(
    name: str,
    *,
    weights: Path | None = None,
    is_as_recorded: bool = False,
    is_paper_segments: bool = False,
    compute: Compute | None = None,
) -> tuple[Mixer, tuple[Notice, ...]]:
    """Make the mixer of a system.

    Args:
        name: Name of the system.
        weights: Folder of a model to use in place of the shipped one; Wave-U-Net and forest.
        is_as_recorded: Leave the stems' levels alone before the network; Wave-U-Net only.
        is_paper_segments: Cut the session as the paper does; Wave-U-Net only.
        compute: Threads and memory of the network; Wave-U-Net only.

    Returns:
        The mixer, and what a person should know about the choice.

    Raises:
        SettingError: If the name is unknown, or an option has no meaning for the system.
        WeightsError: If the model is missing or damaged.
    """
    if name not in DESCRIPTIONS:
        close = get_close_matches(name, DESCRIPTIONS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"use one of {', '.join(DESCRIPTIONS)}"
        raise SettingError("system", name, hint, problem=f"is {name!r}, which does not exist")
    if name in _TARGETS:
        model = load_model(name if weights is None else weights)
        notices: tuple[Notice, ...] = ()
        if model.target != _TARGETS[name]:
            notices = (
                Notice.of(Code.WEIGHTS_FOR_OTHER_TARGET, str(model.folder), target=model.target),
            )
        mixer = WaveUNetMixer(
            name,
            model,
            is_as_recorded=is_as_recorded,
            is_paper_segments=is_paper_segments,
            compute=compute,
        )
        return mixer, notices
    is_forest = name in _FOREST_PROFILES
    for parameter, value in (
        ("weights", None if is_forest else weights),
        ("as_recorded", is_as_recorded or None),
        ("paper_segments", is_paper_segments or None),
        *(compute.given() if compute else {}).items(),
    ):
        if value is not None:
            why = f"means nothing to {name}, which is no network"
            raise SettingError(parameter, value, "leave it out", problem=why)
    if is_forest:
        from drummix.mixers.forest.mixer import ForestMixer
        from drummix.mixers.forest.trees import read_forest

        forest = read_forest(weights)
        is_mono = name == "forest-mono-dry"
        return ForestMixer(name, forest, is_mono=is_mono, wet=_FOREST_PROFILES[name]), ()
    if name == "unity":
        return UnityMixer(), ()
    from drummix.mixers.anchor import AnchorMixer

    return AnchorMixer(name), ()


def _system(name: str) -> System:
    why_not, metrics = "", {}
    if name in _TARGETS:
        try:
            metrics = read_card(name)["metrics"]
        except WeightsError as error:
            why_not = str(error)
    if name in _FOREST_PROFILES:
        from drummix.mixers.forest.trees import read_forest_card

        try:
            metrics = read_forest_card()["metrics"]
        except WeightsError as error:
            why_not = str(error)
    return System(name, DESCRIPTIONS[name], not why_not, why_not, metrics)
