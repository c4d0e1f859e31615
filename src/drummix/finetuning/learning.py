"""The training itself: `drummix.nn` runs it; here is decided with what, and which weights stay."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch

from drummix.errors import Parameter, TrainingError
from drummix.finetuning.holding_out import Split
from drummix.mixers.architecture import WaveUNetConfig
from drummix.mixers.weights import Model
from drummix.nn.clips import FixedClips
from drummix.nn.config import ClipSettings, StageSettings, TrainSettings
from drummix.nn.curve import LOG_NAME, read_log
from drummix.nn.losses import MixLoss
from drummix.nn.mix_training import AUDIBLE_POWER, LossError, batch_si_sdr_db
from drummix.nn.recording import Progress, Report
from drummix.nn.session_clips import SessionClips
from drummix.nn.train import load_best, train_network
from drummix.nn.wave_unet import WaveUNet

ROUND_STEPS = 25
"""Steps between two looks at what is held out."""

PATIENCE_ROUNDS = 6
BATCH_SIZE = 4
CLIP_S = 2.0
MAX_VALIDATION_CLIPS = 24
BIAS_RATE = 0.1
MRSTFT_WEIGHT = 0.01
STAGE = "finetune"


@dataclass(frozen=True)
class Learned:
    """What a training did.

    Args:
        steps: Steps that were done.
        best_step: The step whose weights are kept.
        start_loss: Loss on what is held out before the first step.
        best_loss: The same after `best_step`.
        ended_by: ``steps``, ``minutes``, ``patience``, ``stop``, or ``loss`` where it stopped
            being a number.
        curve: Step, loss and SI-SDR in dB of each look at what is held out.
    """

    steps: int
    best_step: int
    start_loss: float
    best_loss: float
    ended_by: str
    curve: tuple[tuple[int, float, float], ...]


def train_settings(
    model: Model,
    sides: Split,
    *,
    name: str,
    output: Path,
    steps: int,
    minutes: float | None,
    learning_rate: float,
    seed: int,
) -> TrainSettings:
    """The settings of a training: one short stage, from weights that are good already.

    Args:
        model: The start.
        sides: What is learned from and held out.
        name: Name of the new model.
        output: Folder for checkpoints and the log.
        steps: Most steps.
        minutes: Most minutes; None for no limit.
        learning_rate: Adam's step size.
        seed: Chooses the clips.
    """
    config, rate_hz = model.config, model.rate_hz
    clip_frames = config.output_frames(config.input_frames(_bottleneck_frames(config, rate_hz)))
    n_clips = max(-(-stretch.n_samples // clip_frames) for stretch in sides.held_out)
    round_steps = min(ROUND_STEPS, steps)
    return TrainSettings(
        name=name,
        target="dry" if model.target == "dry" else "wet",
        corpora=tuple(sorted({one.item for one in sides.train})),
        output=str(output),
        init_from=model.name,
        seed=seed,
        epoch_steps=round_steps,
        loss="l1+mrstft",
        mrstft_weight=MRSTFT_WEIGHT,
        network=config,
        clips=ClipSettings(
            batch_size=BATCH_SIZE,
            bottleneck_frames=_bottleneck_frames(config, rate_hz),
            validation_clips=min(n_clips, max(1, MAX_VALIDATION_CLIPS // len(sides.held_out))),
            workers=0,
        ),
        main=StageSettings(max_epochs=0),
        finetune=StageSettings(
            learning_rate=learning_rate,
            decay="cosine",
            max_epochs=-(-steps // round_steps),
            patience=PATIENCE_ROUNDS,
            bias_rate=BIAS_RATE,
            max_minutes=minutes or 0.0,
        ),
    )


def start_network(model: Model, gain: float) -> WaveUNet:
    """A network with a model's weights, its output turned up or down.

    Args:
        model: The weights.
        gain: Linear gain; the output layer is linear, so nothing else changes.
    """
    network = WaveUNet(model.config)
    network.load_state_dict({name: torch.from_numpy(t) for name, t in model.tensors.items()})
    with torch.no_grad():
        network.output.weight.mul_(gain)
        if network.output.bias is not None:
            network.output.bias.mul_(gain)
    return network


def learn(
    network: WaveUNet,
    settings: TrainSettings,
    sides: Split,
    *,
    report: Report,
    progress: Progress,
) -> Learned:
    """Train, and leave the best weights in the network.

    Args:
        network: Weights of the start.
        settings: As `train_settings` makes them.
        sides: What is learned from and held out.
        report: Called with a line a round.
        progress: Called after every step.

    Raises:
        TrainingError: If no round came closer to what is held out than the start did.
        KeyboardInterrupt: If it was stopped before any did.
    """
    sources = {
        "train": SessionClips(sides.train, settings.network, settings.clips),
        "validation": SessionClips(sides.held_out, settings.network, settings.clips),
    }
    start_loss, start_si_sdr_db = validate(network, settings, sources["validation"])
    report(
        f"start: validation loss {start_loss:.5f}, SI-SDR {start_si_sdr_db:.2f} dB, "
        "the mean over clips"
    )
    ended_by = ""
    failure: KeyboardInterrupt | TrainingError | None = None
    try:
        train_network(settings, sources, start=network, report=report, progress=progress)
    except KeyboardInterrupt as error:
        ended_by, failure = "stop", error
    except LossError as error:
        ended_by, failure = "loss", _lower_the_rate(error, settings)
    curve = _curve(Path(settings.output))
    best_step, best_loss = min(
        ((step, loss) for step, loss, _ in curve), key=lambda row: row[1], default=(0, math.inf)
    )
    if not best_loss < start_loss:
        if failure is not None:
            raise failure
        raise TrainingError(
            f"{curve[-1][0] if curve else 0} steps came no closer to what was held out (loss "
            f"{start_loss:.5f} at the start, {best_loss:.5f} at best): nothing was written; keep "
            f"{settings.init_from}, or give more songs, or another ",
            Parameter("learning_rate"),
        )
    load_best(network, Path(settings.output) / STAGE)
    return Learned(
        steps=curve[-1][0],
        best_step=best_step,
        start_loss=round(start_loss, 6),
        best_loss=round(best_loss, 6),
        ended_by=ended_by or _ended_by(curve[-1][0], len(curve), best_step, settings),
        curve=tuple((step, round(loss, 6), round(ratio, 2)) for step, loss, ratio in curve),
    )


def validate(
    network: WaveUNet, settings: TrainSettings, source: SessionClips
) -> tuple[float, float]:
    """Loss and SI-SDR in dB on what is held out, as training computes them after every round."""
    clips, loss = FixedClips(source), MixLoss(settings.mrstft_weight)
    total, ratios, n_clips = 0.0, [], len(clips)
    with torch.no_grad():
        for number in range(n_clips):
            stems, mix = clips[number]
            estimate = network(stems[None]).clamp(-1.0, 1.0)
            total += float(loss(estimate, mix[None])["loss"])
            if float(mix.square().mean()) > AUDIBLE_POWER:
                ratios.append(float(batch_si_sdr_db(estimate, mix[None])))
    return total / n_clips, sum(ratios) / len(ratios) if ratios else math.nan


def _bottleneck_frames(config: WaveUNetConfig, rate_hz: int) -> int:
    lost = config.up_taps * (config.decimation - 1)
    return max(-(-(round(CLIP_S * rate_hz) + lost) // config.decimation), 5)


def _curve(output: Path) -> list[tuple[int, float, float]]:
    if not (output / LOG_NAME).is_file():
        return []
    return [
        (row.step, _number(row.validation_loss), _number(row.validation_si_sdr_db))
        for row in read_log(output)
    ]


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _ended_by(steps: int, rounds: int, best_step: int, settings: TrainSettings) -> str:
    if rounds >= settings.finetune.max_epochs:
        return "steps"
    waited = steps - best_step >= settings.finetune.patience * settings.epoch_steps
    return "patience" if waited else "minutes"


def _lower_the_rate(error: LossError, settings: TrainSettings) -> TrainingError:
    return TrainingError(
        f"the loss is no longer a number at step {error.step}: nothing was written; give a lower ",
        Parameter("learning_rate"),
        f" than {settings.finetune.learning_rate:g}",
    )
