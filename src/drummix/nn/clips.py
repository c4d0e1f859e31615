"""Training examples: stretches of a corpus's sessions with the matching stretch of their mix.

A clip is stems (8, input frames) and the target mix (2, output frames) of the centre; context
before the start or after the end of an item is silence, as it is when a whole session is mixed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from drummix.audio.excerpt import read_excerpt, read_mono_excerpts
from drummix.corpus.items import SessionItem
from drummix.corpus.manifest import Target
from drummix.corpus.opening import open_corpus
from drummix.errors import AudioFileError, CorpusError, TrainingError
from drummix.levels import db_to_gain
from drummix.mixers.architecture import WaveUNetConfig
from drummix.nn.clip_changes import UNCHANGED, ClipChange, draw_change
from drummix.nn.clip_lengths import ItemClips
from drummix.nn.config import ClipSettings
from drummix.notices import OnNotice
from drummix.roles import PAPER_ROLES


class Source(Protocol):
    """Where clips come from: files of a corpus, sessions rendered as needed, a producer's own."""

    @property
    def items(self) -> Sequence[Any]:
        """All there is to draw from."""

    @property
    def settings(self) -> ClipSettings:
        """Length, disturbance and level of the clips."""

    @property
    def input_frames(self) -> int:
        """Length of the stems of a clip."""

    @property
    def output_frames(self) -> int:
        """Length of the target of a clip."""

    def pick(
        self, rng: np.random.Generator, *, epoch: int, number: int, n_clips: int
    ) -> tuple[Any, int]:
        """What clip `number` of an epoch is cut from, for `clip`, and its length in samples."""

    def n_samples_of(self, index: int) -> int:
        """Length of an item in samples."""

    def name_of(self, index: Any) -> str:
        """What a clip is cut from, for a person."""

    def clip(self, index: Any, start: int, change: ClipChange = UNCHANGED) -> tuple[Tensor, Tensor]:
        """A clip whose target starts at sample `start`."""


@dataclass(frozen=True)
class ClipSource(ItemClips):
    """Items of one part of one or more corpora, and how clips are cut from them.

    Args:
        items: (corpus folder, item) pairs.
        target: Which mix is the target.
        config: Geometry of the network.
        settings: Length, disturbance and level of the clips.
        level_gains_db: Name of an item -> the gain of each of its stems, in dB, that brings the
            item to the levels of its roles; items that are not named stay as they are recorded.
    """

    items: tuple[tuple[Path, SessionItem], ...]
    target: Target
    config: WaveUNetConfig
    settings: ClipSettings
    level_gains_db: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @classmethod
    def from_corpora(
        cls,
        corpora: Sequence[str],
        part: str,
        *,
        target: Target,
        config: WaveUNetConfig,
        settings: ClipSettings,
        rate_hz: int,
        on_notice: OnNotice | None = None,
    ) -> ClipSource:
        """Collect the items of `part`.

        Args:
            corpora: What `drummix.corpus.opening.open_corpus` opens.
            part: Which part of each.
            target: Which mix is the target.
            config: Geometry of the network.
            settings: Length, disturbance and level of the clips.
            rate_hz: Sample rate in Hz that the items must have.
            on_notice: Called with sessions that are left out because they are broken on disk.

        Raises:
            CorpusError: If a corpus is missing, has no such part, or is at another rate.
        """
        items: list[tuple[Path, SessionItem]] = []
        for corpus in map(open_corpus, corpora):
            for item in corpus.part(part):
                if item.rate_hz != rate_hz:
                    raise CorpusError(
                        f"{corpus.name}: {item.item} is at {item.rate_hz} Hz; "
                        f"training needs {rate_hz}"
                    )
                if settings.peak_normalised:
                    # ENST-Drums' peaks are found by reading; here once, not in every process.
                    _peak_dbfs(item, target)
                items.append((corpus.folder, item))
            if on_notice is not None:
                for notice in corpus.notices(part):
                    on_notice(notice)
        return cls(tuple(items), target, config, settings)

    def n_samples_of(self, index: int) -> int:
        """Length of an item in samples."""
        return self.items[index][1].n_samples

    def name_of(self, index: int) -> str:
        """Name of an item."""
        return self.items[index][1].item

    def clip(self, index: int, start: int, change: ClipChange = UNCHANGED) -> tuple[Tensor, Tensor]:
        """The clip of item `index` whose target starts at sample `start`.

        Args:
            index: Number of the item.
            start: First sample of the target.
            change: What happens to the stems.

        Raises:
            TrainingError: If a file of the item is missing or damaged.
        """
        corpus, item = self.items[index]
        paths = [item.stem_path(corpus, role) for role in PAPER_ROLES]
        first = start - self.config.context_frames - change.margin
        try:
            stems = read_mono_excerpts(paths, first, self.input_frames + 2 * change.margin)
            mix = read_excerpt(item.mix_path(corpus, self.target), start, self.output_frames)
        except AudioFileError as error:
            raise TrainingError(f"item {item.item} of {corpus} is broken: {error}") from None
        if mix.shape[0] != self.config.n_outputs:
            raise TrainingError(
                f"item {item.item} of {corpus} is broken: expected mono stems and a stereo mix"
            )
        stems = change.apply(stems, item.rate_hz, self.level_gains_db.get(item.item))
        if self.settings.peak_normalised:
            mix = mix * np.float32(db_to_gain(-_peak_dbfs(item, self.target)))
        return torch.from_numpy(stems), torch.from_numpy(mix)


def _peak_dbfs(item: SessionItem, target: Target) -> float:
    return item.dry_peak_dbfs if target == "dry" else item.wet_peak_dbfs


class RandomClips(Dataset[tuple[Tensor, Tensor]]):
    """Random clips of one epoch, longer items more often; the same for the same seed and epoch.

    Args:
        source: Where clips come from.
        n_clips: Clips in the epoch.
        seed: Seed of the run.
        epoch: Number of the epoch; each has clips of its own.
    """

    def __init__(self, source: Source, *, n_clips: int, seed: int, epoch: int) -> None:
        self.source, self.n_clips = source, n_clips
        self._seed, self._epoch = seed, epoch

    def __len__(self) -> int:
        return self.n_clips

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        """Clip `number` of the epoch; numbers past its end are clips of the epochs that follow."""
        epochs, number = divmod(number, self.n_clips)
        seed = (self._seed, self._epoch + epochs, number)
        rng = np.random.default_rng(seed)
        index, n_samples = self.source.pick(
            rng, epoch=self._epoch + epochs, number=number, n_clips=self.n_clips
        )
        # A third of a clip may hang over either end, so that starts and ends are learnt too.
        overhang = self.source.output_frames // 3
        start = int(rng.integers(-overhang, max(1, n_samples - 2 * overhang)))
        settings = self.source.settings
        silent = rng.random(len(PAPER_ROLES)) < settings.stem_dropout
        return self.source.clip(index, start, draw_change(settings, silent.tolist(), seed))


class FixedClips(Dataset[tuple[Tensor, Tensor]]):
    """The same clips every time, spread evenly over every item: validation.

    Args:
        source: Where clips come from.
    """

    def __init__(self, source: Source) -> None:
        self.source = source

    def __len__(self) -> int:
        return len(self.source.items) * self.source.settings.validation_clips

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        n_clips = self.source.settings.validation_clips
        index, turn = divmod(number, n_clips)
        last = max(0, self.source.n_samples_of(index) - self.source.output_frames)
        start = int(np.linspace(0, last, n_clips)[turn])
        return self.source.clip(index, start)
