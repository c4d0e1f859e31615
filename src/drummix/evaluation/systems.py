"""The systems that can be evaluated: those of the registry, and the oracles.

In: names and folders of models. Out: mixers that are ready, and what identifies each system, so
that a result of other weights is never taken for one of these.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from drummix.corpus.manifest import TARGETS, Target
from drummix.errors import Parameter, SettingError, WeightsError
from drummix.evaluation.oracles import ORACLES, STATIC
from drummix.mixers.base import Mixer
from drummix.mixers.registry import SYSTEMS, MixerOptions, make_mixer, shipped_folder
from drummix.mixers.weights import CARD_NAME, any_card, model_folder, read_card

DEFAULT_SYSTEMS = (
    "waveunet-dry",
    "waveunet-wet",
    "forest-dry",
    "forest-wet",
    STATIC,
    "unity",
    "anchor",
)


@dataclass(frozen=True)
class SystemModel:
    """The weights behind a system.

    Args:
        name: Name on their card; empty for a system without weights.
        sha256: Their checksum; empty for a system without weights.
    """

    name: str = ""
    sha256: str = ""

    def __str__(self) -> str:
        return f"{self.name}, sha256 {self.sha256[:16]}"


def targets_of(system: str) -> tuple[Target, ...]:
    """The targets that a system is compared with.

    >>> targets_of("waveunet-wet"), targets_of("unity")
    (('wet',), ('dry', 'wet'))
    """
    spec = SYSTEMS.get(system)
    return TARGETS if spec is None or spec.target is None else (spec.target,)


def mix_name(system: str, target: Target) -> str:
    """What a system's mix is called: one mix serves both targets, but for an oracle's.

    >>> mix_name("unity", "dry"), mix_name("static", "dry")
    ('unity', 'static-dry')
    """
    return f"{system}-{target}" if system in ORACLES else system


def checked_systems(systems: Sequence[str]) -> tuple[str, ...]:
    """Names without repetition.

    Raises:
        SettingError: If there is none, or one is unknown.
    """
    known = (*SYSTEMS, *ORACLES)
    for system in systems:
        if system not in known:
            raise SettingError(
                "systems", system, f"use {', '.join(known)}", problem=f"names {system!r}"
            )
    if not systems:
        raise SettingError("systems", (), f"name some of {', '.join(known)}", problem="is empty")
    return tuple(dict.fromkeys(systems))


def weights_by_system(weights: Sequence[Path | str], systems: Sequence[str]) -> dict[str, Path]:
    """Folders of models by the system that each names on its card.

    Raises:
        SettingError: If a model is for a system that is not evaluated, or two are for one.
        WeightsError: If a folder holds no model.
    """
    by_system: dict[str, Path] = {}
    # Absolute: a worker may run elsewhere.
    for folder in (model_folder(Path(path)).absolute() for path in weights):
        owners = _systems_of(folder)
        found = [system for system in systems if system in owners]
        if not found:
            raise SettingError(
                "weights",
                folder,
                "add ",
                Parameter("systems", owners[0]),
                problem=f"holds {folder}, a model of {', '.join(owners)}",
            )
        for system in found:
            if system in by_system:
                both = f"holds {folder} and {by_system[system]}, both for {system}"
                raise SettingError("weights", folder, "give one a run", problem=both)
            by_system[system] = folder
    return by_system


def _systems_of(folder: Path) -> tuple[str, ...]:
    """The systems that a model is for: the one on its card, or all that share its kind."""
    card = any_card(folder)
    if not card or "system" in card:
        # Whose reader also says what is wrong with a folder that holds no model.
        return (str(read_card(folder)["system"]),)
    kind = str(card.get("kind", card.get("name", "")))
    shared = tuple(spec.name for spec in SYSTEMS.values() if kind and spec.model == kind)
    if not shared:
        raise WeightsError(f"{folder / CARD_NAME} names no system; expected a model of one")
    return shared


def model_of(system: str, weights: Mapping[str, Path]) -> SystemModel:
    """What identifies the weights of a system, whatever kind of model it is.

    Args:
        system: Its name.
        weights: System -> folder of a model in place of the shipped one.

    Returns:
        Name and checksum as on the model's card, or a checksum over the folder's files where
        the card gives none.
    """
    folder = weights.get(system) or shipped_folder(system)
    if folder is None or not (folder / CARD_NAME).is_file():
        return SystemModel()
    card = any_card(folder)
    sha256 = str(card.get("sha256", "")) or _folder_sha256(folder)
    return SystemModel(str(card.get("name", folder.name)), sha256)


def make_system(system: str, weights: Mapping[str, Path], *, as_recorded: bool = False) -> Mixer:
    """The mixer of a system of the registry.

    Args:
        system: Its name; no oracle's.
        weights: System -> folder of a model in place of the shipped one.
        as_recorded: Leave the stems' levels alone, where the system would set them.

    Raises:
        DrummixError: If something that it needs is missing or damaged.
    """
    leave_levels = as_recorded and sets_levels(system)
    options = MixerOptions(weights.get(system), as_recorded=leave_levels)
    return make_mixer(system, options)[0]


def sets_levels(system: str) -> bool:
    """Whether a system sets the stems' levels first, so that leaving them alone means something."""
    spec = SYSTEMS.get(system)
    return spec is not None and spec.sets_levels


def _folder_sha256(folder: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        total.update(path.relative_to(folder).as_posix().encode() + b"\0")
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()
