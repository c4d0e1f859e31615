"""Settings of a training run, read from TOML; unknown keys are refused with the known ones."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeVar

from drummix.corpus.disturbance import check_kinds
from drummix.corpus.manifest import TARGETS, Target
from drummix.errors import SettingError
from drummix.mixers.architecture import PAPER_BOTTLENECK_FRAMES, WaveUNetConfig
from drummix.nn.live_settings import LiveSettings

FINETUNE_LEARNING_RATE = 1e-5
LOSSES = ("l1", "l1+mrstft")
PRECISIONS = ("32", "bf16-mixed", "16-mixed")


@dataclass(frozen=True)
class ClipSettings:
    """Training examples.

    Args:
        batch_size: Clips a step.
        bottleneck_frames: Length of a clip in frames after the bottleneck; 92 is the paper's
            121,843 samples in and 89,093 out.
        stem_dropout: Probability that a stem of a clip is silent, so that missing microphones
            are known to the network; the target keeps what the engineer heard.
        peak_normalised: Scale every target to a peak of 1.0 over its whole item, as the paper's
            authors did; otherwise targets keep the engineer's level.
        disturb: Kinds of `drummix.corpus.disturbance` that the stems of a clip suffer.
        gain_jitter_db: Standard deviation of a gain of each stem of a clip, in dB: what level
            analysis of a session gets wrong.
        validation_clips: Clips spread evenly over each validation item.
        workers: Processes that read clips.
    """

    batch_size: int = 16
    bottleneck_frames: int = PAPER_BOTTLENECK_FRAMES
    stem_dropout: float = 0.0
    peak_normalised: bool = False
    disturb: tuple[str, ...] = ()
    gain_jitter_db: float = 0.0
    validation_clips: int = 4
    workers: int = 1

    def __post_init__(self) -> None:
        _at_least("clips", self, batch_size=1, bottleneck_frames=5, validation_clips=1, workers=0)
        if not 0.0 <= self.stem_dropout < 1.0:
            raise SettingError(f"clips.stem_dropout is {self.stem_dropout}; give 0.0 up to 1.0")
        if not 0.0 <= self.gain_jitter_db <= 12.0:
            raise SettingError(f"clips.gain_jitter_db is {self.gain_jitter_db}; give 0.0 to 12.0")
        check_kinds(self.disturb)
        if self.stem_dropout and "dropout" in self.disturb:
            raise SettingError(
                "clips.stem_dropout and dropout in clips.disturb both silence stems; give one"
            )


@dataclass(frozen=True)
class StageSettings:
    """One stage of training: main or fine-tuning.

    Args:
        learning_rate: Adam's step size.
        decay: ``none`` keeps it, ``cosine`` lets it fall to a hundredth by the last epoch.
        max_epochs: The stage ends here at the latest; 0 leaves the stage out.
        patience: Epochs without a lower validation loss after which the stage ends.
        bias_rate: Step size of the biases as a share of `learning_rate`. The network without
            biases is homogeneous, so a share of 0.1 trains as if all levels were 20 dB higher:
            recordings are quiet beside what Adam's unit steps suit.
        max_minutes: Minutes of training after which the stage ends, over all sittings, and that
            the cosine decay follows where they run out before the epochs; 0.0 for no limit.
            Where the clock decides, a run cannot be repeated exactly.
    """

    learning_rate: float = 1e-4
    decay: Literal["none", "cosine"] = "none"
    max_epochs: int = 1000
    patience: int = 20
    bias_rate: float = 1.0
    max_minutes: float = 0.0

    def __post_init__(self) -> None:
        _at_least("stage", self, max_epochs=0, patience=1, max_minutes=0)
        if not 0.0 <= self.bias_rate <= 1.0:
            raise SettingError(f"bias_rate is {self.bias_rate}; give 0.0 to 1.0")
        if not 0.0 < self.learning_rate < 1.0:
            raise SettingError(f"learning_rate is {self.learning_rate}; give 0.0 to 1.0")
        _one_of("decay", self.decay, ("none", "cosine"))


@dataclass(frozen=True)
class TrainSettings:
    """A whole training run; the defaults are the paper's.

    Args:
        name: Name of the model that comes out.
        target: ``dry`` or ``wet``.
        corpora: Folders of rendered corpora; relative ones from the TOML file's own folder.
        output: Folder for checkpoints, logs and the model.
        live: Render sessions as they are needed, in place of `corpora`.
        seed: Seed of the first weights and of the clips.
        init_from: Name of a shipped model, or folder of a model, whose weights are the start;
            empty for new ones.
        epoch_steps: Steps of an epoch.
        loss: ``l1`` is the paper's; ``l1+mrstft`` adds the multi-resolution STFT distance of the
            sum and the difference of left and right.
        mrstft_weight: What that distance is multiplied by.
        precision: ``32``, or ``bf16-mixed`` or ``16-mixed`` for convolutions in 16 bits with
            weights in 32.
        devices: Processes, or GPUs, that share the clips of each step.
        gradient_clip: Longest gradient, as its norm over all parameters; 0.0 for any.
        ema_decay: Validate and keep an exponential moving average of the weights that holds this
            share of itself at each step; 0.0 for the weights themselves.
        compile: Have torch compile the network: slow to start, then faster on a GPU.
        network: Size of the network.
        clips: Training examples.
        main: First stage.
        finetune: Second stage, from the best weights of the first.
    """

    name: str
    target: Target
    corpora: tuple[str, ...]
    output: str
    seed: int = 0
    live: LiveSettings | None = None
    init_from: str = ""
    epoch_steps: int = 2000
    loss: Literal["l1", "l1+mrstft"] = "l1"
    mrstft_weight: float = 0.01
    precision: Literal["32", "bf16-mixed", "16-mixed"] = "32"
    devices: int = 1
    gradient_clip: float = 0.0
    ema_decay: float = 0.0
    compile: bool = False
    network: WaveUNetConfig = field(default_factory=WaveUNetConfig)
    clips: ClipSettings = field(default_factory=ClipSettings)
    main: StageSettings = field(default_factory=StageSettings)
    finetune: StageSettings = field(
        default_factory=lambda: StageSettings(learning_rate=FINETUNE_LEARNING_RATE)
    )

    def __post_init__(self) -> None:
        _at_least(
            "training", self, epoch_steps=1, devices=1, gradient_clip=0, mrstft_weight=0, seed=0
        )
        _one_of("target", self.target, TARGETS)
        _one_of("loss", self.loss, LOSSES)
        _one_of("precision", self.precision, PRECISIONS)
        if bool(self.corpora) == (self.live is not None):
            which = "both corpora and [live]" if self.corpora else "neither corpora nor [live]"
            raise SettingError(f"{which}; name at least one corpus, or what to render on the fly")
        if self.live is not None and self.live.pools % max(1, self.clips.workers):
            raise SettingError(
                f"live.pools is {self.live.pools} for {self.clips.workers} clips.workers; "
                "give a multiple, so that each has pools of its own"
            )
        if not 0.0 <= self.ema_decay < 1.0:
            raise SettingError(f"ema_decay is {self.ema_decay}; give 0.0 up to 1.0")
        if self.clips.batch_size % self.devices:
            raise SettingError(
                f"clips.batch_size is {self.clips.batch_size} for {self.devices} devices; "
                "give a multiple, each takes its share"
            )

    def to_mapping(self) -> dict[str, Any]:
        """Plain data for a model card."""
        return asdict(self)


def paper_settings(target: Target, corpora: tuple[str, ...], output: str) -> TrainSettings:
    """The paper's network and recipe; targets at a peak of 1.0, as the authors' code has them.

    Args:
        target: ``dry`` or ``wet``.
        corpora: Folders of rendered or imported corpora.
        output: Folder for checkpoints, logs and the model.
    """
    return TrainSettings(
        name=f"waveunet-paper-{target}",
        target=target,
        corpora=corpora,
        output=output,
        clips=ClipSettings(peak_normalised=True),
    )


def read_train_settings(path: Path) -> TrainSettings:
    """Read the settings of a training run.

    Raises:
        SettingError: If the file is missing, is not TOML, or has an unknown or wrong value.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingError(f"{path} does not exist; give a training configuration") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingError(f"{path} is not a TOML file ({error})") from None
    try:
        tables: dict[str, Any] = {}
        for name, kind in _TABLES.items():
            if name in values:
                table = values.pop(name)
                if name == "finetune" and isinstance(table, Mapping):
                    table = {"learning_rate": FINETUNE_LEARNING_RATE, **table}
                tables[name] = _from_table(kind, table, name)
        if "live" in tables:
            values.setdefault("corpora", [])
        if values.get("precision") in (16, 32):
            values["precision"] = str(values["precision"])
        settings = _from_table(TrainSettings, {**values, **tables}, "")
    except SettingError as error:
        raise SettingError(f"{path}: {error}") from None
    base = path.resolve().parent
    return TrainSettings(
        **{
            **{f.name: getattr(settings, f.name) for f in fields(settings)},
            "corpora": tuple(str(base / corpus) for corpus in settings.corpora),
            "live": None if settings.live is None else settings.live.beside(base),
            "output": str(base / settings.output),
            "init_from": _beside(base, settings.init_from),
        }
    )


