"""What is looked at before a training starts, so that it does not stop hours later."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch

from drummix.audio import make_folder, probe, write_text
from drummix.errors import AudioFileError, SettingError, TrainingError
from drummix.mixers.architecture import WaveUNetConfig
from drummix.mixers.weights import load_model
from drummix.nn.clips import ClipSource, Source
from drummix.nn.config import ClipSettings, StageSettings, TrainSettings
from drummix.nn.losses import MIN_FRAMES
from drummix.nn.wave_unet import WaveUNet
from drummix.plain_data import convert, parse_json
from drummix.roles import PAPER_ROLES

SETTINGS_NAME = "settings.json"

# A file may be so much longer than its item, as some of ENST-Drums are; the rest is not heard.
_LENGTH_SLACK_S = 0.1

# How long a stage lasts, and what makes a step faster without changing what it is.
_FREE_TO_CHANGE: Mapping[str, tuple[str, ...]] = {
    "": ("compile",),
    "main": ("max_epochs", "patience", "max_minutes"),
    "finetune": ("max_epochs", "patience", "max_minutes"),
    "clips": ("workers",),
}


def claim_output(settings: TrainSettings) -> None:
    """Note the settings in the folder, or check that a run with the same ones goes on there.

    How long a stage lasts may change between stops: a run can be made longer or shorter. A run
    that was started by an older drummix, without a setting of today, has its default.

    Raises:
        TrainingError: If the folder holds a run with other settings.
    """
    output = Path(settings.output)
    make_folder(output)
    path = output / SETTINGS_NAME
    text = json.dumps(settings.to_mapping(), indent=1)
    if path.is_file():
        earlier = _flat(_with_defaults(_noted(path)))
        ours = _flat(json.loads(text))
        for name in sorted(ours.keys() | earlier.keys()):
            if earlier.get(name) != ours.get(name):
                theirs, wanted = _shown(earlier.get(name)), _shown(ours.get(name))
                raise TrainingError(
                    f"{output} holds a training with other settings ({name}: "
                    f"{theirs}, not {wanted}); give another output folder"
                )
    write_text(path, text)


@dataclass(frozen=True)
class _Noted:
    """The tables of a run's settings; what else there is is compared as it stands."""

    takes_other_keys: ClassVar[bool] = True

    network: Mapping[str, Any] = field(default_factory=dict)
    clips: Mapping[str, Any] = field(default_factory=dict)
    main: Mapping[str, Any] = field(default_factory=dict)
    finetune: Mapping[str, Any] = field(default_factory=dict)


def _noted(path: Path) -> dict[str, Any]:
    hint = "give another output folder"
    plain: dict[str, Any] = parse_json(path, error=TrainingError, hint=hint)
    convert(plain, _Noted, error=TrainingError, name=str(path), hint=hint)
    return plain


def _shown(value: object) -> str:
    return repr(value)[:200]


def _with_defaults(earlier: Mapping[str, Any]) -> dict[str, Any]:
    settings = TrainSettings(name="any", target="dry", corpora=("any",), output="any")
    whole = json.loads(json.dumps(settings.to_mapping()))
    tables: Mapping[str, Any] = {
        "network": asdict(WaveUNetConfig()),
        "clips": asdict(ClipSettings()),
        "main": asdict(StageSettings()),
        "finetune": asdict(StageSettings()),
    }
    tables = json.loads(json.dumps(tables))
    return {
        **whole,
        **earlier,
        **{name: {**plain, **earlier.get(name, {})} for name, plain in tables.items()},
    }


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by their names in the TOML file, without those that may change."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            free = _FREE_TO_CHANGE.get(name, ())
            flat |= {f"{name}.{key}": entry for key, entry in value.items() if key not in free}
        elif name not in _FREE_TO_CHANGE[""]:
            flat[name] = value
    return flat


def check_items(sources: Mapping[str, Source], settings: TrainSettings) -> None:
    """Look at the header of every file of the items that will be heard.

    Raises:
        TrainingError: If a file is missing, cut off, or not as its manifest says; with the first
            one and how many there are.
        SettingError: If clips are too short for the loss, or too few for the processes.
    """
    source = sources["validation"]
    if settings.loss != "l1" and source.output_frames < MIN_FRAMES:
        n_frames = settings.clips.bottleneck_frames
        raise SettingError(
            "clips.bottleneck_frames",
            n_frames,
            f"loss {settings.loss} needs {MIN_FRAMES}",
            problem=f"is {n_frames}, which leaves {source.output_frames} samples to hear",
        )
    n_clips = len(source.items) * settings.clips.validation_clips
    if n_clips < settings.devices:
        few = f"of {settings.devices} get {n_clips} validation clips"
        raise SettingError("devices", settings.devices, "give more clips", problem=few)
    problems = []
    for source in sources.values():
        if not isinstance(source, ClipSource):
            continue  # It has no files of a corpus.
        for corpus, item in source.items:
            stems: list[Path | None] = [item.stem_path(corpus, role) for role in PAPER_ROLES]
            for path in [*stems, item.mix_path(corpus, source.target)]:
                if path is None:
                    continue  # A microphone that there was not is silence.
                problem = _problem_of(path, item.rate_hz, item.n_samples)
                if problem is not None:
                    problems.append(f"item {item.item} of {corpus} is broken: {problem}")
    if problems:
        more = f" ({len(problems) - 1} more like it)" if len(problems) > 1 else ""
        raise TrainingError(
            f"{problems[0]}{more}; render it again, or take its row out of manifest.csv"
        )


def _problem_of(path: Path, rate_hz: int, n_samples: int) -> str | None:
    try:
        info = probe(path)
    except AudioFileError as error:
        return str(error)
    n_longest = n_samples + round(_LENGTH_SLACK_S * rate_hz)
    if info.rate_hz != rate_hz or not n_samples <= info.n_samples <= n_longest:
        return (
            f"{path} has {info.n_samples} samples at {info.rate_hz} Hz; manifest.csv says "
            f"{n_samples} at {rate_hz}"
        )
    return None


def load_start(network: WaveUNet, settings: TrainSettings) -> None:
    """Put the weights of `init_from` into a network.

    Raises:
        TrainingError: If they are those of another network: the path, what was expected and what
            was found.
        WeightsError: If there is no such model or it is damaged.
    """
    start = settings.init_from
    model = load_model(Path(start) if Path(start).is_dir() else start)
    wanted, found = settings.network.to_mapping(), model.config.to_mapping()
    differing = [name for name in wanted if found[name] != wanted[name]]
    if differing:
        expected = ", ".join(f"{name} {wanted[name]}" for name in differing)
        there = ", ".join(f"{name} {found[name]}" for name in differing)
        raise TrainingError(
            f"init_from {model.folder} is another network: expected {expected}, found {there}; "
            "change [network] or start from other weights"
        )
    if model.roles != tuple(PAPER_ROLES):
        raise TrainingError(
            f"init_from {model.folder} takes its microphones in another order: expected "
            f"{', '.join(PAPER_ROLES)}, found {', '.join(model.roles)}"
        )
    network.load_state_dict({name: torch.from_numpy(t) for name, t in model.tensors.items()})
