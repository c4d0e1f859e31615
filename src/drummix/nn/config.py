"""Settings of a training run, read from TOML; unknown keys are refused with the known ones."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from drummix.corpus.disturbance import check_kinds
from drummix.corpus.manifest import Target
from drummix.errors import SettingError, TextFileError
from drummix.mixers.architecture import PAPER_BOTTLENECK_FRAMES, WaveUNetConfig
from drummix.mixers.weights import ModelName
from drummix.nn.live_settings import LiveSettings
from drummix.plain_data import PathText, Within, check_fields, convert, parse_toml

FINETUNE_LEARNING_RATE = 1e-5
MAX_BATCH_FRAMES = 1 << 28
"""Frames that go into a step: their eight microphones alone take 8.6 GB."""

_Count = Annotated[int, Within(1, 1_000_000)]
_Share = Annotated[float, Within(0.0, 1.0, is_below=True)]


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

    batch_size: Annotated[int, Within(1, 4096)] = 16
    bottleneck_frames: Annotated[int, Within(5, 100_000)] = PAPER_BOTTLENECK_FRAMES
    stem_dropout: _Share = 0.0
    peak_normalised: bool = False
    disturb: tuple[str, ...] = ()
    gain_jitter_db: Annotated[float, Within(0.0, 12.0)] = 0.0
    validation_clips: Annotated[int, Within(1, 10_000)] = 4
    workers: Annotated[int, Within(0, 256)] = 1

    def __post_init__(self) -> None:
        check_fields(self)
        check_kinds(self.disturb)
        if self.stem_dropout and "dropout" in self.disturb:
            why = "and dropout in disturb both silence stems"
            raise SettingError("stem_dropout", self.stem_dropout, "give one", problem=why)


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

    learning_rate: Annotated[float, Within(0.0, 1.0, is_above=True, is_below=True)] = 1e-4
    decay: Literal["none", "cosine"] = "none"
    max_epochs: Annotated[int, Within(0, 1_000_000)] = 1000
    patience: _Count = 20
    bias_rate: Annotated[float, Within(0.0, 1.0)] = 1.0
    max_minutes: Annotated[float, Within(0.0)] = 0.0

    def __post_init__(self) -> None:
        check_fields(self)


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

    name: ModelName
    target: Target
    corpora: tuple[PathText, ...]
    output: PathText
    seed: Annotated[int, Within(0)] = 0
    live: LiveSettings | None = None
    init_from: Literal[""] | PathText = ""
    epoch_steps: _Count = 2000
    loss: Literal["l1", "l1+mrstft"] = "l1"
    mrstft_weight: Annotated[float, Within(0.0)] = 0.01
    precision: Literal["32", "bf16-mixed", "16-mixed"] = "32"
    devices: Annotated[int, Within(1, 256)] = 1
    gradient_clip: Annotated[float, Within(0.0)] = 0.0
    ema_decay: _Share = 0.0
    compile: bool = False
    network: WaveUNetConfig = field(default_factory=WaveUNetConfig)
    clips: ClipSettings = field(default_factory=ClipSettings)
    main: StageSettings = field(default_factory=StageSettings)
    finetune: StageSettings = field(
        default_factory=lambda: StageSettings(learning_rate=FINETUNE_LEARNING_RATE)
    )

    def __post_init__(self) -> None:
        check_fields(self)
        if bool(self.corpora) == (self.live is not None):
            which = "both corpora and [live]" if self.corpora else "neither corpora nor [live]"
            expected = "name at least one corpus, or what to render on the fly"
            raise SettingError("corpora", self.corpora, expected, problem=f"are given as {which}")
        if self.live is not None and self.live.pools % max(1, self.clips.workers):
            raise SettingError(
                "live.pools",
                self.live.pools,
                "give a multiple, so that each has pools of its own",
                problem=f"is {self.live.pools} for {self.clips.workers} clips.workers",
            )
        n_frames = self.clips.batch_size * self.network.input_frames(self.clips.bottleneck_frames)
        if n_frames > MAX_BATCH_FRAMES:
            raise SettingError(
                "clips.batch_size",
                self.clips.batch_size,
                f"expected at most {MAX_BATCH_FRAMES:,}",
                problem=f"{self.clips.batch_size} and clips.bottleneck_frames "
                f"{self.clips.bottleneck_frames} make steps of {n_frames:,} frames",
            )
        if self.clips.batch_size % self.devices:
            raise SettingError(
                "clips.batch_size",
                self.clips.batch_size,
                "give a multiple, each takes its share",
                problem=f"is {self.clips.batch_size} for {self.devices} devices",
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
        TextFileError: If the file is missing, is not TOML, or has an unknown or wrong value.
    """
    values = parse_toml(path, error=TextFileError, hint="give a training configuration")
    if isinstance(values.get("finetune"), dict):
        values["finetune"] = {"learning_rate": FINETUNE_LEARNING_RATE, **values["finetune"]}
    if "live" in values:
        values.setdefault("corpora", [])
    if values.get("precision") in (16, 32):
        values["precision"] = str(values["precision"])
    settings = convert(values, TrainSettings, error=TextFileError, name=str(path))
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
