"""What a run keeps of itself while it trains: its curve, its checkpoints, its clock."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor

from drummix.audio import atomic_path
from drummix.nn.checkpoints import read_checkpoint
from drummix.nn.config import TrainSettings
from drummix.nn.curve import Row, write_log
from drummix.nn.mix_training import MixTraining

Report = Callable[[str], None]
Progress = Callable[[str, int, int], None]


class AtomicCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint beside its target and renames it: a kill or a full disk spares the old.

    What it reads back it does not trust: see `drummix.nn.checkpoints`.

    Lightning's own goes through the folder for temporary files, which may lie on another disk.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Save a checkpoint.

        Raises:
            OutputError: If the disk is full; the checkpoint that was there before stays.
        """
        memory = io.BytesIO()
        torch.save(checkpoint, memory)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            temporary.write_bytes(memory.getbuffer())

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Any | None = None,
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        """Load a checkpoint onto the processor.

        Raises:
            TrainingError: If it is missing, damaged or something else.
        """
        return read_checkpoint(Path(path))


_MIN_MEASURED_S = 10.0
"""From here on the steps so far tell what an epoch takes."""


class TimeIsUp(Exception):  # noqa: N818 - it ends a sitting, and nothing went wrong
    """A sitting's time ended inside of an epoch, which is left out.

    Args:
        n_steps: Steps of the epoch that were made.
        epoch_s: What an epoch takes, by these steps.
    """

    def __init__(self, n_steps: int, epoch_s: float) -> None:
        super().__init__(n_steps, epoch_s)
        self.n_steps, self.epoch_s = n_steps, epoch_s


