"""Do rendered mixes measure as engineers' mixes do? A corpus beside figures of human mixes.

In: a corpus with dry and wet mixes. Out: a `CalibrationTable`.

Source: human dry and wet mixes of nine loops of ENST-Drums, as their authors published them.
Their ranges are in `FIGURES`; how each figure is taken here stands in docs/calibration.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

from numpy.typing import ArrayLike

from drummix import audio
from drummix.corpus import processes
from drummix.corpus.hits import ItemHit, isolated_hits, read_item_hits
from drummix.corpus.kit import Piece
from drummix.corpus.manifest import TARGETS, CorpusItem, Target, read_manifest
from drummix.errors import CorpusError, DrummixError, SettingError
from drummix.evaluation.calibration_table import (
    FIGURES,
    OCTAVE_LIMIT_DB,
    CalibrationTable,
    ItemFigures,
)
from drummix.evaluation.checks import FloatArray, checked_pair
from drummix.evaluation.items import choose_items
from drummix.evaluation.metrics import left_right_correlation, lufs_difference_db
from drummix.evaluation.reverb import WINDOWS_S, added_reverb_db, energy_after_hits_db
from drummix.evaluation.spectral import (
    BALANCE_FLOOR_DB,
    octave_band_levels_db,
)
from drummix.evaluation.table import Failure
from drummix.levels import crest_db, rms_dbfs

Progress = Callable[[int, int, str], None]
"""Called with items done, items in all, and the name of the last one."""

# A hi-hat goes on through most snare strokes; without its leave hardly one would stand alone.
_HIT_BEFORE_S, _HIT_AFTER_S = 0.1, WINDOWS_S[-1][1]
_IGNORED_PIECES = (Piece.HIHAT,)


def calibrate(
    corpus: Path | str,
    *,
    part: str | None = None,
    limit: int | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> CalibrationTable:
    """Measure the mixes of a corpus beside human mixes.

    Args:
        corpus: Folder of a rendered corpus.
        part: One of its parts; None takes all.
        limit: Number of items, see `drummix.evaluation.items.choose_items`; None takes all.
        workers: Processes that work at the same time; the figures do not depend on it.
        progress: Called after every item.

    Returns:
        Every figure of every item; items that cannot be read are in its failures.

    Raises:
        CorpusError: If there is no such corpus, or the part has no items.
        SettingError: If an option is out of range.
    """
    if workers < 1:
        raise SettingError(f"{workers} workers; give 1 or more")
    folder = Path(corpus)
    items = choose_items(read_manifest(folder, part=part), limit=limit)
    measured: list[ItemFigures] = []
    failures: list[Failure] = []
    for n_done, result in enumerate(_results(folder, items, workers), start=1):
        if isinstance(result, Failure):
            failures.append(result)
        else:
            measured.append(result)
        if progress is not None:
            progress(n_done, len(items), result.item)
    return CalibrationTable(part or "all", tuple(measured), tuple(failures))


def mix_figures(
    dry: ArrayLike, wet: ArrayLike, rate_hz: int, *, hits: Sequence[ItemHit] = ()
) -> dict[str, float]:
    """All figures of one session's mixes.

    Args:
        dry: Dry mix (2, samples).
        wet: Wet mix (2, samples).
        rate_hz: Sample rate in Hz of both.
        hits: Strokes of the session, in order of time.

    Returns:
        Name of each of `FIGURES` -> value; NaN where it has none (a silent mix, no single hit).

    Raises:
        SettingError: If the shapes differ or are not stereo.
    """
    mixes = dict(zip(TARGETS, checked_pair(dry, wet), strict=True))
    single = isolated_hits(
        hits, Piece.SNARE, before_s=_HIT_BEFORE_S, after_s=_HIT_AFTER_S, ignored=_IGNORED_PIECES
    )
    onsets_s = [hit.time_s for hit in single]
    values: list[float] = []
    values += [crest_db(mix) if mix.any() else math.nan for mix in mixes.values()]
    values += [left_right_correlation(mix) for mix in mixes.values()]
    octaves = octave_differences_db(mixes["dry"], mixes["wet"], rate_hz)
    heard = [difference_db for difference_db in octaves if not math.isnan(difference_db)]
    n_inside = sum(abs(difference_db) <= OCTAVE_LIMIT_DB for difference_db in heard)
    values += [n_inside / len(heard) if heard else math.nan, *octaves]
    values += added_reverb_db(mixes["dry"], mixes["wet"], rate_hz)
    for mix in mixes.values():
        values += energy_after_hits_db(mix, rate_hz, onsets_s)
    return dict(zip((figure.name for figure in FIGURES), values, strict=True))


def octave_differences_db(dry: ArrayLike, wet: ArrayLike, rate_hz: int) -> tuple[float, ...]:
    """Level of each octave band in the wet mix less that in the dry one, at equal loudness.

    Returns:
        dB, one for each of `OCTAVE_CENTRES_HZ`; NaN for a band that is empty in both mixes, and
        for all where a mix is silent or too short to have a loudness.
    """
    mixes = checked_pair(dry, wet)
    levels_db = [octave_band_levels_db(mix, rate_hz) for mix in mixes]
    # Bands come relative to the whole of their mix.
    louder_db = rms_dbfs(mixes[1]) - rms_dbfs(mixes[0]) - lufs_difference_db(*mixes[::-1], rate_hz)
    return tuple(
        math.nan if max(of_dry, of_wet) <= BALANCE_FLOOR_DB else float(of_wet - of_dry + louder_db)
        for of_dry, of_wet in zip(*levels_db, strict=True)
    )


def _item_figures(corpus: Path, item: CorpusItem) -> ItemFigures | Failure:
    try:
        dry, wet = (_read_mix(corpus, item, target) for target in TARGETS)
        hits = read_item_hits(corpus, item.item)
        values = mix_figures(dry, wet, item.rate_hz, hits=hits)
    except DrummixError as error:
        return Failure(item.item, "", str(error))
    return ItemFigures(item.item, item.kit, values)


def _read_mix(corpus: Path, item: CorpusItem, target: Target) -> FloatArray:
    path = item.mix_path(corpus, target)
    found = audio.read(path)
    if (found.n_channels, found.n_samples, found.rate_hz) != (2, item.n_samples, item.rate_hz):
        raise CorpusError(
            f"{path} has {found.n_channels} channel(s), {found.n_samples} samples at "
            f"{found.rate_hz} Hz; expected 2, {item.n_samples} at {item.rate_hz} Hz by the "
            "manifest: render the item again"
        )
    return found.samples


def _results(
    corpus: Path, items: Sequence[CorpusItem], workers: int
) -> Iterator[ItemFigures | Failure]:
    measure = partial(_item_figures, corpus)
    if workers == 1 or len(items) == 1:
        yield from map(measure, items)
        return
    with ProcessPoolExecutor(min(workers, len(items)), initializer=processes.start) as pool:
        try:
            yield from pool.map(measure, items)
        except BrokenProcessPool:
            raise SettingError(
                "a process of the calibration was ended from outside (out of memory?); "
                "give fewer workers"
            ) from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
