"""Training a Wave-U-Net: L1 loss, Adam, early stopping, a fine-tuning stage from the best weights.

Source: Martinez Ramirez, Stoller and Moffat, JAES 69(3), 2021, section 2.1. We fine-tune from the
best checkpoint where the authors' code goes on from the last one. Lightning does the loop,
checkpoints and resuming.
"""

from __future__ import annotations

import json
import logging
import math
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader

from drummix.corpus.manifest import write_text
from drummix.errors import TrainingError
from drummix.mixers.weights import load_model
from drummix.nn.clips import ClipSource, FixedClips, RandomClips
from drummix.nn.config import StageSettings, TrainSettings
from drummix.nn.export import FINISHED_NAME, export_model
from drummix.nn.wave_unet import WaveUNet

RATE_HZ = 44100
_WARM_UP_STEPS = 50
_LAST_SHARE = 0.01

Report = Callable[[str], None]
Progress = Callable[[str, int, int], None]


class MixTraining(lightning.LightningModule):
    """The network with its loss and optimiser for one stage.

    Args:
        network: What is trained.
        stage: Learning rate and its decay.
        n_steps: Steps of the whole stage, for the decay.
    """

    def __init__(self, network: WaveUNet, stage: StageSettings, *, n_steps: int) -> None:
        super().__init__()
        self.network, self.stage, self.n_steps = network, stage, n_steps

    def forward(self, stems: Tensor) -> Tensor:
        """Mix a batch."""
        mix: Tensor = self.network(stems)
        return mix

    def training_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> Tensor:
        """Mean absolute error of the unlimited output."""
        stems, mix = batch
        loss = nn.functional.l1_loss(self(stems), mix)
        if not torch.isfinite(loss):
            raise TrainingError(
                f"the loss became {float(loss.detach())} at step {self.global_step}; the last "
                "checkpoint is kept: lower the learning rate and run the same command again"
            )
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> None:
        """Mean absolute error and SI-SDR of the output limited to full scale, as in use."""
        stems, mix = batch
        estimate = self(stems).clamp(-1.0, 1.0)
        n_clips = len(stems)
        loss = nn.functional.l1_loss(estimate, mix)
        self.log("validation_l1", loss, batch_size=n_clips)
        audible = mix.square().mean(dim=(1, 2)) > 1e-9
        if bool(audible.any()):
            ratio = batch_si_sdr_db(estimate[audible], mix[audible]).mean()
            self.log("validation_si_sdr_db", ratio, batch_size=int(audible.sum()))

    def configure_optimizers(self) -> Any:
        """Adam, with a short warm-up and cosine decay where the stage asks for it."""
        rate = self.stage.learning_rate
        named = list(self.network.named_parameters())
        groups: list[dict[str, Any]] = [
            {"params": [p for name, p in named if not name.endswith("bias")], "lr": rate},
            {
                "params": [p for name, p in named if name.endswith("bias")],
                "lr": rate * self.stage.bias_rate,
            },
        ]
        optimiser = torch.optim.Adam(groups, lr=rate)
        if self.stage.decay == "none":
            return optimiser
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, self._share_of_rate)
        return {
            "optimizer": optimiser,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def _share_of_rate(self, step: int) -> float:
        warm_up = min(1.0, (step + 1) / _WARM_UP_STEPS)
        done = min(1.0, step / max(1, self.n_steps))
        cosine = 0.5 * (1.0 + math.cos(math.pi * done))
        return warm_up * (_LAST_SHARE + (1.0 - _LAST_SHARE) * cosine)


def batch_si_sdr_db(estimate: Tensor, target: Tensor) -> Tensor:
    """Scale-invariant SDR in dB of each clip (batch, channels, frames), channels joint."""
    estimate, target = estimate.flatten(1), target.flatten(1)
    scale = (estimate * target).sum(1, keepdim=True) / target.square().sum(1, keepdim=True)
    error = estimate - scale * target
    return 10.0 * torch.log10(
        (scale * target).square().sum(1) / error.square().sum(1).clamp_min(1e-20)
    )


class _Reporter(Callback):
    """Keeps the learning curve and tells it, an epoch a line, to whoever runs the training.

    The curve is part of every checkpoint, so a resumed run has all of it.
    """

    def __init__(self, stage: str, n_steps: int, report: Report, progress: Progress) -> None:
        self.stage, self.n_steps = stage, n_steps
        self.report, self.progress = report, progress
        self.curve: list[dict[str, float]] = []
        self._losses: list[Tensor] = []

    def state_dict(self) -> dict[str, Any]:
        return {"curve": self.curve}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.curve = list(state_dict["curve"])

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        *batch: Any,
    ) -> None:
        self._losses.append(outputs["loss"].detach())
        self.progress(f"{self.stage} stage", trainer.global_step, self.n_steps)

    def on_validation_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        # Before the checkpoint is written: Lightning calls its checkpoint callback last.
        row = {"step": float(trainer.global_step)}
        row["train_l1"] = float(torch.stack(self._losses).mean())
        for name in ("validation_l1", "validation_si_sdr_db"):
            row[name] = float(trainer.callback_metrics.get(name, math.nan))
        self._losses.clear()
        self.curve.append(row)
        self.report(
            f"{self.stage}: epoch {trainer.current_epoch + 1}, step {trainer.global_step}, "
            f"train L1 {row['train_l1']:.5f}, validation L1 {row['validation_l1']:.5f}, "
            f"SI-SDR {row['validation_si_sdr_db']:.2f} dB"
        )