class Recorder(Callback):
    """Keeps the learning curve, logs it, tells it an epoch a line, and stops by the clock.

    The curve is part of every checkpoint, so a resumed run has all of it.

    Args:
        stage: Name of the stage.
        settings: The run's settings.
        earlier: Curves of the stages before, by name.
        ends_at_s: When, on the clock of `time.monotonic`, this sitting ends; None for never.
        report: Called with one line an epoch.
        progress: Called after every step.

    Attributes:
        curve: One row an epoch.
        is_paused: Whether the sitting ended before the stage did.
        is_over: Whether the stage's minutes are over.
        has_begun: Whether training began, with whatever it goes on from in place.
    """

    def __init__(
        self,
        stage: str,
        settings: TrainSettings,
        *,
        earlier: Mapping[str, Sequence[Row]],
        ends_at_s: float | None,
        report: Report,
        progress: Progress,
    ) -> None:
        self.stage, self.settings, self.earlier = stage, settings, earlier
        self.ends_at_s, self.report, self.progress = ends_at_s, report, progress
        self.curve: list[Row] = []
        self.is_paused = self.is_over = self.has_begun = False
        self._sums: dict[str, Tensor] = {}
        self._n_steps, self._has_warned = 0, False
        self._earlier_s, self._start_s = 0.0, time.monotonic()
        self._epoch_start_s = self._start_s

    @property
    def state_key(self) -> str:
        """Its place in a checkpoint, whatever the class is called."""
        return "_Reporter"

    def state_dict(self) -> dict[str, Any]:
        """The curve and the time it took, for a checkpoint."""
        return {"curve": self.curve, "elapsed_s": self._elapsed_s()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with a curve."""
        self.curve = list(state_dict["curve"])
        self._earlier_s = float(state_dict.get("elapsed_s", 0.0))
        self._start_s = time.monotonic()

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Note that the checkpoint, if any, is in place."""
        self.has_begun = True

    def on_train_epoch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Start an epoch's clock and sums."""
        self._epoch_start_s = time.monotonic()
        self._sums, self._n_steps = {}, 0

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *batch: Any
    ) -> None:
        """Tell a decay by the clock what time it is."""
        if max_s := 60.0 * self._stage.max_minutes:
            assert isinstance(pl_module, MixTraining)
            # The first process's clock: all must take steps of one size.
            share = trainer.strategy.broadcast(self._elapsed_s() / max_s)
            pl_module.time_share = min(1.0, share)

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        *batch: Any,
    ) -> None:
        """Add up the parts of the loss."""
        for name, part in outputs.items():
            self._sums[name] = self._sums.get(name, torch.zeros_like(part)) + part.detach()
        self._n_steps += 1
        n_all = self._stage.max_epochs * self.settings.epoch_steps
        self.progress(f"{self.stage} stage", trainer.global_step, n_all)
        if self.ends_at_s is not None and self._n_steps < self.settings.epoch_steps:
            self._stop_inside_an_epoch(trainer, self.ends_at_s)

    def on_validation_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Add the epoch to the curve, the log and what is said."""
        # Before the checkpoint is written: Lightning calls its checkpoint callback last.
        row = self._row(trainer)
        self.curve.append(row)
        self._stop_by_the_clock(trainer, time.monotonic() - self._epoch_start_s)
        if trainer.is_global_zero:
            write_log(Path(self.settings.output), {**self.earlier, self.stage: self.curve})
            self.report(
                f"{self.stage}: epoch {trainer.current_epoch + 1}, step {trainer.global_step}, "
                f"train L1 {row['train_l1']:.5f}, validation L1 {row['validation_l1']:.5f}, "
                f"SI-SDR {row.get('validation_si_sdr_db', math.nan):.2f} dB, "
                f"{row['clips_per_s']:.3g} clips/s"
            )

    def _row(self, trainer: lightning.Trainer) -> Row:
        seconds = time.monotonic() - self._epoch_start_s
        n_clips = self._n_steps * self.settings.clips.batch_size
        row = {
            "epoch": trainer.current_epoch + 1.0,
            "step": float(trainer.global_step),
            "seconds": round(seconds, 3),
            "clips_per_s": round(n_clips / max(seconds, 1e-9), 4),
            "learning_rate": float(trainer.optimizers[0].param_groups[0]["lr"]),
        }
        for name, total in self._sums.items():
            mean = trainer.strategy.reduce(total / self._n_steps, reduce_op="mean")
            row[f"train_{name}"] = float(mean)
        for name, value in trainer.callback_metrics.items():
            if name.startswith("validation_") and math.isfinite(value):
                row[name] = float(value)
        return row

    def _stop_inside_an_epoch(self, trainer: lightning.Trainer, ends_at_s: float) -> None:
        now_s = time.monotonic()
        so_far_s = now_s - self._epoch_start_s
        epoch_s = so_far_s / self._n_steps * self.settings.epoch_steps
        if trainer.strategy.reduce_boolean_decision(now_s > ends_at_s, all=False):
            raise TimeIsUp(self._n_steps, epoch_s)
        is_late = self._epoch_start_s + epoch_s > ends_at_s
        if is_late and so_far_s > _MIN_MEASURED_S and not self._has_warned:
            self._has_warned = True
            self.report(
                f"{self.stage}: an epoch takes about {epoch_s / 60.0:.3g} minutes, longer than the "
                "time that is left; give more minutes or fewer epoch_steps"
            )

    def _stop_by_the_clock(self, trainer: lightning.Trainer, epoch_s: float) -> None:
        decide = trainer.strategy.reduce_boolean_decision
        # The stage may run half an epoch over its time; a sitting may not run over at all.
        max_s = 60.0 * self._stage.max_minutes
        is_over = bool(max_s) and self._elapsed_s() + 0.5 * epoch_s > max_s
        will_be_late = self.ends_at_s is not None and time.monotonic() + epoch_s > self.ends_at_s
        self.is_over, will_be_late = decide(is_over, all=False), decide(will_be_late, all=False)
        self.is_paused = will_be_late and not self.is_over
        if self.is_over or will_be_late:
            trainer.should_stop = True

    @property
    def _stage(self) -> Any:
        return getattr(self.settings, self.stage)

    def _elapsed_s(self) -> float:
        return self._earlier_s + time.monotonic() - self._start_s


class AverageWeights(Callback):
    """An exponential moving average of the weights, which validation hears.

    The average itself is in the checkpoint beside the weights that training goes on from.

    Args:
        decay: Share of itself that the average keeps at each step. Young averages keep less,
            (1 + step) / (10 + step), so that the first weights are soon forgotten.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.weights: dict[str, Tensor] = {}
        self._trained: dict[str, Tensor] = {}
        self._n_steps = 0

    @property
    def state_key(self) -> str:
        """Its place in a checkpoint."""
        return "AverageWeights"

    def state_dict(self) -> dict[str, Any]:
        """The average, for a checkpoint."""
        return {"weights": self.weights, "n_steps": self._n_steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with an average."""
        self.weights, self._n_steps = dict(state_dict["weights"]), int(state_dict["n_steps"])

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *rest: Any
    ) -> None:
        """Move the average towards the new weights."""
        if not self.weights:
            self.weights = {k: v.detach().clone() for k, v in _weights_of(pl_module).items()}
        self._n_steps += 1
        decay = min(self.decay, (1 + self._n_steps) / (10 + self._n_steps))
        for name, weight in _weights_of(pl_module).items():
            average = self.weights[name] = self.weights[name].to(weight.device)
            average.lerp_(weight, 1.0 - decay)

    def on_validation_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Let the average be heard."""
        if self.weights:
            self._trained = {k: v.clone() for k, v in _weights_of(pl_module).items()}
            _set_weights(pl_module, self.weights)

    def on_validation_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Put back the weights that training goes on from."""
        if self._trained:
            _set_weights(pl_module, self._trained)
            self._trained = {}


def _weights_of(module: lightning.LightningModule) -> dict[str, Tensor]:
    return dict(module.named_parameters())


@torch.no_grad()
def _set_weights(module: lightning.LightningModule, weights: Mapping[str, Tensor]) -> None:
    for name, parameter in module.named_parameters():
        parameter.copy_(weights[name])
