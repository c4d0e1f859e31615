"""Mixing with a trained Wave-U-Net on the CPU; no torch.

Source: Martinez Ramirez, Stoller and Moffat, JAES 69(3), 2021. Where we differ: segments join to
the result of one long pass (theirs is offered too), and every microphone is first brought to the
level that the network was trained at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from drummix.audio import resampled_length
from drummix.gain_staging import StagedStem
from drummix.levels import db_to_gain
from drummix.mixers.base import FloatArray, MixPlan, Progress, mixed_blocks, stage_session
from drummix.mixers.compute import Compute, Resources, resolve_compute
from drummix.mixers.first_sound import run_from_first_sound
from drummix.mixers.native import load_network
from drummix.mixers.rate import exactly, resample_blocks
from drummix.mixers.segments import paper_segments, run_segments
from drummix.mixers.slots import Routing, route_stems
from drummix.mixers.streaming import ahead
from drummix.mixers.weights import Model
from drummix.notices import Code, Notice
from drummix.session import Session

if TYPE_CHECKING:
    from drummix.mixers.native.network import NativeNetwork


_ROUNDING = np.float32(2.0**-25)
"""Half of a step of single precision just below full scale, -150 dBFS."""


class WaveUNetMixer:
    """The Wave-U-Net of the paper with given weights.

    Args:
        name: Name of the system.
        model: The network's sizes and weights.
        as_recorded: Whether the stems reach the network at the levels they were recorded at.
        paper_segments: Whether to cut the session as the paper does.
        compute: Threads and memory that it may use.
    """

    def __init__(
        self,
        name: str,
        model: Model,
        *,
        as_recorded: bool = False,
        paper_segments: bool = False,
        compute: Compute | None = None,
    ) -> None:
        self.name = name
        self._model = model
        self._as_recorded = as_recorded
        self._paper_segments = paper_segments
        self._compute = Compute() if compute is None else compute

    def plan(self, session: Session, *, progress: Progress | None = None) -> MixPlan:
        """Route the stems, set their levels, and get ready to run the network."""
        resources = self._resources  # what cannot be had is said before a long session is read
        routing = route_stems(session.stems, self._model.roles)
        staged: tuple[StagedStem, ...] = ()
        if self._model.input_levels == "staged" and not self._as_recorded:
            staged = stage_session(session, progress, threads=resources.threads)
        matrix = input_matrix(routing, staged)
        return MixPlan(
            system=self.name,
            session=session,
            settings=self._settings(routing, staged),
            notices=(
                *routing.notices(),
                *self._notices(session, staged),
            ),
            make_blocks=lambda: self._blocks(session, matrix),
        )

    @cached_property
    def _resources(self) -> Resources:
        return resolve_compute(self._compute, self._model.config)

    @cached_property
    def _network(self) -> NativeNetwork:
        # Kept: a mixer serves many sessions, one after the other.
        return load_network(self._model, self._resources)

    def _settings(self, routing: Routing, staged: tuple[StagedStem, ...]) -> dict[str, Any]:
        model = self._model
        return {
            "model": {
                "name": model.name,
                "target": model.target,
                "sha256": model.sha256,
                "rate_hz": model.rate_hz,
                "architecture": model.config.to_mapping(),
            },
            **self._resources.to_dict(),
            "segments": "paper" if self._paper_segments else "even",
            "gain_staging": [stem.to_mapping() for stem in staged],
            **routing.to_mapping(),
        }

    def _notices(self, session: Session, staged: tuple[StagedStem, ...]) -> Iterator[Notice]:
        if session.rate_hz != self._model.rate_hz:
            yield Notice.of(
                Code.MIXED_AT_OTHER_RATE,
                "network",
                rate_hz=self._model.rate_hz,
                session_rate_hz=session.rate_hz,
            )
        for stem in staged:
            if round(stem.gain_db, 1):
                gain_db = round(stem.gain_db, 3)
                yield Notice.of(Code.LEVEL_SET, stem.role, gain_db=gain_db, reason="network")
        for stem in staged:
            if stem.is_bleed:
                yield Notice.of(Code.ONLY_BLEED, stem.role)

    def _blocks(self, session: Session, matrix: FloatArray) -> Iterator[FloatArray]:
        config, rate_hz = self._model.config, self._model.rate_hz
        n_frames = resampled_length(session.n_samples, session.rate_hz, rate_hz)
        inputs = resample_blocks(
            mixed_blocks(session, matrix, threads=self._resources.threads),
            n_samples=session.n_samples,
            from_hz=session.rate_hz,
            to_hz=rate_hz,
        )
        # Reading and resampling take one core each where the network has others.
        threads = self._resources.threads
        inputs = ahead(inputs, threads=threads)
        if self._paper_segments:
            segments = paper_segments(config, n_frames)
            mix = run_segments(segments, inputs, config, self._network)
        else:
            mix = run_from_first_sound(
                self._network.stream,
                inputs,
                n_frames,
                n_inputs=config.n_inputs,
                step=config.decimation,
            )
        mix = ahead(_over_silence(mix, self._network.answer_to_silence), threads=threads)
        back = resample_blocks(mix, n_samples=n_frames, from_hz=rate_hz, to_hz=session.rate_hz)
        return exactly(session.n_samples, back)


def _over_silence(mix: Iterator[FloatArray], answer: FloatArray) -> Iterator[FloatArray]:
    """The mix without what the network gives for silence, so that silence stays silent.

    A network is trained to be near to its targets, and so is its answer to silence, a constant.
    """
    for block in mix:
        over = block - answer
        over[np.abs(over) < _ROUNDING] = 0.0
        yield over


def input_matrix(routing: Routing, staged: Sequence[StagedStem]) -> FloatArray:
    """Gains (inputs, stems) from a session to the network: routing, and levels where staged."""
    gains_db = [stem.gain_db for stem in staged] or [0.0] * routing.matrix.shape[1]
    return routing.matrix * np.array(db_to_gain(np.array(gains_db)), np.float32)
