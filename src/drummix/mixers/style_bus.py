"""A chain of effects over a stream, in pieces that join to what one pass over all of it gives.

Each piece is processed with as much of what came before it as the chain remembers: after that time
a plate has died away and a compressor has forgotten its start by 130 dB or more. Pieces lie where
the chain says, never where the blocks of the stream end.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from drummix.effects.chain import Chain, Effect
from drummix.effects.plate import t60_of_decay

FloatArray = NDArray[np.float32]

_FORGET_NEPERS = 20.0
_FORGET_DB = 130.0
_PIECE_S = 20.0
_AHEAD_S = 0.05
"""A plate runs at a rate of its own, and its resampler must not see a piece end."""


class Bus(Protocol):
    """Effects in order, and what they make of samples (channels, samples)."""

    @property
    def effects(self) -> tuple[Effect, ...]:
        """Effects in order, first one first."""

    def apply(self, samples: FloatArray, rate_hz: int) -> FloatArray:
        """Run samples through all of it, into two channels."""


@dataclass(frozen=True)
class FedBus:
    """A bus whose first effect, a plate, hears what is sent to it instead of the sum.

    It takes three channels: left, right, and what is sent to the plate.

    Args:
        chain: Effects in order, a plate first.
        is_mirrored: Whether left and right of the plate's return are exchanged.
    """

    chain: Chain
    is_mirrored: bool

    @property
    def effects(self) -> tuple[Effect, ...]:
        """Effects in order, the plate first."""
        return self.chain.effects

    def plate_return(self, sent: FloatArray, rate_hz: int) -> FloatArray:
        """What the plate adds to the sum (2, samples), of what is sent to it (1, samples)."""
        wet = self.chain.effects[0].apply(sent, rate_hz) - sent
        return wet[::-1] if self.is_mirrored else wet

    def apply(self, samples: FloatArray, rate_hz: int) -> FloatArray:
        """Left, right and the plate's send (3, samples) to stereo (2, samples)."""
        summed = samples[:2] + self.plate_return(samples[2:], rate_hz)
        return Chain(self.chain.name, self.chain.effects[1:]).apply(summed, rate_hz)


def chain_blocks(
    blocks: Iterable[FloatArray], chain: Bus, rate_hz: int, *, piece_s: float = _PIECE_S
) -> Iterator[FloatArray]:
    """Run a chain over a stream, in memory that does not grow with its length.

    Args:
        blocks: Blocks (channels, samples) of any size.
        chain: Effects that look at the past only, and forget it: plate, compress, eq, gain.
        rate_hz: Sample rate in Hz.
        piece_s: Time processed at once, in seconds, rounded up to whole ones.

    Yields:
        Blocks of another size, as long together.
    """
    if not chain.effects:
        yield from blocks
        return
    # Whole seconds: there the samples of the plate's own rate coincide with the stream's. A piece
    # shorter than the memory would spend more time on the past than on itself.
    memory = math.ceil(memory_s(chain)) * rate_hz
    piece = max(rate_hz, math.ceil(piece_s) * rate_hz, memory)
    ahead = math.ceil(_AHEAD_S * rate_hz)
    waiting: list[FloatArray] = []
    n_waiting = n_past = 0
    for block in blocks:
        waiting.append(block)
        n_waiting += block.shape[1]
        while n_waiting >= n_past + piece + ahead:
            joined = np.concatenate(waiting, axis=1)
            end = n_past + piece
            yield chain.apply(joined[:, : end + ahead], rate_hz)[:, n_past:end]
            n_gone = max(0, end - memory)
            n_past = end - n_gone
            waiting = [joined[:, n_gone:].copy()]
            n_waiting = waiting[0].shape[1]
    if n_waiting > n_past:
        yield chain.apply(np.concatenate(waiting, axis=1), rate_hz)[:, n_past:]


def memory_s(chain: Bus) -> float:
    """How long a chain's past matters, in seconds."""
    return sum(_memory_s(effect) for effect in chain.effects)


def _memory_s(effect: Effect) -> float:
    settings = effect.settings
    if effect.name == "plate":
        t60_s = t60_of_decay(settings["decay"])
        return 0.5 + settings["predelay_ms"] / 1000.0 + t60_s * _FORGET_DB / 60.0
    if effect.name == "compress":
        return _FORGET_NEPERS * max(settings["attack_ms"], settings["release_ms"]) / 1000.0
    if effect.name == "eq":
        # A resonance falls by one neper in 2 q / omega; a shelf's poles turn slower by its gain.
        return sum(
            _FORGET_NEPERS
            * 2.0
            * max(0.5, band.get("q", 0.71))
            * 10.0 ** (abs(band.get("gain_db", 0.0)) / 40.0)
            / (2.0 * math.pi * band["frequency_hz"])
            for band in settings["bands"]
        )
    return 0.0
