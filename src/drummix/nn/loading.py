"""Batches for training and validation, shared out among the processes of a run.

The clips of a step are the same however many processes there are: clip n of an epoch goes to
process n modulo their number, so none is heard twice and the mean over processes is the mean over
the step.
"""

from __future__ import annotations

import copy
import ctypes
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from drummix.errors import TrainingError
from drummix.nn.clips import FixedClips, RandomClips, Source
from drummix.nn.config import TrainSettings
from drummix.pool import context, processes

# Options of glibc's mallopt, from malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3

Batch = tuple[Tensor, Tensor, Tensor]
"""Stems (batch, 8, input frames), mixes (batch, 2, output frames), numbers of the clips."""

NO_NUMBERS = "with samples that are no numbers)"
"""End of the description of a clip that is broken."""

Sources = Mapping[str, Source]
"""Part -> the items it draws from."""


def share_of(n_clips: int, *, process: int, n_processes: int) -> range:
    """Numbers of the clips of an epoch that one process trains on.

    >>> share_of(7, process=1, n_processes=3)
    range(1, 7, 3)
    """
    return range(process, n_clips, n_processes)


class NumberedClips(Dataset[Any]):
    """Clips with their numbers, so that what went wrong can be traced to an item.

    Args:
        clips: The clips.
    """

    def __init__(self, clips: Dataset[tuple[Tensor, Tensor]]) -> None:
        self.clips = clips

    def __len__(self) -> int:
        return len(self.clips)  # type: ignore[arg-type]

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor, int]:
        stems, mix = self.clips[number]
        return stems, mix, number

    def describe(self, number: int) -> str:
        """Name of the item a clip comes from, and what of it is no number, if anything."""
        clips, heard = self.clips, _Listening(getattr(self.clips, "source", None))
        if heard.source is not None:
            clips = copy.copy(clips)
            clips.source = heard  # type: ignore[attr-defined]
        stems, mix = clips[number]
        name = ", ".join(heard.names) or f"clip {number}"
        broken = [
            what
            for what, samples in (("stems", stems), ("mix", mix))
            if not bool(torch.isfinite(samples).all())
        ]
        if broken:
            return f"{name} ({' and '.join(broken)} {NO_NUMBERS}"
        return name


class _Listening:
    """A source of clips that notes which items are asked for."""

    def __init__(self, source: Any) -> None:
        self.source = source
        self.names: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.source, name)

    def clip(self, index: Any, *rest: Any, **named: Any) -> Any:
        self.names.append(self.source.name_of(index))
        return self.source.clip(index, *rest, **named)


def start_worker(worker: int) -> None:
    """Prepare a process that makes clips: it ends with its parent, and keeps what memory it frees.

    Clips are made of arrays of megabytes that live for milliseconds. The C library of Linux gives
    such memory back at once, and the kernel clears every page of it again for the next one, which
    takes as long as making the clip.
    """
    processes.start()
    try:
        library = ctypes.CDLL(None)
        for option, n_bytes in ((_M_MMAP_THRESHOLD, 32 << 20), (_M_TRIM_THRESHOLD, 256 << 20)):
            library.mallopt(option, n_bytes)
    except (OSError, AttributeError, TypeError):
        pass  # Another C library: it does as it does.


class EpochShare:
    """Numbers of the clips that one process trains on, epoch after epoch.

    Clips are numbered on from epoch to epoch, so that the processes that make them last from one
    to the next, with what they hold in memory.

    Args:
        n_clips: Clips of an epoch.
        process: Which process.
        n_processes: How many share each step.

    Attributes:
        epoch: The epoch whose numbers come next.
    """

    def __init__(self, n_clips: int, *, process: int, n_processes: int) -> None:
        self.n_clips, self.epoch = n_clips, 0
        self._share = share_of(n_clips, process=process, n_processes=n_processes)

    def __len__(self) -> int:
        return len(self._share)

    def __iter__(self) -> Iterator[int]:
        first = self.epoch * self.n_clips
        return (first + number for number in self._share)


class ClipLoader(DataLoader[Batch]):
    """The loader of torch, that says in one line that one of its processes was ended."""

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        batches = super().__iter__()
        while True:
            try:
                batch = next(batches)
            except StopIteration:
                return
            except (RuntimeError, OSError, EOFError) as error:
                # What is wrong with a clip was caught in the process that made it.
                if str(error).startswith("Caught ") or not self.num_workers:
                    raise
                raise TrainingError(
                    "a process that makes clips was ended from outside (out of memory?); give "
                    "fewer clips.workers, and run the same command again: it goes on from there"
                ) from error
            yield batch


class ClipLoading(lightning.LightningDataModule):
    """Clips for both loaders; each epoch draws its own, so that a resumed run sees the same.

    Args:
        settings: The run's settings.
        sources: Part -> its items: ``train`` and ``validation``.
    """

    def __init__(self, settings: TrainSettings, sources: Sources) -> None:
        super().__init__()
        self.settings, self.sources = settings, sources
        self._loaders: dict[str, tuple[EpochShare, ClipLoader]] = {}

    def train_dataloader(self) -> ClipLoader:
        """This process's share of the clips of the epoch at hand."""
        assert self.trainer is not None
        n_clips = self.settings.epoch_steps * self.settings.clips.batch_size
        source, seed = self.sources["train"], self.settings.seed
        clips = RandomClips(source, n_clips=n_clips, seed=seed, epoch=0)
        return self._loader("train", clips, self.trainer.current_epoch)

    def val_dataloader(self) -> ClipLoader:
        """This process's share of the validation clips."""
        return self._loader("validation", FixedClips(self.sources["validation"]), 0)

    def close(self) -> None:
        """End the processes of both loaders, which would last as long as something names them."""
        for _, loader in self._loaders.values():
            # As Lightning does it where a stage ends well.
            end: Callable[[], None] | None = getattr(loader._iterator, "_shutdown_workers", None)
            if end is not None:
                end()
        self._loaders.clear()

    def _loader(self, part: str, clips: Dataset[tuple[Tensor, Tensor]], epoch: int) -> ClipLoader:
        """The loader of a part, made once: its processes last until the stage ends."""
        trainer, settings = self.trainer, self.settings.clips
        assert trainer is not None
        if part not in self._loaders:
            numbered = NumberedClips(clips)
            share = EpochShare(
                len(numbered), process=trainer.global_rank, n_processes=trainer.world_size
            )
            loader = ClipLoader(
                numbered,
                sampler=share,
                batch_size=settings.batch_size // trainer.world_size,
                num_workers=settings.workers,
                multiprocessing_context=context if settings.workers else None,
                pin_memory=torch.cuda.is_available(),
                prefetch_factor=4 if settings.workers else None,
                persistent_workers=settings.workers > 0,
                worker_init_fn=start_worker if settings.workers else None,
            )
            self._loaders[part] = (share, loader)
        share, loader = self._loaders[part]
        share.epoch = epoch
        return loader