class _Clips(lightning.LightningDataModule):
    """Clips for both loaders; each epoch draws its own, so that a resumed run sees the same."""

    def __init__(self, settings: TrainSettings) -> None:
        super().__init__()
        self.settings = settings
        self.sources = {
            part: ClipSource.from_corpora(
                settings.corpora,
                part,
                target=settings.target,
                config=settings.network,
                settings=settings.clips,
                rate_hz=RATE_HZ,
            )
            for part in ("train", "validation")
        }

    def train_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        clips = self.settings.clips
        assert self.trainer is not None
        return DataLoader(
            RandomClips(
                self.sources["train"],
                n_clips=self.settings.epoch_steps * clips.batch_size,
                seed=self.settings.seed,
                epoch=self.trainer.current_epoch,
            ),
            batch_size=clips.batch_size,
            num_workers=clips.workers,
        )

    def val_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        clips = self.settings.clips
        return DataLoader(
            FixedClips(self.sources["validation"]),
            batch_size=clips.batch_size,
            num_workers=clips.workers,
        )


def train(
    settings: TrainSettings,
    *,
    report: Report = lambda line: None,
    progress: Progress = lambda stage, n_done, n_all: None,
) -> Path:
    """Train a network, going on where an earlier run with the same output folder stopped.

    Args:
        settings: What to train, on what, and how long.
        report: Called with one line an epoch.
        progress: Called after every step with the stage, the steps done, and the most it takes.

    Returns:
        The folder of the exported model (best validation loss).

    Raises:
        TrainingError: If the loss stops being a number, an item is broken, or the output folder
            holds a run with other settings.
        CorpusError: If a corpus is missing.
    """
    output = Path(settings.output)
    _claim_output(settings, output)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    lightning.seed_everything(settings.seed, verbose=False)
    clips = _Clips(settings)
    network = WaveUNet(settings.network)
    if settings.init_from:
        _load_weights(network, settings)
    if not _is_finished(output / "main", settings.main):
        # An earlier fine-tuning started from other weights than those to come.
        shutil.rmtree(output / "finetune", ignore_errors=True)
    for name, stage in (("main", settings.main), ("finetune", settings.finetune)):
        if stage.max_epochs:
            module = MixTraining(network, stage, n_steps=stage.max_epochs * settings.epoch_steps)
            reporter = _Reporter(name, module.n_steps, report, progress)
            _run_stage(Path(settings.output) / name, module, clips, reporter)
    return export_model(network, settings, rate_hz=RATE_HZ, sources=clips.sources)


def _run_stage(folder: Path, module: MixTraining, clips: _Clips, reporter: _Reporter) -> None:
    """Run or finish one stage and leave its best weights in the network."""
    best = ModelCheckpoint(
        folder, "best", monitor="validation_l1", save_last=True, enable_version_counter=False
    )
    stage = module.stage
    if not _is_finished(folder, stage):
        trainer = lightning.Trainer(
            max_epochs=stage.max_epochs,
            callbacks=[EarlyStopping("validation_l1", patience=stage.patience), best, reporter],
            logger=False,
            reload_dataloaders_every_n_epochs=1,
            num_sanity_val_steps=0,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        last = folder / "last.ckpt"
        with warnings.catch_warnings():
            # Advice on numbers of workers, which clips.workers decides.
            warnings.filterwarnings("ignore", module="lightning")
            trainer.fit(module, clips, ckpt_path=last if last.is_file() else None)
        if trainer.interrupted:
            raise KeyboardInterrupt
        summary = {
            "steps": trainer.global_step,
            "epochs": trainer.current_epoch,
            "max_epochs": stage.max_epochs,
            "best_validation_l1": float(best.best_model_score or math.nan),
            "curve": reporter.curve,
        }
        write_text(folder / FINISHED_NAME, json.dumps(summary))
    checkpoint = torch.load(folder / "best.ckpt", map_location="cpu", weights_only=True)
    module.load_state_dict(checkpoint["state_dict"])


def _is_finished(folder: Path, stage: StageSettings) -> bool:
    """Whether a stage ended early, or had at least the epochs it may have now."""
    path = folder / FINISHED_NAME
    if not path.is_file():
        return False
    record = json.loads(path.read_text(encoding="utf-8"))
    return bool(record["epochs"] < record["max_epochs"] or record["max_epochs"] >= stage.max_epochs)


def _claim_output(settings: TrainSettings, output: Path) -> None:
    """Note the settings in the folder, or check that a run with the same ones goes on there.

    How long a stage lasts may change between stops: a run can be made longer or shorter.
    """
    output.mkdir(parents=True, exist_ok=True)
    path = output / "settings.json"
    text = json.dumps(settings.to_mapping(), indent=1)
    if path.is_file():
        earlier = json.loads(path.read_text(encoding="utf-8"))
        if _without_length(earlier) != _without_length(json.loads(text)):
            raise TrainingError(
                f"{output} holds a training with other settings (see its settings.json); "
                "give another output folder"
            )
    write_text(path, text)


def _without_length(settings: dict[str, Any]) -> dict[str, Any]:
    lengths = ("max_epochs", "patience")
    stages = {
        name: {key: value for key, value in settings[name].items() if key not in lengths}
        for name in ("main", "finetune")
    }
    return {**settings, **stages}


def _load_weights(network: WaveUNet, settings: TrainSettings) -> None:
    start = settings.init_from
    model = load_model(Path(start) if Path(start).is_dir() else start)
    if model.config != settings.network:
        raise TrainingError(
            f"init_from {start} is a network of {model.config.filters} filters and "
            f"{model.config.levels} levels; the configuration asks for "
            f"{settings.network.filters} and {settings.network.levels}"
        )
    network.load_state_dict({name: torch.from_numpy(t) for name, t in model.tensors.items()})
