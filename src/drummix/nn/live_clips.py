"""Clips of sessions that are rendered as they are needed: kit and performance in, no file written.

Which session a clip comes from follows from the seed, the epoch and the number of the clip, and
from nothing else: not from what was rendered before, nor from how many processes render. The
sessions of a pool live for a while and give way one after another, so that a process holds few at
a time and renders each once.

::

    batches      0    1    2    3    4 ...      pool = batch modulo pools
    pool 0       #         #         #          a clip: one of the pool's sessions, anywhere in it
    pool 1            #         #
    sessions of a pool:  |--a--|----b----|----c----|
                         |----d----|----e----|---   (each serves clips_per_session on average)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from drummix.corpus.kit import FloatArray, Kit
from drummix.corpus.manifest import CorpusItem, Target
from drummix.corpus.plan import CORPUS_RATE_HZ, PlannedItem, kit_label, plan_corpus
from drummix.corpus.recording import RecordingSession, licence_of, load_kit
from drummix.errors import CorpusError, TrainingError
from drummix.levels import db_to_gain, peak_dbfs
from drummix.mixers.architecture import WaveUNetConfig
from drummix.nn.clip_changes import UNCHANGED, ClipChange
from drummix.nn.clip_lengths import ClipLengths
from drummix.nn.config import ClipSettings
from drummix.nn.live_settings import LiveSettings
from drummix.pool import Shared

# The stream that chooses sessions, beside those of `clip_changes`.
_SESSION_STREAM = 4

# The widest 16-bit step that leaves room for both signs.
_FULL_SCALE = 32767


@dataclass(frozen=True, order=True)
class SessionPlace:
    """A session of training: its pool, its place there, and how many were there before it."""

    pool: int
    slot: int
    generation: int


class LiveKits:
    """Kits, loaded when first asked for; processes share those that were loaded before."""

    def __init__(self) -> None:
        self._loaded: dict[str, Shared[Kit]] = {}

    def __getitem__(self, name: str) -> Kit:
        if name not in self._loaded:
            self._loaded[name] = Shared(load_kit(name))
        return self._loaded[name].value


@dataclass(frozen=True, eq=False)
class HeldSession:
    """A session in memory, in 16 bits a sample of the peak of each track: -98 dB of it in error.

    Args:
        tracks: Microphones, then the two channels of the mix (10, N).
        steps: What one step of each track is (10, 1).
    """

    tracks: NDArray[np.int16]
    steps: FloatArray

    @classmethod
    def of(cls, stems: FloatArray, mix: FloatArray) -> HeldSession:
        """Hold stems (8, N) and a mix (2, N)."""
        tracks = np.empty((len(stems) + len(mix), stems.shape[1]), np.int16)
        steps = np.empty((len(tracks), 1), np.float32)
        # One by one: less memory at a time than all in one expression.
        for row, step, track in zip(tracks, steps, [*stems, *mix], strict=True):
            step[0] = max(float(track.max()), -float(track.min())) / _FULL_SCALE or 1.0
            row[:] = np.rint(track / step[0])
        return cls(tracks, steps)

    @property
    def n_samples(self) -> int:
        """Length in samples."""
        return self.tracks.shape[1]

    def stems(self, start: int, n_samples: int) -> FloatArray:
        """A stretch of the microphones; silence outside the session."""
        return self._cut(slice(None, -2), start, n_samples)

    def mix(self, start: int, n_samples: int) -> FloatArray:
        """A stretch of the mix; silence outside the session."""
        return self._cut(slice(-2, None), start, n_samples)

    def _cut(self, rows: slice, start: int, n_samples: int) -> FloatArray:
        steps = self.steps[rows]
        first, last = max(0, start), min(self.n_samples, start + n_samples)
        heard = np.zeros((len(steps), n_samples), np.float32)
        if first < last:
            held = self.tracks[rows, first:last]
            np.multiply(held, steps, out=heard[:, first - start : last - start], dtype=np.float32)
        return heard


class LiveSource(ClipLengths):
    """Sessions of one part, rendered when a clip is asked of them.

    Sessions for training are `SessionPlace`s, those for validation numbers of `items`.

    Args:
        live: What is rendered, and how much of it is held.
        part: ``train`` or ``validation``.
        target: Which mix is the target.
        config: Geometry of the network.
        settings: Length, disturbance and level of the clips.
        seed: Seed of the run.
        kits: Where kits are loaded, for sources that share them.

    Raises:
        CorpusError: If a kit or the dataset is missing.
    """

    def __init__(
        self,
        live: LiveSettings,
        part: str,
        *,
        target: Target,
        config: WaveUNetConfig,
        settings: ClipSettings,
        seed: int,
        kits: LiveKits | None = None,
    ) -> None:
        self.live, self.part = live, part
        self.target, self.config, self.settings = target, config, settings
        self._seed = seed
        self._corpus = live.corpus_settings(part)
        self._kits = LiveKits() if kits is None else kits
        self._kit_names = self._corpus.kits_of(part)
        self._planned = plan_corpus(self._corpus)
        self._held: dict[tuple[int, int], tuple[SessionPlace | int, HeldSession]] = {}
        self._clips: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}
        self._lengths: dict[int, int] = {}

    @cached_property
    def items(self) -> tuple[tuple[Path, CorpusItem], ...]:
        """What is there to draw from: performances, in training on every kit."""
        plans: Sequence[PlannedItem] = self._planned
        if self.part == "train":
            plans = [replace(plan, kit=kit) for plan in plans for kit in self._kit_names]
        return tuple((Path(), self._item(plan)) for plan in plans)

    @property
    def turns_of_session(self) -> int:
        """Batches of its pool for which a session stays."""
        clips_a_turn = self.settings.batch_size / self.live.sessions
        return max(1, round(self.live.clips_per_session / clips_a_turn))

    def pick(
        self, rng: np.random.Generator, *, epoch: int, number: int, n_clips: int
    ) -> tuple[SessionPlace, int]:
        """The session of a clip, and its length in samples."""
        batch = number // self.settings.batch_size
        n_batches = math.ceil(n_clips / self.settings.batch_size)
        turn = epoch * math.ceil(n_batches / self.live.pools) + batch // self.live.pools
        slot = int(rng.integers(self.live.sessions))
        # Sessions of a pool give way one after another, not all at once.
        turn += slot * self.turns_of_session // self.live.sessions
        place = SessionPlace(batch % self.live.pools, slot, turn // self.turns_of_session)
        return place, self._session(place).n_samples

    def n_samples_of(self, index: int) -> int:
        """Length of a validation session in samples."""
        if index not in self._lengths:
            self._lengths[index] = self._session(index).n_samples
        return self._lengths[index]

    def name_of(self, index: SessionPlace | int) -> str:
        """What a session plays, for a person."""
        return self._plan(index).name

    def clip(
        self, index: SessionPlace | int, start: int, change: ClipChange = UNCHANGED
    ) -> tuple[Tensor, Tensor]:
        """The clip of a session whose target starts at sample `start`.

        Args:
            index: The session.
            start: First sample of the target.
            change: What happens to the stems.

        Raises:
            TrainingError: If the session cannot be rendered.
        """
        if isinstance(index, SessionPlace):
            return self._cut(index, start, change)
        # Validation asks for the same clips after every epoch.
        if (index, start) not in self._clips:
            self._clips[index, start] = self._cut(index, start, change)
        return self._clips[index, start]

    def _cut(
        self, index: SessionPlace | int, start: int, change: ClipChange
    ) -> tuple[Tensor, Tensor]:
        session = self._session(index)
        first = start - self.config.context_frames - change.margin
        stems = session.stems(first, self.input_frames + 2 * change.margin)
        stems = change.apply(stems, CORPUS_RATE_HZ)
        mix = session.mix(start, self.output_frames)
        return torch.from_numpy(stems), torch.from_numpy(mix)

    def _session(self, index: SessionPlace | int) -> HeldSession:
        """A session that is held, or that takes the place of the one before it."""
        place = (index.pool, index.slot) if isinstance(index, SessionPlace) else (0, 0)
        there, session = self._held.get(place, (None, None))
        if session is None or there != index:
            self._held.pop(place, None)
            session = self._rendered(self._plan(index))
            self._held[place] = (index, session)
        return session

    def _rendered(self, plan: PlannedItem) -> HeldSession:
        try:
            recording = RecordingSession(self._corpus, self._kits[plan.kit])
            stems, mix = recording.mix_one(recording.record(plan), self.target)
        except CorpusError as error:
            raise TrainingError(f"session {plan.name} cannot be rendered: {error}") from None
        if self.settings.peak_normalised and mix.any():
            mix = mix * np.float32(db_to_gain(-peak_dbfs(mix)))
        return HeldSession.of(stems, mix)

    def _plan(self, index: SessionPlace | int) -> PlannedItem:
        if not isinstance(index, SessionPlace):
            return self._planned[index]
        key = (self._seed, index.pool, index.slot, index.generation, _SESSION_STREAM)
        rng = np.random.default_rng(key)
        # Long performances more often, so that a clip hears any second of any as likely.
        choice = int(np.searchsorted(self._ends, rng.random(), side="right"))
        kit = self._kit_names[int(rng.integers(len(self._kit_names)))]
        plan = self._planned[choice]
        name = f"{kit_label(kit)} {plan.material.performance}"
        return replace(plan, name=name, kit=kit, seed=int(rng.integers(2**48)))

    @cached_property
    def _ends(self) -> NDArray[np.float64]:
        lengths = np.array([plan.material.duration_s for plan in self._planned])
        return np.cumsum(lengths) / lengths.sum()

    def _item(self, plan: PlannedItem) -> CorpusItem:
        material = plan.material
        return CorpusItem(
            item=plan.name,
            part=material.part,
            kit=kit_label(plan.kit),
            performance=material.performance,
            style=material.style,
            seed=plan.seed,
            engineer=self.live.engineer,
            licence=licence_of(self._kits[plan.kit], plan),
            rate_hz=CORPUS_RATE_HZ,
            n_samples=round(material.duration_s * CORPUS_RATE_HZ),
            extension="",
            stem_peak_dbfs=0.0,
            dry_peak_dbfs=0.0,
            wet_peak_dbfs=0.0,
            sha256="",
        )
