"""From a session and its mix to a file of frames: what a network hears, and what it should give.

The stems go the way that they go when the session is mixed: gain staging where the model was
trained with it, routing to the network's inputs, resampling to its rate. The mix keeps its level.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from drummix.audio import resampled_length
from drummix.errors import OutputError, SessionError
from drummix.finetuning.pairs import Pair
from drummix.gain_staging import StagedStem
from drummix.matching.examining import Examined, examine
from drummix.mixers.base import FloatArray
from drummix.mixers.rate import resample_blocks
from drummix.mixers.slots import Routing, route_stems
from drummix.mixers.waveunet import input_matrix
from drummix.mixers.weights import Model
from drummix.notices import Code, Notice
from drummix.session.gathering import Roles

MAX_TAPS = 64
"""Longest filter tried to find out whether a mix belongs: enough to tell, and quick."""

DOUBTFUL_SHARE = 0.8
"""Filters explain more than this of nearly every mix of the very stems (see docs/finetune.md)."""

_EDGE_S = 0.02
"""What resampling smears over where the mix begins and ends."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """A session on disk, ready for training.

    Args:
        name: The session's name.
        path: Its frames, at the model's rate: inputs, then left and right of the mix.
        start: First frame at which the mix is known.
        stop: The frame after the last.
        rate_hz: The model's rate.
        n_inputs: Inputs in each frame.
        sha256: Checksum of the frames.
        facts: What was found, plain data for the card.
        notices: What a person should know.
    """

    name: str
    path: Path
    start: int
    stop: int
    rate_hz: int
    n_inputs: int
    sha256: str
    facts: dict[str, Any]
    notices: tuple[Notice, ...]

    @property
    def duration_s(self) -> float:
        """How much of the session can be learned from, in seconds."""
        return (self.stop - self.start) / self.rate_hz


def prepare(pair: Pair, model: Model, path: Path, roles: Roles | None = None) -> Prepared:
    """Check that a mix belongs to its session, and write down what the network needs of both.

    Args:
        pair: The session and its mix.
        model: The network that will go on.
        path: File to write.
        roles: Role -> file name, for files whose name does not tell.

    Raises:
        SessionError: If the mix is not one of these stems, or no stem has an input.
        DrummixError: If a file is wrong, or the disk is full.
    """
    found = examine(pair.folder, pair.mix, roles=pair.roles(roles), max_taps=MAX_TAPS)
    session = found.example.session
    routing = route_stems(session.stems, model.roles)
    if not routing.routes:
        raise SessionError(f"{session.name} holds no microphone that {model.name} has an input for")
    staged = found.staged if model.input_levels == "staged" else ()
    from_hz, to_hz = session.rate_hz, model.rate_hz
    blocks = _frames(found, routing, staged, model)
    n_all = _last(found, model)
    sha256 = _write(path, resample_blocks(blocks, n_samples=n_all, from_hz=from_hz, to_hz=to_hz))
    edge = round(_EDGE_S * to_hz) if from_hz != to_hz else 0
    start, stop = (resampled_length(at, from_hz, to_hz) for at in found.part)
    # The very beginning and end are silence in both, which leaves nothing to smear.
    start += edge if found.part[0] else 0
    stop -= edge if found.part[1] < session.n_samples else 0
    own_mix = Notice.of(Code.FILE_IGNORED, pair.mix.name)
    return Prepared(
        name=pair.name,
        path=path,
        start=start,
        stop=min(stop, resampled_length(n_all, from_hz, to_hz)),
        rate_hz=to_hz,
        n_inputs=model.config.n_inputs,
        sha256=sha256,
        facts=_facts(pair, found, routing),
        notices=(
            *(notice for notice in session.notices if notice != own_mix),
            *routing.notices(),
            *_notices(found),
        ),
    )


def _last(found: Examined, model: Model) -> int:
    """Sample of the stems after the last that anything learned from them hears."""
    session = found.example.session
    n_after = -(-model.config.context_frames * session.rate_hz // model.rate_hz)
    return min(found.part[1] + n_after, session.n_samples)


def _frames(
    found: Examined, routing: Routing, staged: tuple[StagedStem, ...], model: Model
) -> Iterator[FloatArray]:
    matrix = input_matrix(routing, staged)
    start, stop = found.part
    n_after = _last(found, model) - stop
    for _, stems, mix in found.example.pairs(start, stop, n_after=n_after):
        yield np.concatenate([matrix @ stems, mix]).astype(np.float32)


def _write(path: Path, blocks: Iterator[FloatArray]) -> str:
    checksum = hashlib.sha256()
    try:
        with path.open("wb") as file:
            for block in blocks:
                stored = np.ascontiguousarray(block.T, dtype=np.float32).tobytes()
                checksum.update(stored)
                file.write(stored)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror or error} (fine-tuning keeps 40 bytes a "
            "sample of each session there); free space, or choose another place"
        ) from error
    return checksum.hexdigest()


def _facts(pair: Pair, found: Examined, routing: Routing) -> dict[str, Any]:
    rate_hz, (start, stop) = found.example.session.rate_hz, found.part
    return {
        "session": pair.name,
        "mix": pair.mix.name,
        "rate_hz": rate_hz,
        "mix_rate_hz": found.example.mix.rate_hz,
        "mix_channels": found.example.mix.n_channels,
        "offset_samples": found.example.offset,
        "from_s": round(start / rate_hz, 3),
        "to_s": round(stop / rate_hz, 3),
        "explained_share": round(1.0 - found.learned.held_out_residual, 4),
        "static_si_sdr_db": round(found.learned.static.si_sdr_db, 2),
        "microphones": {
            route.input.value: route.stem.role.value
            for route in reversed(routing.routes)  # An input's first is the one that leads it.
        },
    }


def _notices(found: Examined) -> Iterator[Notice]:
    mix = found.example.mix
    yield from found.notices("finetune")
    explained = 1.0 - found.learned.held_out_residual
    if explained < DOUBTFUL_SHARE:
        shares = {"explained_share": round(explained, 4), "usual_share": DOUBTFUL_SHARE}
        yield Notice(Code.MIX_DOUBTFUL, mix.name, shares)
    if found.is_clipped:
        n_samples = found.facts.n_clipped
        yield Notice.of(Code.MIX_CLIPPED, mix.name, n_samples=n_samples, treatment="learned")
