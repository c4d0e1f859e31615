"""Do rendered mixes measure as engineers' mixes do? A corpus beside figures of human mixes.

In: a corpus with dry and wet mixes. Out: a `CalibrationTable`.

Source: human dry and wet mixes of nine loops of ENST-Drums, as their authors published them.
Their ranges are in `FIGURES`; how each figure is taken here stands in docs/calibration.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from numpy.typing import ArrayLike

from drummix.corpus.hits import ItemHit, isolated_hits, read_item_hits
from drummix.corpus.items import SessionItem, read_mix
from drummix.corpus.kit import Piece
from drummix.corpus.manifest import TARGETS, CorpusItem
from drummix.corpus.opening import open_corpus
from drummix.errors import DrummixError, SettingError
from drummix.evaluation.calibration_table import (
    FIGURES,
    OCTAVE_LIMIT_DB,
    CalibrationTable,
    ItemFigures,
)
from drummix.evaluation.checks import checked_pair
from drummix.evaluation.items import choose_items
from drummix.evaluation.metrics import left_right_correlation, lufs_difference_db
from drummix.evaluation.reverb import WINDOWS_S, added_reverb_db, energy_after_hits_db
from drummix.evaluation.spectral import (
    BALANCE_FLOOR_DB,
    octave_band_levels_db,
)
from drummix.evaluation.table import Failure
from drummix.levels import crest_db, rms_dbfs
from drummix.pool import FunctionWorker, results_in_order

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
        corpus: What `drummix.corpus.opening.open_corpus` opens; ENST-Drums has no figures after
            hits, for their times are not known.
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
        raise SettingError("workers", workers, "give 1 or more")
    opened = open_corpus(corpus)
    items = choose_items(opened.part(part), limit=limit)
    measured: list[ItemFigures] = []
    failures: list[Failure] = []
    for result in results_in_order(
        items,
        partial(FunctionWorker, partial(_item_figures, opened.folder)),
        name_of=lambda item: item.item,
        died=lambda item, died: Failure(item.item, "", died.why),
        n_workers=workers,
        progress=progress,
    ):
        if isinstance(result, Failure):
            failures.append(result)
        else:
            measured.append(result)
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


def _item_figures(corpus: Path, item: SessionItem) -> ItemFigures | Failure:
    try:
        dry, wet = (read_mix(corpus, item, target) for target in TARGETS)
        # ENST-Drums comes without the times of its hits.
        hits = read_item_hits(corpus, item.item) if isinstance(item, CorpusItem) else ()
        values = mix_figures(dry, wet, item.rate_hz, hits=hits)
    except DrummixError as error:
        return Failure(item.item, "", str(error))
    return ItemFigures(item.item, item.kit, values)
