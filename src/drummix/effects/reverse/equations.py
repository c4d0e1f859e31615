"""Normal equations of filters from stems to a mix, gathered in one pass over the audio.

A filter of T taps and lead L gives y[n] = sum_a h[a] x[n + L - a], a = 0 .. T-1. The best filters
solve G h = b with G[(i, a), (j, b)] = sum_n x_i[n + L - a] x_j[n + L - b]. Only one row of G for
each pair of stems is summed, by FFT; the rest follows from it along the diagonals: stepping both
taps back by one moves the sum by one sample, and so changes it at its two ends only. That is
exact, where the usual Toeplitz form takes the audio for silent outside the part that is fitted.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from drummix.errors import SettingError

DoubleArray = NDArray[np.float64]

MAX_TAPS = 1024
_MIN_FFT = 4096
_FRAMES_AT_ONCE = 32
_NO_FOLD = -1


@dataclass(frozen=True, eq=False)
class Equations:
    """Sums of products of stems with each other and with the mix, over some part of the audio.

    Args:
        n_taps: Longest filter they can be solved for.
        n_lead: Samples by which its first tap looks ahead.
        products: (stems, stems + channels, taps): stem i, a taps back, with stem j or a channel.
        target_energy: Sum of squares of each channel of the mix.
        n_samples: Length of the audio in them.
        starts: For each part, the samples of all stems before it, newest first (stems, taps).
        ends: For each part, its last samples in the same form.
    """

    n_taps: int
    n_lead: int
    products: DoubleArray
    target_energy: DoubleArray
    n_samples: int
    starts: tuple[DoubleArray, ...]
    ends: tuple[DoubleArray, ...]

    @property
    def n_stems(self) -> int:
        """Number of stems."""
        return int(self.products.shape[0])

    @property
    def stem_energy(self) -> DoubleArray:
        """Sum of squares of each stem."""
        return np.diagonal(self.products[:, : self.n_stems, 0]).copy()

    def __add__(self, other: Equations) -> Equations:
        return Equations(
            self.n_taps,
            self.n_lead,
            self.products + other.products,
            self.target_energy + other.target_energy,
            self.n_samples + other.n_samples,
            self.starts + other.starts,
            self.ends + other.ends,
        )

    def system(self, n_taps: int, n_lead: int) -> tuple[DoubleArray, DoubleArray]:
        """The equations of shorter filters.

        Args:
            n_taps: Taps of each filter.
            n_lead: How many of them look ahead.

        Returns:
            G (stems, taps, stems, taps) and b (stems, taps, channels).

        Raises:
            SettingError: If the filters reach further than what was summed.
        """
        first = self.n_lead - n_lead
        if not (first >= 0 and first + n_taps <= self.n_taps and 0 <= n_lead < max(1, n_taps)):
            raise SettingError(
                "n_taps",
                n_taps,
                "ask for less",
                problem=f"is {n_taps} with a lead of {n_lead}, which does not fit equations of "
                f"{self.n_taps} taps with a lead of {self.n_lead}",
            )
        n_stems = self.n_stems
        # Row 0 of each pair: stem i at tap `first + a`, stem j at tap `first`.
        column = self.products[:, :n_stems, :n_taps].copy()
        edges = np.array((*self.starts, *self.ends)).reshape(-1, n_stems, self.n_taps)
        signs = np.repeat([1.0, -1.0], [len(self.starts), len(self.ends)])
        for back in range(first):
            ahead = edges[:, :, back : back + n_taps]
            column += np.einsum("e,eia,ej->ija", signs, ahead, edges[:, :, back])
        gram = np.empty((n_stems, n_taps, n_stems, n_taps))
        gram[:, :, :, 0] = column.transpose(0, 2, 1)
        gram[:, 0, :, :] = column.transpose(1, 0, 2)
        edges = edges[:, :, first : first + n_taps]
        for tap in range(n_taps - 1):
            change = np.einsum("e,ei,ejb->ijb", signs, edges[:, :, tap], edges[:, :, :-1])
            gram[:, tap + 1, :, 1:] = gram[:, tap, :, :-1] + change
        target = self.products[:, n_stems:, first : first + n_taps].transpose(0, 2, 1)
        return gram, target.copy()


class EquationStream:
    """Gathers equations from blocks of stems and mix, for several parts of a song at once.

    Args:
        n_stems: Number of stems.
        n_channels: Channels of the mix.
        n_taps: Longest filter to be solved for, 1 for gains.
        n_lead: How many of its taps look ahead.
        n_folds: Number of separate sets of equations.

    Raises:
        SettingError: If the taps or the lead are out of range.
    """

    def __init__(
        self,
        n_stems: int,
        n_channels: int,
        *,
        n_taps: int = 1,
        n_lead: int = 0,
        n_folds: int = 1,
    ) -> None:
        if not 1 <= n_taps <= MAX_TAPS:
            raise SettingError("n_taps", n_taps, f"use 1 to {MAX_TAPS}")
        if not 0 <= n_lead < n_taps:
            raise SettingError("n_lead", n_lead, f"use 0 to {n_taps - 1}")
        self._shape = (n_stems, n_channels)
        self._n_taps, self._n_lead = n_taps, n_lead
        n_fft = max(_MIN_FFT, 8 * n_taps)
        self._hop = n_fft - n_taps + 1
        self._folds = [_Fold(n_stems, n_channels, n_taps, n_fft) for _ in range(n_folds)]
        # Stems from `n_taps` samples before the next row on, advanced by the lead: its first
        # samples stand before the mix's first row. The mix from that row on.
        self._stems = np.zeros((n_stems, n_taps - n_lead))
        self._target = np.zeros((n_channels, 0))
        # Rows that wait, as (fold, how many); the last run may still grow.
        self._runs: deque[list[int]] = deque()

    def add(
        self,
        stems: NDArray[np.floating],
        target: NDArray[np.floating],
        *,
        fold: int | None = 0,
    ) -> None:
        """Take in the next samples.

        Args:
            stems: (stems, samples).
            target: The mix beside them (channels, samples).
            fold: Which set of equations they count for; None for none.

        Raises:
            SettingError: If the shapes do not fit.
        """
        self._check(stems, target)
        label = _NO_FOLD if fold is None else fold
        if self._runs and self._runs[-1][0] == label:
            self._runs[-1][1] += stems.shape[1]
        else:
            self._runs.append([label, stems.shape[1]])
        self._stems = np.concatenate([self._stems, stems], axis=1)
        self._target = np.concatenate([self._target, target], axis=1)
        self._take_runs(is_last=False)

    def finish(self) -> tuple[Equations, ...]:
        """The equations of every fold; the stems count as silent after their end."""
        self._stems = np.pad(self._stems, ((0, 0), (0, self._n_lead)))
        self._take_runs(is_last=True)
        return tuple(fold.equations(self._n_lead) for fold in self._folds)

    def _check(self, stems: NDArray[np.floating], target: NDArray[np.floating]) -> None:
        if stems.shape[1] != target.shape[1]:
            unequal = f"are {stems.shape[1]} samples long and the target {target.shape[1]}"
            raise SettingError("stems", stems.shape, "give blocks of one length", problem=unequal)
        if (stems.shape[0], target.shape[0]) != self._shape:
            raise SettingError(
                "stems",
                stems.shape,
                f"expected {self._shape[0]} and {self._shape[1]} as before",
                problem=f"are {stems.shape[0]}, and the target's channels {target.shape[0]}",
            )

    def _take_runs(self, *, is_last: bool) -> None:
        """Add up the rows whose lead is there: whole hops, or to the end of a run."""
        while self._runs:
            label, n_waiting = self._runs[0]
            n_there = min(n_waiting, self._stems.shape[1] - self._n_taps)
            is_end = n_there == n_waiting and (is_last or len(self._runs) > 1)
            n_rows = n_there if is_end else max(0, n_there) // self._hop * self._hop
            if n_rows > 0:
                self._take(label, n_rows)
            if not is_end:
                self._runs[0][1] -= n_rows
                return
            self._runs.popleft()
            if label != _NO_FOLD:
                self._folds[label].close(self._stems[:, : self._n_taps])

    def _take(self, label: int, n_rows: int) -> None:
        if label != _NO_FOLD:
            stems = self._stems[:, : self._n_taps + n_rows]
            self._folds[label].add(stems, self._target[:, :n_rows], self._hop)
        self._stems = self._stems[:, n_rows:]
        self._target = self._target[:, n_rows:]


class _Fold:
    """Sums of one set of equations."""

    def __init__(self, n_stems: int, n_channels: int, n_taps: int, n_fft: int) -> None:
        self._n_taps, self._n_fft = n_taps, n_fft
        n_rows = n_stems + n_channels
        self._spectrum = np.zeros((n_fft // 2 + 1, n_stems, n_rows), np.complex128)
        self._products = np.zeros((n_stems, n_rows))
        self._target_energy = np.zeros(n_channels)
        self._n_samples = 0
        self._is_open = False
        self._starts: list[DoubleArray] = []
        self._ends: list[DoubleArray] = []

    def add(self, stems: DoubleArray, target: DoubleArray, hop: int) -> None:
        """Add rows; `stems` begins `n_taps` samples before the first of them."""
        if not self._is_open:
            self._starts.append(stems[:, self._n_taps - 1 :: -1].copy())
            self._is_open = True
        n_rows = target.shape[1]
        self._target_energy += np.einsum("cn,cn->c", target, target)
        self._n_samples += n_rows
        rows = np.concatenate([stems[:, self._n_taps :], target])
        if self._n_taps == 1:
            self._products += stems[:, 1:] @ rows.T
            return
        for start in range(0, n_rows, hop * _FRAMES_AT_ONCE):
            end = min(n_rows, start + hop * _FRAMES_AT_ONCE)
            # One sample before the oldest tap is there too, for the edges: it is not needed here.
            self._correlate(stems[:, start + 1 : self._n_taps + end], rows[:, start:end], hop)

    def _correlate(self, context: DoubleArray, rows: DoubleArray, hop: int) -> None:
        n_frames = -(-rows.shape[1] // hop)
        n_padded = n_frames * hop - rows.shape[1]
        rows = np.pad(rows, ((0, 0), (0, n_padded))).reshape(rows.shape[0], n_frames, hop)
        context = np.pad(context, ((0, 0), (0, n_padded)))
        frames = np.lib.stride_tricks.sliding_window_view(context, self._n_fft, axis=1)[:, ::hop]
        ahead = fft.rfft(frames, self._n_fft, axis=2)
        here = np.conj(fft.rfft(rows, self._n_fft, axis=2))
        self._spectrum += ahead.transpose(2, 0, 1) @ here.transpose(2, 1, 0)

    def close(self, newest: DoubleArray) -> None:
        """End a run of rows; `newest` holds its last `n_taps` samples."""
        if self._is_open:
            self._ends.append(newest[:, ::-1].copy())
            self._is_open = False

    def equations(self, n_lead: int) -> Equations:
        """What was added up so far."""
        if self._n_taps == 1:
            products = self._products[:, :, np.newaxis]
        else:
            by_lag = fft.irfft(self._spectrum, self._n_fft, axis=0)[: self._n_taps]
            products = by_lag[::-1].transpose(1, 2, 0)
        return Equations(
            n_taps=self._n_taps,
            n_lead=n_lead,
            products=np.ascontiguousarray(products),
            target_energy=self._target_energy.copy(),
            n_samples=self._n_samples,
            starts=tuple(self._starts),
            ends=tuple(self._ends),
        )
