"""Where a mix lies beside its stems: the offset between them, and the part that matches.

The offset is looked for in two steps. Onsets every 5 ms are correlated over the whole length, which
costs little for hours of audio. Then the best places are tried sample by sample on a few excerpts,
by how much of the mix the stems explain there: that tells a bar from its repetition.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import fft, linalg

from drummix.matching.example import Example
from drummix.mixers.base import BLOCK_SAMPLES

DoubleArray = NDArray[np.float64]

_FRAME_S = 0.005
_N_PLACES = 8
_N_EXCERPTS = 3
_EXCERPT_S = 1.0
_MARGIN_FRAMES = 2
_WINDOW_S = 0.5
_MATCHING_SHARE = 0.3
"""Static gains explain more than this of a heavily processed mix, and none of a foreign one."""

_FADE_DB = 1.0
_UNUSUAL = 3.0
_QUIET = 1e-3
"""Windows 30 dB below the mean power say nothing about whether they match."""


def find_offset(example: Example) -> int:
    """The sample of the mix that belongs to the stems' first sample, at the session's rate."""
    frame = max(1, round(_FRAME_S * example.session.rate_hz))
    stems, mix = _frame_energies(example, frame)
    places = _likely_places(_onsets(stems), _onsets(mix))
    starts = _excerpt_starts(mix, frame)
    scores = _explained_by_offset(example, starts, [place * frame for place in places], frame)
    return max(scores, key=lambda offset: scores[offset])


def matching_part(example: Example) -> tuple[int, int]:
    """First and last sample of the stems between which the mix is theirs.

    Static gains are fitted to the overlap; windows of half a second at both ends that they do not
    explain are cut off, and the gains fitted again, until nothing changes.
    """
    start, stop = example.overlap
    window = max(1, round(_WINDOW_S * example.session.rate_hz))
    edges = tuple(range(start, stop, window))
    grams, crossed, energy = _window_sums(example, start, stop, edges)
    first, last = 0, len(edges)
    for _ in range(8):
        good, bad = _judged(grams, crossed, energy, slice(first, last))
        if good.size == 0:
            return start, stop
        # From the outermost good window on, quiet windows belong to the part.
        trimmed = _outwards(bad, int(good[0]), int(good[-1]))
        if trimmed == (first, last):
            break
        first, last = trimmed
    return edges[first], min(stop, edges[last - 1] + window)


def _judged(
    grams: DoubleArray, crossed: DoubleArray, energy: DoubleArray, part: slice
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Numbers of the windows that static gains of a part explain, and which ones they do not.

    A window does not match if hardly anything of it is explained, or if its level is off and more
    is left over than in most windows: so is a fade.
    """
    gram, right = grams[part].sum(axis=0), crossed[part].sum(axis=0)
    ridge = 1e-9 * np.trace(gram) + 1e-30
    gains = linalg.solve(gram + ridge * np.eye(gram.shape[0]), right, assume_a="pos")
    made = np.einsum("ic,kij,jc->k", gains, grams, gains)
    both = np.einsum("ic,kic->k", gains, crossed)
    residual = (energy - 2.0 * both + made) / (energy + 1e-30)
    level_db = np.abs(20.0 * np.log10(np.maximum(both, 1e-30) / (made + 1e-30)))
    loud = np.maximum(energy, made)
    counts = loud > _QUIET * loud[part].mean()
    usual = float(np.median(residual[part][counts[part]])) if counts[part].any() else 0.0
    is_off = (level_db > _FADE_DB) & (residual > _UNUSUAL * usual)
    bad = counts & ((residual > 1.0 - _MATCHING_SHARE) | is_off)
    return np.flatnonzero(counts & ~bad), bad


def _outwards(bad: NDArray[np.bool_], first: int, last: int) -> tuple[int, int]:
    while first > 0 and not bad[first - 1]:
        first -= 1
    while last + 1 < bad.size and not bad[last + 1]:
        last += 1
    return first, last + 1


def _window_sums(
    example: Example, start: int, stop: int, edges: tuple[int, ...]
) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
    n_stems = len(example.session.stems)
    grams = np.zeros((len(edges), n_stems, n_stems))
    crossed = np.zeros((len(edges), n_stems, 2))
    energy = np.zeros(len(edges))
    for first, stems, mix in example.pairs(start, stop, edges):
        if first < start:
            continue
        index = int(np.searchsorted(edges, first, side="right")) - 1
        exact, target = stems.astype(np.float64), mix.astype(np.float64)
        grams[index] += exact @ exact.T
        crossed[index] += exact @ target.T
        energy[index] += float(np.vdot(target, target))
    return grams, crossed, energy


def _frame_energies(example: Example, frame: int) -> tuple[DoubleArray, DoubleArray]:
    """Energy of every 5 ms: of the stems, each counting as much as the others, and of the mix."""
    rate_hz = example.session.rate_hz
    by_stem = _energies(example.session.blocks(BLOCK_SAMPLES), frame)
    total = by_stem.sum(axis=1, keepdims=True)
    stems = np.sum(by_stem / np.where(total > 0.0, total, 1.0), axis=0)
    mix = _energies(example.mix.blocks(rate_hz), frame).sum(axis=0)
    return stems, mix


