"""The tank of the plate, at its own rate.

In: mono float32 samples. Out: stereo frames (samples, 2). `plate` brings them to and from the
session's rate. Source: Dattorro, JAES 45(9), 1997, fig. 1, tables 1 and 2.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from drummix.effects.checks import FloatArray

# Powers of two, so that a position wraps by a mask. In order: the four all-passes of the input, and
# of either half of the tank the moving all-pass, a delay, an all-pass and a delay.
_LENGTHS = (256, 128, 512, 512, 1024, 8192, 2048, 4096, 1024, 8192, 4096, 4096)


class Tank:
    """Runs the plate on samples that come in blocks; what it gives does not depend on their size.

    Args:
        decay: As for `plate.plate`, and so on below.
        bandwidth: Low-pass of the input.
        damping: Low-pass in the tank.
        excursion_samples: 0.0 stands still.
        turn: Angle in radians by which the movement goes on every sample.
    """

    def __init__(
        self,
        *,
        decay: float,
        bandwidth: float,
        damping: float,
        excursion_samples: float,
        turn: float,
    ) -> None:
        self._settings = (decay, bandwidth, 1.0 - damping, math.cos(turn), math.sin(turn))
        self._lines = tuple(np.zeros(length) for length in _LENGTHS)
        # Three low-passes, the sine and the cosine of the movement, two interpolators.
        self._memory = np.array([0.0, 0.0, 0.0, 0.0, excursion_samples, 0.0, 0.0])
        self._n_done = 0

    def add(self, mono: FloatArray) -> FloatArray:
        """The next samples (N,) to the next reverberation (2, N)."""
        frames = np.empty((mono.shape[0], 2), dtype=np.float32)
        _run(mono, frames, self._lines, self._memory, self._settings, self._n_done)
        self._n_done += mono.shape[0]
        return frames.T


@njit(inline="always")
def _tap(line, position, delay):  # type: ignore[no-untyped-def]
    return line[(position - delay) & (line.shape[0] - 1)]


@njit(inline="always")
def _put(line, position, sample):  # type: ignore[no-untyped-def]
    line[position & (line.shape[0] - 1)] = sample


@njit(inline="always")
def _all_pass(line, position, delay, gain, sample):  # type: ignore[no-untyped-def]
    """(g + z^-d) / (1 + g z^-d): store the inner value, return the output."""
    delayed = _tap(line, position, delay)
    inner = sample - gain * delayed
    _put(line, position, inner)
    return delayed + gain * inner


@njit(inline="always")
def _interpolated(line, position, delay, before):  # type: ignore[no-untyped-def]
    """A line at a fractional delay, read through a first-order all-pass.

    All-pass interpolation keeps the tank's energy; a linear one would damp high frequencies.
    Its fraction stays within 0.5..1.5 samples, where its own ringing dies at once.
    """
    whole = int(delay - 0.5)
    fraction = delay - whole
    coefficient = (1.0 - fraction) / (1.0 + fraction)
    newer, older = _tap(line, position, whole), _tap(line, position, whole + 1)
    return older + coefficient * (newer - before)


@njit(cache=True, nogil=True, fastmath=False)
def _run(mono, frames, lines, memory, settings, n_done):  # type: ignore[no-untyped-def]
    in_1, in_2, in_3, in_4, ap_a1, delay_a1, ap_a2, delay_a2, ap_b1, delay_b1, ap_b2, delay_b2 = (
        lines
    )
    # Number by number: an array taken apart at once takes seconds to compile.
    band, low_a, low_b = memory[0], memory[1], memory[2]
    sine, cosine, moved_a, moved_b = memory[3], memory[4], memory[5], memory[6]
    decay, bandwidth, passed, turn_re, turn_im = settings
    diffusion = min(max(decay + 0.15, 0.25), 0.50)
    is_moving = sine != 0.0 or cosine != 0.0
    for index in range(mono.shape[0]):
        n = n_done + index
        band += bandwidth * (mono[index] - band)
        fed = _all_pass(in_1, n, 142, 0.75, band)
        fed = _all_pass(in_2, n, 107, 0.75, fed)
        fed = _all_pass(in_3, n, 379, 0.625, fed)
        fed = _all_pass(in_4, n, 277, 0.625, fed)

        into_a = fed + decay * _tap(delay_b2, n, 3163)
        into_b = fed + decay * _tap(delay_a2, n, 3720)
        if is_moving:
            moved_a = _interpolated(ap_a1, n, 672.0 + sine, moved_a)
            moved_b = _interpolated(ap_b1, n, 908.0 + cosine, moved_b)
            # A pointer turned by one step a sample: its length drifts by 1e-16 a turn, and it
            # costs a tenth of a sine and a cosine.
            sine, cosine = turn_re * sine + turn_im * cosine, turn_re * cosine - turn_im * sine
        else:
            moved_a, moved_b = _tap(ap_a1, n, 672), _tap(ap_b1, n, 908)
        inner_a, inner_b = into_a + 0.70 * moved_a, into_b + 0.70 * moved_b
        _put(ap_a1, n, inner_a)
        _put(ap_b1, n, inner_b)

        low_a += passed * (_tap(delay_a1, n, 4453) - low_a)
        low_b += passed * (_tap(delay_b1, n, 4217) - low_b)
        _put(delay_a1, n, moved_a - 0.70 * inner_a)
        _put(delay_b1, n, moved_b - 0.70 * inner_b)
        _put(delay_a2, n, _all_pass(ap_a2, n, 1800, diffusion, decay * low_a))
        _put(delay_b2, n, _all_pass(ap_b2, n, 2656, diffusion, decay * low_b))

        frames[index, 0] = 0.6 * (
            _tap(delay_b1, n, 266)
            + _tap(delay_b1, n, 2974)
            - _tap(ap_b2, n, 1913)
            + _tap(delay_b2, n, 1996)
            - _tap(delay_a1, n, 1990)
            - _tap(ap_a2, n, 187)
            - _tap(delay_a2, n, 1066)
        )
        frames[index, 1] = 0.6 * (
            _tap(delay_a1, n, 353)
            + _tap(delay_a1, n, 3627)
            - _tap(ap_a2, n, 1228)
            + _tap(delay_a2, n, 2673)
            - _tap(delay_b1, n, 2111)
            - _tap(ap_b2, n, 335)
            - _tap(delay_b2, n, 121)
        )
    memory[0], memory[1], memory[2] = band, low_a, low_b
    memory[3], memory[4], memory[5], memory[6] = sine, cosine, moved_a, moved_b
