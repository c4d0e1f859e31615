"""Training a Wave-U-Net: Adam, early stopping, a fine-tuning stage from the best weights.

Source: Martinez Ramirez, Stoller and Moffat, JAES 69(3), 2021, section 2.1. We fine-tune from the
best checkpoint where the authors' code goes on from the last one. Lightning does the loop,
checkpoints, resuming and the processes of a run on several devices.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import math
import os
import shutil
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint

from drummix.audio import write_text
from drummix.errors import TrainingError
from drummix.nn.checkpoints import best_weights, check_weights, read_checkpoint
from drummix.nn.checks import check_items, claim_output, load_start
from drummix.nn.clip_sources import clip_sources
from drummix.nn.config import StageSettings, TrainSettings
from drummix.nn.curve import Row, draw_curve
from drummix.nn.export import FINISHED_NAME, export_model, read_finished
from drummix.nn.loading import ClipLoading, Sources
from drummix.nn.losses import MixLoss
from drummix.nn.mix_training import MixTraining
from drummix.nn.recording import (
    AtomicCheckpoints,
    AverageWeights,
    Progress,
    Recorder,
    Report,
    TimeIsUp,
)
from drummix.nn.wave_unet import WaveUNet

RATE_HZ = 44100
_UNREADABLE = (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError)
"""What Lightning stumbles over in a checkpoint that another program or version wrote."""

STAGES = ("main", "finetune")


@dataclass(frozen=True)
class _Sitting:
    """What lasts from the start of a call to its end."""

    settings: TrainSettings
    ends_at_s: float | None
    report: Report
    progress: Progress

    @property
    def output(self) -> Path:
        return Path(self.settings.output)


def train(
    settings: TrainSettings,
    *,
    minutes: float | None = None,
    report: Report = lambda line: None,
    progress: Progress | None = None,
) -> Path:
    """Train a network, going on where an earlier run with the same output folder stopped.

    Args:
        settings: What to train, on what, and how long.
        minutes: Stop within so many minutes, and export the best weights so far; the next call
            goes on from the last epoch that was trained to its end, as if there had been no stop.
            None trains to the end.
        report: Called with one line an epoch.
        progress: Called after every step with the stage, the steps done, and the most it takes.

    Returns:
        The folder of the exported model (best validation loss).

    Raises:
        TrainingError: If the loss stops being a number, an item is broken, the output folder
            holds a run with other settings or a damaged one, or `minutes` end in the first epoch.
        CorpusError: If a corpus, a kit or the dataset is missing.
        OutputError: If the disk is full; the last good checkpoint is kept.
    """
    if minutes is not None and not minutes > 0:
        raise TrainingError(f"{minutes} minutes of training; give more than 0")
    ends_at_s = None if minutes is None else time.monotonic() + 60.0 * minutes
    on_notice = (lambda notice: report(str(notice))) if is_first_process() else None
    sources = clip_sources(settings, rate_hz=RATE_HZ, on_notice=on_notice)
    if is_first_process():
        check_items(sources, settings)
        claim_output(settings)
    network = train_network(
        settings, sources, ends_at_s=ends_at_s, report=report, progress=progress
    )
    output = Path(settings.output)
    if not is_first_process():
        return output / "model" / settings.name
    if importlib.util.find_spec("matplotlib") is None:
        report("no matplotlib here: draw the curve later with drummix train --curve")
    elif any((output / stage).is_dir() for stage in STAGES):
        draw_curve(output)
    return export_model(network, settings, rate_hz=RATE_HZ, sources=sources)


def train_network(
    settings: TrainSettings,
    sources: Sources,
    *,
    start: WaveUNet | None = None,
    ends_at_s: float | None = None,
    report: Report = lambda line: None,
    progress: Progress | None = None,
) -> WaveUNet:
    """Train a network on clips from anywhere, and export nothing.

    Args:
        settings: How, and for how long; where the clips come from is not read.
        sources: ``train`` and ``validation`` -> what clips are cut from.
        start: The network to train; one with the weights of `init_from`, or new ones, if not given.
        ends_at_s: When, on the clock of `time.monotonic`, this sitting ends; None for never.
        report: As for `train`.
        progress: As for `train`.

    Returns:
        The network with the weights of the best validation.

    Raises:
        TrainingError: As `train`.
        OutputError: As `train`.
    """
    sitting = _Sitting(settings, ends_at_s, report, progress or (lambda stage, n_done, n_all: None))
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    lightning.seed_everything(settings.seed, verbose=False)
    if start is None:
        start = WaveUNet(settings.network)
        if settings.init_from:
            load_start(start, settings)
    with (
        _readable_errors(settings),
        contextlib.closing(ClipLoading(settings, sources)) as clips,
    ):
        _run_stages(sitting, start, clips)
    return start


def load_best(network: WaveUNet, folder: Path) -> None:
    """Put the best weights of a stage so far into a network.

    Args:
        network: The network.
        folder: The stage's folder, with ``best.ckpt`` in it.

    Raises:
        TrainingError: If it is missing, damaged, or of another network.
    """
    network.load_state_dict(best_weights(folder / "best.ckpt", network))


def is_first_process() -> bool:
    """Whether this is the process that talks and writes, where a run has several."""
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))) == 0


def _run_stages(sitting: _Sitting, network: WaveUNet, clips: ClipLoading) -> None:
    settings, output = sitting.settings, sitting.output
    has_main = settings.main.max_epochs > 0
    if has_main and is_first_process() and not _is_finished(output / "main", settings.main):
        # An earlier fine-tuning started from other weights than those to come.
        shutil.rmtree(output / "finetune", ignore_errors=True)
    for name in STAGES:
        stage: StageSettings = getattr(settings, name)
        if not stage.max_epochs:
            continue
        loss = MixLoss(0.0 if settings.loss == "l1" else settings.mrstft_weight)
        n_steps = stage.max_epochs * settings.epoch_steps
        module = MixTraining(network, stage, n_steps=n_steps, loss=loss)
        if not _run_stage(sitting, name, module, clips):
            if is_first_process():
                sitting.report(f"{name}: the time is up; the same command goes on from here")
            return


def _run_stage(sitting: _Sitting, name: str, module: MixTraining, clips: ClipLoading) -> bool:
    """Run or finish one stage, leave its best weights in the network; False if time was up."""
    folder, settings = sitting.output / name, sitting.settings
    is_done = _is_finished(folder, module.stage)
    if not is_done:
        recorder = Recorder(
            name,
            settings,
            earlier=_curves_before(sitting.output, name),
            ends_at_s=sitting.ends_at_s,
            report=sitting.report,
            progress=sitting.progress,
        )
        is_done = _fit(folder, module, clips, recorder)
    load_best(module.network, folder)
    return is_done


def _fit(folder: Path, module: MixTraining, clips: ClipLoading, recorder: Recorder) -> bool:
    settings, stage = recorder.settings, module.stage
    watched = "validation_l1" if settings.loss == "l1" else "validation_loss"
    best = ModelCheckpoint(
        folder, "best", monitor=watched, save_last=True, enable_version_counter=False
    )
    patience = EarlyStopping(watched, patience=stage.patience)
    callbacks: list[Callback] = [patience, best, recorder]
    if settings.ema_decay:
        callbacks.append(AverageWeights(settings.ema_decay))
    trainer = _trainer(settings, stage, callbacks)
    if settings.compile:
        module.network.compile()
    last = _checkpoint_of(folder, module)
    with warnings.catch_warnings():
        # Advice on numbers of workers, which clips.workers decides.
        warnings.filterwarnings("ignore", module="lightning")
        try:
            trainer.fit(module, clips, ckpt_path=last)
        except SystemExit:
            if trainer.interrupted:
                raise KeyboardInterrupt from None
            raise
        except TimeIsUp as up:
            _say_where_it_stops(folder, recorder, up)
            return False
        except _UNREADABLE as error:
            if last is None or recorder.has_begun:
                raise
            reason = " ".join(str(error).split())[:100]
            raise TrainingError(
                f"{last} does not go with this training ({reason}); delete {folder} to begin the "
                "stage anew"
            ) from None
    if trainer.interrupted:
        raise KeyboardInterrupt
    was_stopped = patience.stopped_epoch > 0 or trainer.current_epoch >= stage.max_epochs
    if recorder.is_paused and not was_stopped:
        return False
    summary = {
        "steps": trainer.global_step,
        "epochs": trainer.current_epoch,
        "max_epochs": stage.max_epochs,
        f"best_{watched}": float(best.best_model_score or math.nan),
        "curve": recorder.curve,
    }
    if recorder.is_over and not was_stopped:
        summary["max_minutes"] = stage.max_minutes
    if trainer.is_global_zero:
        write_text(folder / FINISHED_NAME, json.dumps(summary))
    return True


def _say_where_it_stops(folder: Path, recorder: Recorder, up: TimeIsUp) -> None:
    """Say what becomes of an epoch that was not trained to its end.

    Raises:
        TrainingError: If it was the first one, so that there is nothing to keep.
    """
    n_all = recorder.settings.epoch_steps
    takes = f"which takes about {up.epoch_s / 60.0:.3g} minutes"
    if not (folder / "best.ckpt").is_file():
        raise TrainingError(
            f"the time is up after {up.n_steps} of {n_all} steps of the first epoch, {takes}: "
            "nothing is kept; give more minutes or fewer epoch_steps"
        )
    recorder.report(
        f"{recorder.stage}: {up.n_steps} of {n_all} steps of the next epoch, {takes}, are left out "
        "and will be made again"
    )


def _checkpoint_of(folder: Path, module: MixTraining) -> Path | None:
    """The checkpoint that a stage goes on from, checked; None where it begins."""
    path = folder / "last.ckpt"
    if not path.exists():
        return None
    check_weights(path, read_checkpoint(path)["state_dict"], module.network)
    return path


def _trainer(
    settings: TrainSettings, stage: StageSettings, callbacks: list[Callback]
) -> lightning.Trainer:
    has_gpu = torch.cuda.is_available()
    if has_gpu:
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.allow_tf32 = True
    precision: Any = "32-true" if settings.precision == "32" else settings.precision
    return lightning.Trainer(
        max_epochs=stage.max_epochs,
        callbacks=callbacks,
        plugins=[AtomicCheckpoints()],
        precision=precision,
        devices=settings.devices,
        strategy="ddp" if settings.devices > 1 else "auto",
        use_distributed_sampler=False,
        gradient_clip_val=settings.gradient_clip or None,
        benchmark=has_gpu,
        logger=False,
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _is_finished(folder: Path, stage: StageSettings) -> bool:
    """Whether a stage ended early, or had at least the epochs and minutes it may have now."""
    path = folder / FINISHED_NAME
    if not path.is_file():
        return False
    record = read_finished(path)
    if record.max_minutes is not None:
        return 0 < stage.max_minutes <= record.max_minutes
    return record.epochs < record.max_epochs or record.max_epochs >= stage.max_epochs


def _curves_before(output: Path, stage: str) -> dict[str, list[Row]]:
    """Curves of the stages that are over when `stage` begins."""
    curves = {}
    for earlier in STAGES[: STAGES.index(stage)]:
        path = output / earlier / FINISHED_NAME
        if path.is_file():
            curves[earlier] = [dict(row) for row in read_finished(path).curve]
    return curves


@contextmanager
def _readable_errors(settings: TrainSettings) -> Iterator[None]:
    """Bring what went wrong in another process down to its last line."""
    try:
        yield
    except TrainingError as error:
        text = str(error)
        if "Original Traceback" in text:
            raise TrainingError(text.rpartition("TrainingError: ")[2].strip()) from None
        if not is_first_process():
            # Every process found it; the first one says it.
            raise SystemExit(1) from None
        raise
    except RuntimeError as error:
        if settings.devices > 1 and "Connection closed by peer" in str(error):
            raise TrainingError(
                "another process of this training stopped; what it said stands above"
            ) from None
        raise