def _beside(base: Path, start: str) -> str:
    """A model folder beside the TOML file as its path, the name of a shipped model as it is."""
    return str(base / start) if start and (base / start).is_dir() else start


_TABLES: Mapping[str, type] = {
    "network": WaveUNetConfig,
    "clips": ClipSettings,
    "main": StageSettings,
    "finetune": StageSettings,
    "live": LiveSettings,
}
_Settings = TypeVar("_Settings")


def _from_table(kind: type[_Settings], values: object, where: str) -> _Settings:
    prefix = f"{where}." if where else ""
    if not isinstance(values, Mapping):
        raise SettingError(f"{where} is {values!r}; expected a table")
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    read = {}
    for name, value in values.items():
        if name not in known:
            raise SettingError(f"unknown key {prefix}{name}; known: {', '.join(sorted(known))}")
        is_list = isinstance(value, list) and str(known[name].type).startswith("tuple")
        read[name] = tuple(value) if is_list else value
        _check_type(f"{prefix}{name}", read[name], str(known[name].type))
    try:
        return kind(**read)
    except TypeError as error:
        missing = str(error).partition("argument")[2].lstrip("s: ").replace(" and ", ", ")
        raise SettingError(f"missing {missing}") from None


_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "int": int,
    "float": (int, float),
    "str": str,
    "bool": bool,
    "tuple[str, ...]": tuple,
}


def _check_type(name: str, value: object, annotation: str) -> None:
    expected = _TYPES.get(annotation)
    if expected is None:
        return
    wrong_bool = isinstance(value, bool) and annotation != "bool"
    if wrong_bool or not isinstance(value, expected):
        kind = "list of str" if annotation.startswith("tuple") else annotation
        raise SettingError(f"{name} is {value!r}; expected {kind}")
    if isinstance(value, tuple) and not all(isinstance(entry, str) for entry in value):
        raise SettingError(f"{name} is {list(value)!r}; expected list of str")


def _at_least(where: str, settings: object, **lowest: int) -> None:
    for name, low in lowest.items():
        if not getattr(settings, name) >= low:  # NaN is not
            raise SettingError(f"{where}.{name} is {getattr(settings, name)}; give {low} or more")


def _one_of(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        listed = f"{', '.join(choices[:-1])} or {choices[-1]}"
        raise SettingError(f"{name} is {value!r}; give {listed}")
