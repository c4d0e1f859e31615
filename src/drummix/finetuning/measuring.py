"""How close a model's mixes come to a producer's own, on stretches that were held out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drummix.effects.reverse import si_sdr_of_products
from drummix.evaluation.metrics import level_matched, mr_stft_distance
from drummix.mixers.base import FloatArray
from drummix.mixers.native import load_network
from drummix.mixers.native.network import NativeNetwork
from drummix.mixers.segments import even_segments
from drummix.mixers.weights import Model
from drummix.nn.session_clips import Stretch

PIECE_S = 30.0
"""Longer stretches are measured in pieces, so that memory does not grow with them."""

_LEVEL_S = 60.0
_HOP_FRAMES = 1 << 17


@dataclass(frozen=True)
class Closeness:
    """How close mixes are to what they should be, as `drummix evaluate` measures it.

    Args:
        si_sdr_db: SI-SDR in dB, channels sharing one scale; the mean over stretches by length.
        mr_stft: Multi-resolution STFT distance at equal loudness; the mean over pieces of up to
            30 s by length.
    """

    si_sdr_db: float
    mr_stft: float

    def to_mapping(self) -> dict[str, float]:
        """Plain data."""
        return {"si_sdr_db": round(self.si_sdr_db, 2), "mr_stft": round(self.mr_stft, 3)}


def closeness(model: Model, stretches: Sequence[Stretch]) -> Closeness:
    """Mix stretches with a model, as `drummix mix` does, and compare.

    Args:
        model: The network.
        stretches: Stems and the mixes they should become.
    """
    network = load_network(model)
    total_s = sum(stretch.duration_s for stretch in stretches)
    si_sdr_db = mr_stft = 0.0
    for stretch in stretches:
        products = np.zeros(3)
        for first, n_frames in _pieces(stretch):
            made = _mixed(model, network, stretch, first, n_frames)
            wanted = stretch.mix(first, n_frames)
            products += _products(made, wanted)
            distance = mr_stft_distance(level_matched(made, wanted, stretch.rate_hz), wanted)
            mr_stft += distance * n_frames / stretch.rate_hz / total_s
        si_sdr_db += si_sdr_of_products(*products.tolist()) * stretch.duration_s / total_s
    return Closeness(si_sdr_db, mr_stft)


def gain_towards(model: Model, stretches: Sequence[Stretch]) -> tuple[float, float]:
    """The one gain that brings a model's mixes nearest to what they should be.

    Args:
        model: The network.
        stretches: Stems and the mixes they should become; of a minute, spread over all, is heard.

    Returns:
        The gain, linear, negative where the mixes are of the other polarity; and the correlation of
        both, -1.0 to 1.0; 0.0 for silence.
    """
    network, products = load_network(model), np.zeros(3)
    hop = _HOP_FRAMES
    places = [
        (stretch, first)
        for stretch in stretches
        for first in range(0, max(1, stretch.n_samples - hop), hop)
    ]
    n_heard = max(1, round(_LEVEL_S * stretches[0].rate_hz / hop))
    for number in sorted({*np.linspace(0, len(places) - 1, n_heard).round().astype(int).tolist()}):
        stretch, first = places[number]
        n_frames = min(hop, stretch.n_samples - first)
        made = _mixed(model, network, stretch, first, n_frames)
        products += _products(made, stretch.mix(first, n_frames))
    made_energy, crossed, wanted_energy = products.tolist()
    if min(made_energy, wanted_energy) <= 0.0:
        return 1.0, 0.0
    return crossed / made_energy, crossed / math.sqrt(made_energy * wanted_energy)


def _pieces(stretch: Stretch) -> Iterator[tuple[int, int]]:
    """First frame and length of pieces of one length, as nearly as may be."""
    n_pieces = max(1, math.ceil(stretch.duration_s / PIECE_S))
    edges = [stretch.n_samples * number // n_pieces for number in range(n_pieces + 1)]
    return ((first, last - first) for first, last in itertools.pairwise(edges))


def _mixed(
    model: Model,
    network: NativeNetwork,
    stretch: Stretch,
    first: int,
    n_frames: int,
) -> FloatArray:
    """A model's mix (2, frames) of a part of a stretch."""
    config = model.config
    parts = []
    for segment in even_segments(config, n_frames, _HOP_FRAMES):
        stems = stretch.inputs(
            first + segment.start - config.context_frames,
            config.input_frames(segment.bottleneck_frames),
        )
        parts.append(network(np.ascontiguousarray(stems))[:, : segment.n_kept])
    return np.concatenate(parts, axis=1)


def _products(made: FloatArray, wanted: FloatArray) -> NDArray[np.float64]:
    a, b = made.astype(np.float64), wanted.astype(np.float64)
    return np.array([np.vdot(a, a), np.vdot(a, b), np.vdot(b, b)])
