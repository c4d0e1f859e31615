"""The systems: what each is called, does, needs and takes, and how its mixer is made.

What a system needs is loaded when it is made: effects and filters take longer than a short mix.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from drummix.errors import SettingError, WeightsError
from drummix.mixers import weights
from drummix.mixers.base import Mixer
from drummix.mixers.compute import Compute
from drummix.mixers.unity import UnityMixer
from drummix.mixers.waveunet import WaveUNetMixer
from drummix.mixers.weights import load_model, read_card
from drummix.notices import Code, Notice

if TYPE_CHECKING:
    from drummix.mixers.forest.wet import WetProfile

DEFAULT_SYSTEM = "waveunet-wet"


@dataclass(frozen=True)
class MixerOptions:
    """What a mixer may be made with; a system refuses what means nothing to it.

    Args:
        weights: Folder of a model to use in place of the shipped one.
        as_recorded: Leave the stems' levels alone before the network.
        paper_segments: Cut the session as the paper does.
        compute: Threads and memory of the network.
    """

    weights: Path | None = None
    as_recorded: bool = False
    paper_segments: bool = False
    compute: Compute | None = None

    def given(self) -> dict[str, Any]:
        """What asks for something else than the default, by its name."""
        options = {
            "weights": self.weights,
            "as_recorded": self.as_recorded or None,
            "paper_segments": self.paper_segments or None,
        }
        known = {name: value for name, value in options.items() if value is not None}
        return known | (self.compute.given() if self.compute else {})


Ready = tuple[Mixer, tuple[Notice, ...]]
"""A mixer, and what a person should know about how it was made."""


@dataclass(frozen=True)
class SystemSpec:
    """A system that can mix.

    Args:
        name: Its name.
        description: What it does, in one line.
        make: Makes its mixer.
        target: The kind of mix that it makes, and is compared with; None for both.
        model: Name of its shipped weights, which several systems may share; empty for none.
        is_network: Whether a network mixes, whose computation, segments and levels can be chosen.
    """

    name: str
    description: str
    make: Callable[[SystemSpec, MixerOptions], Ready]
    target: Literal["dry", "wet"] | None = None
    model: str = ""
    is_network: bool = False

    @property
    def sets_levels(self) -> bool:
        """Whether it sets the stems' levels first, so that leaving them alone means something."""
        return self.is_network

    def takes(self, parameter: str) -> bool:
        """Whether an option of `MixerOptions` or `Compute` means something to it."""
        return self.is_network or (parameter == "weights" and bool(self.model))


@dataclass(frozen=True)
class System:
    """A system as it is here.

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
    metrics: Mapping[str, Any] = field(default_factory=dict)

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


def _make_network(spec: SystemSpec, options: MixerOptions) -> Ready:
    model = load_model(spec.model if options.weights is None else options.weights)
    mixer = WaveUNetMixer(
        spec.name,
        model,
        as_recorded=options.as_recorded,
        paper_segments=options.paper_segments,
        compute=options.compute,
    )
    if model.target == spec.target:
        return mixer, ()
    other = Notice.of(Code.WEIGHTS_FOR_OTHER_TARGET, str(model.folder), target=model.target)
    return mixer, (other,)


def _make_forest(
    spec: SystemSpec, options: MixerOptions, *, wet: WetProfile | None, is_mono: bool = False
) -> Ready:
    from drummix.mixers.forest.mixer import ForestMixer
    from drummix.mixers.forest.trees import read_forest

    forest = read_forest(options.weights)
    return ForestMixer(spec.name, forest, is_mono=is_mono, wet=wet), ()


def _make_unity(spec: SystemSpec, options: MixerOptions) -> Ready:
    return UnityMixer(), ()


def _make_anchor(spec: SystemSpec, options: MixerOptions) -> Ready:
    from drummix.mixers.anchor import AnchorMixer

    return AnchorMixer(spec.name), ()


def _network(name: str, description: str, target: Literal["dry", "wet"]) -> SystemSpec:
    return SystemSpec(name, description, _make_network, target, name, is_network=True)


def _forest(
    name: str,
    description: str,
    target: Literal["dry", "wet"],
    wet: WetProfile | None = None,
    *,
    is_mono: bool = False,
) -> SystemSpec:
    make = partial(_make_forest, wet=wet, is_mono=is_mono)
    return SystemSpec(name, description, make, target, "forest")


SYSTEMS: Mapping[str, SystemSpec] = {
    spec.name: spec
    for spec in (
        _network(
            "waveunet-wet",
            "finished mix by the Wave-U-Net: levels, pan, EQ, dynamics and reverb",
            "wet",
        ),
        _network("waveunet-dry", "balance by the Wave-U-Net: levels and pan, no effects", "dry"),
        _forest("forest-dry", "gains and pan by the paper's random forest", "dry"),
        _forest("forest-wet", "the same with automatic compression and reverb", "wet", "sane"),
        _forest(
            "forest-mono-dry",
            "gains by the random forest, mono as the paper's published mixes",
            "dry",
            is_mono=True,
        ),
        _forest(
            "forest-paper-wet",
            "forest-wet with the compressor and reverb rules that the paper describes",
            "wet",
            "paper",
        ),
        _forest(
            "forest-as-heard-wet",
            "forest-wet with the one plate that the paper's published mixes have",
            "wet",
            "as-heard",
        ),
        SystemSpec(
            "unity",
            "every microphone at its recorded level, overheads and rooms panned: no mixing",
            _make_unity,
        ),
        SystemSpec(
            "anchor",
            "overheads alone, low-passed at 3.5 kHz after BS.1534: the low mark of a test",
            _make_anchor,
        ),
        SystemSpec(
            "anchor-paper",
            "the same with the gentler low-pass of the paper's examples",
            _make_anchor,
        ),
    )
}
"""The systems by name, the default one first."""


def systems() -> tuple[System, ...]:
    """All systems, the default one first."""
    return tuple(_found(spec) for spec in SYSTEMS.values())


def shipped_folder(system: str) -> Path | None:
    """Where the shipped model of a system lies; None for one without, or unknown."""
    spec = SYSTEMS.get(system)
    return weights.SHIPPED_FOLDER / spec.model if spec is not None and spec.model else None


def make_mixer(name: str, options: MixerOptions | None = None) -> Ready:
    """Make the mixer of a system.

    Args:
        name: Name of the system.
        options: What to make it with; None for the defaults.

    Returns:
        The mixer, and what a person should know about the choice.

    Raises:
        SettingError: If the name is unknown, or an option has no meaning for the system.
        WeightsError: If the model is missing or damaged.
    """
    spec, options = SYSTEMS.get(name), options or MixerOptions()
    if spec is None:
        close = get_close_matches(name, SYSTEMS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"use one of {', '.join(SYSTEMS)}"
        raise SettingError("system", name, hint, problem=f"is {name!r}, which does not exist")
    for parameter, value in options.given().items():
        if not spec.takes(parameter):
            why = f"means nothing to {name}, which is no network"
            raise SettingError(parameter, value, "leave it out", problem=why)
    return spec.make(spec, options)


def _found(spec: SystemSpec) -> System:
    if not spec.model:
        return System(spec.name, spec.description, True, "")
    try:
        if spec.is_network:
            card = read_card(spec.model)
        else:
            from drummix.mixers.forest.trees import read_forest_card

            card = read_forest_card()
    except WeightsError as error:
        return System(spec.name, spec.description, False, str(error))
    return System(spec.name, spec.description, True, "", card["metrics"])
