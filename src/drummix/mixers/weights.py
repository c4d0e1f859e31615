"""Models on disk: what a network is, its weights, and the proof that they are the right ones.

A model is a folder with ``model.safetensors`` (the weights, float16 or float32) and
``model.json`` (the card: sizes, microphones, training, metrics, and the weights' sha256).
In: a shipped model's name or a folder. Out: weights as float32 arrays. Nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from drummix.audio import atomic_path, make_folder, write_text
from drummix.errors import SettingError, WeightsError
from drummix.mixers.architecture import WaveUNetConfig
from drummix.roles import Role

FloatArray = NDArray[np.float32]

SHIPPED_FOLDER = Path(__file__).resolve().parents[1] / "weights"
"""Where the models that come with drummix live."""

TENSORS_NAME = "model.safetensors"
CARD_NAME = "model.json"
CARD_FORMAT = 1
TARGETS = ("dry", "wet")
_MODEL_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}(\.[a-z0-9_-]+)*")
_CARD_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "name": str,
    "system": str,
    "target": str,
    "architecture": dict,
    "roles": list,
    "rate_hz": int,
    "sha256": str,
    "training": dict,
    "metrics": dict,
}
_STORED_DTYPES = (np.float16, np.float32)


@dataclass(frozen=True, eq=False)
class Model:
    """A network ready to be built.

    Args:
        name: Name on its card.
        folder: Where it was read from.
        target: What it was trained to give: ``dry`` or ``wet``.
        config: Size of the network.
        roles: The microphone of each input, in the network's order.
        rate_hz: Sample rate the network works at.
        input_levels: ``staged`` where it was trained on stems whose levels were set by
            `drummix.gain_staging`, ``recorded`` where the card does not say.
        tensors: Weights by name, float32.
        card: The whole card, plain data.
    """

    name: str
    folder: Path
    target: str
    config: WaveUNetConfig
    roles: tuple[Role, ...]
    rate_hz: int
    input_levels: Literal["staged", "recorded"]
    tensors: Mapping[str, FloatArray]
    card: Mapping[str, Any]

    @property
    def sha256(self) -> str:
        """Checksum of the weights file, in hex."""
        return str(self.card["sha256"])


def available_models() -> tuple[str, ...]:
    """Names of the shipped networks, in alphabetical order; models of another kind say so."""
    cards = sorted(SHIPPED_FOLDER.glob(f"*/{CARD_NAME}"))
    return tuple(card.parent.name for card in cards if "kind" not in any_card(card.parent))


def shipped_folder(system: str) -> Path | None:
    """Where the shipped model of a system lies: several may share one, as forest-dry and -wet."""
    folders = [folder for folder in SHIPPED_FOLDER.glob("*") if folder.is_dir()]
    owners = [f for f in folders if system == f.name or system.startswith(f"{f.name}-")]
    return max(owners, key=lambda folder: len(folder.name), default=None)


def any_card(folder: Path) -> dict[str, Any]:
    """The card of any kind of model; empty where there is none that can be read."""
    try:
        card = json.loads((folder / CARD_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return card if isinstance(card, dict) else {}


def load_model(source: str | Path) -> Model:
    """Read a model, checking the weights against its card before they are used.

    Args:
        source: The name of a shipped model (a string), or a folder (a path).

    Raises:
        WeightsError: If there is no such model, its files are missing or damaged, or the weights
            are not those of its architecture.
    """
    folder = source if isinstance(source, Path) else _shipped(source)
    card = _read_card(folder)
    config = _config_of(folder, card)
    return Model(
        name=card["name"],
        folder=folder,
        target=card["target"],
        config=config,
        roles=_roles_of(folder, card, config),
        rate_hz=card["rate_hz"],
        input_levels=card.get("input_levels", "recorded"),
        tensors=_read_tensors(folder / TENSORS_NAME, card["sha256"], config),
        card=card,
    )


def read_card(source: str | Path) -> dict[str, Any]:
    """Read a model's card without its weights.

    Args:
        source: As for `load_model`.

    Raises:
        WeightsError: If the card is missing, damaged, or of a format this drummix does not know.
    """
    return _read_card(source if isinstance(source, Path) else _shipped(source))


def _read_card(folder: Path) -> dict[str, Any]:
    path = folder / CARD_NAME
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WeightsError(
            f"{folder} is no model: there is no {CARD_NAME} in it; "
            "expected a folder as `drummix train` writes it"
        ) from None
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} cannot be read ({error}); get the model again") from error
    if not isinstance(card, dict) or card.get("format") != CARD_FORMAT:
        found = card.get("format") if isinstance(card, dict) else type(card).__name__
        raise WeightsError(
            f"{path} has card format {found!r}; this drummix reads format {CARD_FORMAT}: "
            "get the model again, or another version of drummix"
        )
    _check_card(path, card)
    return card


def write_model(
    folder: Path,
    name: str,
    tensors: Mapping[str, NDArray[np.floating]],
    card: Mapping[str, Any],
    *,
    is_float32: bool = False,
) -> Path:
    """Write a model, weights first and then the card that vouches for them.

    Args:
        folder: Folder that holds models; made if missing.
        name: Name of the model, and of its folder in `folder`.
        tensors: Weights by name, as `parameter_shapes` lists them.
        card: The card; ``format``, ``name`` and ``sha256`` are filled in here.
        is_float32: Store float32, which keeps every bit, in place of float16.

    Returns:
        The model's folder.

    Raises:
        WeightsError: If the name, the card or the weights make no model that could be loaded.
        OutputError: If the files cannot be written.
    """
    target = folder / checked_name(name)
    with np.errstate(over="ignore"):
        # What does not fit becomes infinite and is refused below.
        # Safetensors stores an array's memory as it lies: only C order comes back the same.
        dtype = np.float32 if is_float32 else np.float16
        narrow = {key: np.ascontiguousarray(value, dtype=dtype) for key, value in tensors.items()}
    stored = safetensors.numpy.save(narrow)
    sha256 = hashlib.sha256(stored).hexdigest()
    whole_card = {"format": CARD_FORMAT, "name": name, **card}
    whole_card |= {"format": CARD_FORMAT, "name": name, "sha256": sha256}
    whole_card = json.loads(json.dumps(whole_card, allow_nan=False))
    _check_card(target / CARD_NAME, whole_card)
    config = _config_of(target, whole_card)
    _roles_of(target, whole_card, config)
    _check_tensors(target / TENSORS_NAME, narrow, config)
    make_folder(target)
    with atomic_path(target / TENSORS_NAME) as temporary:
        temporary.write_bytes(stored)
    write_text(target / CARD_NAME, json.dumps(whole_card, indent=2) + "\n")
    return target


def parameter_shapes(config: WaveUNetConfig) -> dict[str, tuple[int, ...]]:
    """Name and shape of every weight of a network, in the order of the forward pass.

    >>> list(parameter_shapes(WaveUNetConfig(levels=1, filters=2)).items())[:2]
    [('down.0.weight', (2, 8, 15)), ('down.0.bias', (2,))]
    """
    layers = [
        *((f"down.{i}", shape, config.down_taps) for i, shape in enumerate(config.down_shapes())),
        ("bottleneck", config.bottleneck_shape(), config.down_taps),
        *(
            (f"up.{i}", (n_skip + n_below, n_out), config.up_taps)
            for i, (n_skip, n_below, n_out) in enumerate(config.up_shapes())
        ),
        ("output", config.output_shape(), 1),
    ]
    shapes: dict[str, tuple[int, ...]] = {}
    for name, (n_in, n_out), taps in layers:
        shapes[f"{name}.weight"] = (n_out, n_in, taps)
        shapes[f"{name}.bias"] = (n_out,)
    return shapes


def _shipped(name: str) -> Path:
    folder = SHIPPED_FOLDER / checked_name(name)
    if not folder.is_dir():
        known = ", ".join(available_models()) or "none"
        raise WeightsError(
            f"no shipped model is called {name!r} (there are: {known}); "
            "name a folder with --weights"
        )
    return folder


def checked_name(name: str) -> str:
    """The name of a model, if it can be one.

    Raises:
        WeightsError: If it cannot.
    """
    if not _MODEL_NAME.fullmatch(name):
        raise WeightsError(
            f"{name!r} is no model name; use small letters, digits, '-', '_' and single dots"
        )
    return name


def _check_card(path: Path, card: Mapping[str, Any]) -> None:
    for key, kind in _CARD_TYPES.items():
        if not isinstance(card.get(key), kind) or isinstance(card.get(key), bool):
            raise WeightsError(
                f"{path}: {key} is {card.get(key)!r}; expected {getattr(kind, '__name__', kind)}"
            )
    if card["target"] not in TARGETS:
        raise WeightsError(f"{path}: target is {card['target']!r}; expected dry or wet")
    if not 1000 <= card["rate_hz"] <= 1_000_000:
        raise WeightsError(f"{path}: rate_hz is {card['rate_hz']}; expected 1000 to 1000000")
    levels = card.get("input_levels", "recorded")
    if levels not in ("staged", "recorded"):
        raise WeightsError(f"{path}: input_levels is {levels!r}; expected staged or recorded")


def _config_of(folder: Path, card: Mapping[str, Any]) -> WaveUNetConfig:
    try:
        config = WaveUNetConfig.from_mapping(card["architecture"])
    except SettingError as error:
        raise WeightsError(f"{folder / CARD_NAME}: {error}") from error
    if config.n_outputs != 2:
        raise WeightsError(
            f"{folder / CARD_NAME}: the network has {config.n_outputs} outputs; "
            "expected 2, left and right"
        )
    return config


def _roles_of(folder: Path, card: Mapping[str, Any], config: WaveUNetConfig) -> tuple[Role, ...]:
    known = [role.value for role in Role]
    unknown = [role for role in card["roles"] if role not in known]
    if unknown or len(set(card["roles"])) != config.n_inputs:
        raise WeightsError(
            f"{folder / CARD_NAME}: roles are {card['roles']}; "
            f"expected {config.n_inputs} different microphone roles"
        )
    return tuple(Role(role) for role in card["roles"])


def _read_tensors(path: Path, sha256: str, config: WaveUNetConfig) -> dict[str, FloatArray]:
    try:
        stored = path.read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise WeightsError(f"{path} cannot be read ({reason}); get the model again") from error
    found = hashlib.sha256(stored).hexdigest()
    if found != sha256.lower():
        raise WeightsError(
            f"{path} is damaged: expected sha256 {sha256[:16]}…, found {found[:16]}…; "
            "get the model again"
        )
    try:
        tensors = safetensors.numpy.load(stored)
    except (SafetensorError, TypeError, KeyError, ValueError) as error:
        raise WeightsError(f"{path} is not a safetensors file ({error})") from error
    _check_tensors(path, tensors, config)
    return {name: tensors[name].astype(np.float32) for name in parameter_shapes(config)}


def _check_tensors(path: Path, tensors: Mapping[str, NDArray[Any]], config: WaveUNetConfig) -> None:
    expected = parameter_shapes(config)
    strange = sorted(set(tensors) ^ set(expected))
    if strange:
        what = "lacks" if strange[0] in expected else "has an unknown tensor"
        raise WeightsError(
            f"{path} {what} {strange[0]!r}; expected the {len(expected)} tensors of a "
            f"{config.levels}-level Wave-U-Net"
        )
    for name, shape in expected.items():
        tensor = tensors[name]
        if tensor.shape != shape:
            raise WeightsError(f"{path}: {name} has shape {tensor.shape}; expected {shape}")
        if tensor.dtype not in _STORED_DTYPES:
            raise WeightsError(f"{path}: {name} is {tensor.dtype}; expected float16 or float32")
        if not np.isfinite(tensor).all():
            raise WeightsError(
                f"{path}: {name} holds a value that is infinite or not a number; "
                f"expected weights that fit {tensor.dtype}"
            )