def _energies(blocks: Iterable[NDArray[np.float32]], frame: int) -> DoubleArray:
    rest = None
    energies = []
    for block in blocks:
        joined = block if rest is None else np.concatenate([rest, block], axis=1)
        n_frames = joined.shape[1] // frame
        whole = joined[:, : n_frames * frame].reshape(joined.shape[0], n_frames, frame)
        energies.append(np.einsum("snf,snf->sn", whole, whole, dtype=np.float64))
        rest = joined[:, n_frames * frame :]
    return np.concatenate(energies, axis=1)


def _onsets(energy: DoubleArray) -> DoubleArray:
    floor = 1e-4 * energy.mean() + 1e-30
    rise = np.maximum(np.diff(np.log10(energy + floor), prepend=np.log10(energy[:1] + floor)), 0.0)
    return rise - rise.mean()


def _likely_places(stems: DoubleArray, mix: DoubleArray) -> list[int]:
    """Offsets in frames whose onsets agree best, and none at all."""
    n_fft = fft.next_fast_len(stems.size + mix.size, real=True)
    spectrum = np.conj(fft.rfft(stems, n_fft)) * fft.rfft(mix, n_fft)
    by_offset = fft.irfft(spectrum, n_fft)
    places = [0]
    while len(places) <= _N_PLACES:
        best = int(np.argmax(by_offset))
        if by_offset[best] <= 0.0:
            break
        place = best if best < mix.size else best - n_fft
        if place not in places:
            places.append(place)
        near = np.arange(best - _MARGIN_FRAMES, best + _MARGIN_FRAMES + 1) % n_fft
        by_offset[near] = -np.inf
    return places


def _excerpt_starts(mix: DoubleArray, frame: int) -> list[int]:
    """Samples of the mix where its loudest excerpts begin, spread over its length."""
    n_frames = max(1, min(mix.size, round(_EXCERPT_S / _FRAME_S)))
    summed = np.cumsum(np.concatenate([[0.0], mix]))
    by_start = summed[n_frames:] - summed[:-n_frames]
    parts = np.array_split(np.arange(by_start.size), min(_N_EXCERPTS, by_start.size))
    return [int(part[np.argmax(by_start[part])]) * frame for part in parts]


def _explained_by_offset(
    example: Example, starts: Sequence[int], places: Sequence[int], frame: int
) -> dict[int, float]:
    """For each offset near the places, the energy that static gains explain in the excerpts."""
    margin = _MARGIN_FRAMES * frame
    n_mix = example.mix.length_at(example.session.rate_hz)
    n_excerpt = min(round(_EXCERPT_S * example.session.rate_hz), n_mix)
    excerpts = _read_excerpts(example, starts, n_excerpt)
    wanted = {
        (start, place): (start - place - margin, n_excerpt + 2 * margin)
        for start in starts
        for place in places
    }
    stems = _read_stems(example, wanted)
    scores: dict[int, float] = {}
    for (start, place), around in stems.items():
        explained = _explained(around, excerpts[start], margin)
        for shift, value in enumerate(explained):
            # The stems' excerpt begins `shift - margin` later than the place says.
            offset = place + margin - shift
            scores[offset] = scores.get(offset, 0.0) + float(value)
    return scores


def _explained(stems: DoubleArray, mix: DoubleArray, margin: int) -> DoubleArray:
    """Energy explained by stems that begin `shift` samples in, for shifts 0 .. 2 margin."""
    # A first difference: without it the slow waves of a kick blur the peak.
    stems, mix = np.diff(stems, axis=1), np.diff(mix, axis=1)
    # The whole stretch counts, margins too: then no shift can explain more than there is.
    gram = stems @ stems.T
    gram[np.diag_indices_from(gram)] += 1e-6 * np.trace(gram) + 1e-30
    whitened = linalg.solve_triangular(linalg.cholesky(gram, lower=True), stems, lower=True)
    n_fft = fft.next_fast_len(stems.shape[1] + mix.shape[1], real=True)
    spectra = fft.rfft(whitened, n_fft, axis=1)[:, np.newaxis]
    crossed = fft.irfft(spectra * np.conj(fft.rfft(mix, n_fft, axis=1)), n_fft, axis=2)
    return np.sum(crossed[:, :, : 2 * margin + 1] ** 2, axis=(0, 1))


def _read_excerpts(
    example: Example, starts: Sequence[int], n_samples: int
) -> dict[int, DoubleArray]:
    excerpts = {start: np.zeros((2, n_samples)) for start in starts}
    position = 0
    for block in example.mix.blocks(example.session.rate_hz):
        for start, excerpt in excerpts.items():
            _copy_overlap(block, position, excerpt, start)
        position += block.shape[1]
    return excerpts


def _read_stems(
    example: Example, wanted: dict[tuple[int, int], tuple[int, int]]
) -> dict[tuple[int, int], DoubleArray]:
    n_stems = len(example.session.stems)
    found = {
        key: np.zeros((n_stems, n_samples))
        for key, (first, n_samples) in wanted.items()
        if first + n_samples > 0 and first < example.session.n_samples
    }
    position = 0
    for block in example.session.blocks(BLOCK_SAMPLES):
        for key, excerpt in found.items():
            _copy_overlap(block, position, excerpt, wanted[key][0])
        position += block.shape[1]
    return found


def _copy_overlap(
    block: NDArray[np.floating], position: int, excerpt: DoubleArray, start: int
) -> None:
    first, last = (
        max(position, start),
        min(position + block.shape[1], start + excerpt.shape[1]),
    )
    if first < last:
        excerpt[:, first - start : last - start] = block[:, first - position : last - position]


def aligned(example: Example) -> Example:
    """The example with its offset found."""
    return replace(example, offset=find_offset(example))
