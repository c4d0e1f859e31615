"""One stage of training as Lightning runs it: the step, the validation, the optimiser."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import lightning
import torch
from torch import Tensor

from drummix.errors import TrainingError
from drummix.nn.config import StageSettings
from drummix.nn.loading import NO_NUMBERS, Batch, NumberedClips
from drummix.nn.losses import MixLoss
from drummix.nn.wave_unet import WaveUNet


class LossError(TrainingError):
    """The loss stopped being a number.

    Args:
        text: The message.
        step: After how many steps.
    """

    def __init__(self, text: str, step: int) -> None:
        super().__init__(text)
        self.step = step


_WARM_UP_STEPS = 50
_LAST_SHARE = 0.01
AUDIBLE_POWER = 1e-9


class MixTraining(lightning.LightningModule):
    """The network with its loss and optimiser for one stage.

    Args:
        network: What is trained.
        stage: Learning rate and its decay.
        n_steps: Steps of the whole stage, for the decay.
        loss: What is made small; mean absolute error if not given.

    Attributes:
        time_share: How much of the stage's time is gone, 0.0 to 1.0, for a decay by the clock.
    """

    def __init__(
        self,
        network: WaveUNet,
        stage: StageSettings,
        *,
        n_steps: int,
        loss: MixLoss | None = None,
    ) -> None:
        super().__init__()
        self.network, self.stage, self.n_steps = network, stage, n_steps
        self.loss = loss if loss is not None else MixLoss()
        self.time_share = 0.0
        self._unchecked: tuple[Tensor, int, Tensor] | None = None
        self._sums: dict[str, Tensor] = {}

    def forward(self, stems: Tensor) -> Tensor:
        """Mix a batch."""
        mix: Tensor = self.network(stems)
        return mix

    def training_step(self, batch: Batch, batch_index: int) -> Mapping[str, Tensor]:
        """The loss of the unlimited output, with its parts."""
        stems, mix, numbers = batch
        # A step late: looking at a loss at once would keep a GPU waiting at every step. Nothing
        # is saved between, because an epoch ends with a check.
        self.check_last_loss()
        parts = self.loss(self(stems), mix)
        self._unchecked = (parts["loss"].detach(), self.global_step, numbers)
        return parts

    def check_last_loss(self) -> None:
        """Stop if the last step's loss is not a number, in any process.

        Raises:
            TrainingError: With the step, the epoch and the items of the batch.
        """
        if self._unchecked is None:
            return
        loss, step, numbers = self._unchecked
        self._unchecked = None
        is_broken = (~torch.isfinite(loss)).to(torch.float32)
        if self._n_processes > 1:
            torch.distributed.all_reduce(is_broken, op=torch.distributed.ReduceOp.MAX)
        if not bool(is_broken):
            return
        items = [""] * self._n_processes
        mine = "" if bool(torch.isfinite(loss)) else self._described(numbers)
        if self._n_processes > 1:
            torch.distributed.all_gather_object(items, mine)
        else:
            items = [mine]
        raise LossError(
            f"the loss is no longer a number at step {step} of epoch {self._epoch}, with "
            f"{', '.join(name for name in items if name)} in the batch; the checkpoints of the "
            "epoch before are kept: mend or leave out an item that is broken, or lower the "
            "learning rate or set gradient_clip in another output folder",
            step,
        )

    def on_validation_epoch_start(self) -> None:
        """Check the epoch's last step before anything is saved; start new sums."""
        self.check_last_loss()
        self._sums = {}

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Loss and SI-SDR of the output limited to full scale, as in use."""
        stems, mix, _ = batch
        estimate = self(stems).float().clamp(-1.0, 1.0)
        parts = {f"validation_{name}": part for name, part in self.loss(estimate, mix).items()}
        for name, value in parts.items():
            self._add(name, value * len(mix), len(mix))
        audible = mix.square().mean(dim=(1, 2)) > AUDIBLE_POWER
        # Sums over no clip are zeros: nothing waits for the count.
        ratios = batch_si_sdr_db(estimate, mix)[audible]
        self._add("validation_si_sdr_db", ratios.sum(), audible.sum())

    def on_validation_epoch_end(self) -> None:
        """The means over every clip of every process."""
        for name, total in self._sums.items():
            if self._n_processes > 1:
                torch.distributed.all_reduce(total)
            self.log(name, total[0] / total[1])
        total, count = self._sums["validation_loss"].tolist()
        if not math.isfinite(total / count):
            raise LossError(self._why_validation_broke(), self.global_step)

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
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, self.share_of_rate)
        return {
            "optimizer": optimiser,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def share_of_rate(self, step: int) -> float:
        """Share of the learning rate at a step: fifty steps up, then half a cosine down."""
        warm_up = min(1.0, (step + 1) / _WARM_UP_STEPS)
        done = min(1.0, max(step / max(1, self.n_steps), self.time_share))
        cosine = 0.5 * (1.0 + math.cos(math.pi * done))
        return warm_up * (_LAST_SHARE + (1.0 - _LAST_SHARE) * cosine)

    @property
    def _n_processes(self) -> int:
        return 1 if self._trainer is None else self.trainer.world_size

    @property
    def _epoch(self) -> int:
        return 1 + (0 if self._trainer is None else self.current_epoch)

    def _why_validation_broke(self) -> str:
        clips = getattr(self.trainer.val_dataloaders, "dataset", None)
        names = list(dict.fromkeys(map(clips.describe, range(len(clips))))) if clips else []
        broken = [name for name in names if name.endswith(NO_NUMBERS)]
        return (
            f"the validation loss is not a number after step {self.global_step} of epoch "
            f"{self._epoch}; the checkpoints of the epoch before are kept: "
            + (f"mend or leave out {', '.join(broken)}" if broken else "lower the learning rate")
        )

    def _described(self, numbers: Tensor) -> str:
        """The items of a batch, those with broken samples alone where there are any."""
        loader = None if self._trainer is None else self.trainer.train_dataloader
        clips = getattr(loader, "dataset", None)
        if not isinstance(clips, NumberedClips):
            return f"clips {numbers.tolist()}"
        names = list(dict.fromkeys(clips.describe(number) for number in numbers.tolist()))
        return ", ".join([name for name in names if name.endswith(NO_NUMBERS)] or names)

    def _add(self, name: str, value: Tensor, count: Tensor | int) -> None:
        total = torch.stack([value, torch.as_tensor(count, dtype=value.dtype, device=value.device)])
        self._sums[name] = self._sums[name] + total if name in self._sums else total


def batch_si_sdr_db(estimate: Tensor, target: Tensor) -> Tensor:
    """Scale-invariant SDR in dB of each clip (batch, channels, frames), channels joint."""
    estimate, target = estimate.flatten(1), target.flatten(1)
    scale = (estimate * target).sum(1, keepdim=True) / target.square().sum(1, keepdim=True)
    error = estimate - scale * target
    return 10.0 * torch.log10(
        (scale * target).square().sum(1) / error.square().sum(1).clamp_min(1e-20)
    )
