"""Growing the random forest of the paper's baseline on a corpus.

In: items of a corpus. Out: a forest as arrays, and how well it predicts. What it learns are the
gains of the engineer's dry mixes, found by reverse engineering, for stems as they were recorded:
every item is measured once, then stands for several recordings of it at other preamp gains.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drummix.corpus.items import SessionItem, read_mix, read_stems
from drummix.corpus.opening import open_corpus
from drummix.effects.reverse import fit_gains
from drummix.errors import CorpusError, MissingExtraError, SettingError
from drummix.levels import gain_to_db
from drummix.mixers.forest.features import Measured, Measuring
from drummix.mixers.forest.trees import Forest, write_forest
from drummix.roles import PAPER_ROLES

FloatArray = NDArray[np.float32]
Progress = Callable[[str, int, int], None]

PREAMP_RANGE_DB = 12.0
LEAST_CONFIDENCE = 0.2
LEAST_GAIN_DB = -60.0


@dataclass(frozen=True)
class ForestSettings:
    """How a forest is grown.

    Args:
        n_trees: Trees.
        n_leaves: Most leaves of a tree.
        n_recordings: Recordings at other preamp gains that an item stands for, beside itself.
        seed: Of the preamp gains and the trees.

    Raises:
        SettingError: If a value is out of range.
    """

    n_trees: int = 100
    n_leaves: int = 700
    n_recordings: int = 12
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("n_trees", 1), ("n_leaves", 2), ("n_recordings", 0), ("seed", 0)):
            if getattr(self, name) < least:
                raise SettingError(name, getattr(self, name), f"give {least} or more")


@dataclass(frozen=True, eq=False)
class StemGains:
    """The stems of an item beside what the engineer did with them.

    Args:
        measured: The stems.
        gains_db: (stems, outputs) as `OUTPUTS`.
        is_known: (stems,): heard, and with a gain that the mix settles.
    """

    measured: Measured
    gains_db: NDArray[np.float64]
    is_known: NDArray[np.bool_]


def train_forest(
    corpora: Sequence[Path],
    folder: Path,
    *,
    settings: ForestSettings | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Grow a forest on the train and validation parts, and test it on the test part.

    Args:
        corpora: Folders of rendered corpora.
        folder: Where to write it.
        settings: How.
        progress: Called with what is being done, items done, and items in all.

    Returns:
        The card's metrics: R2 on training data, out of bag, and on the test part (NaN without
        one), and the median error of a gain there in dB.

    Raises:
        CorpusError: If a corpus has no items to learn from.
        MissingExtraError: If scikit-learn is not installed.
    """
    try:
        from sklearn.ensemble import RandomForestRegressor
        from sklearn.metrics import r2_score
    except ImportError:
        raise MissingExtraError("growing a forest", "train") from None
    settings = settings or ForestSettings()
    known = [(c, item) for c in corpora for item in open_corpus(c).items]
    learnt = [pair for pair in known if pair[1].part != "test"]
    kept = [pair for pair in known if pair[1].part == "test"]
    if not learnt:
        raise CorpusError(f"{', '.join(map(str, corpora))} hold no train or validation items")
    report = progress or (lambda what, n_done, n_all: None)
    rng = np.random.default_rng(settings.seed)
    rows, gains_db = _recordings(list(_measure(learnt, "training items", report)), settings, rng)
    grower = RandomForestRegressor(
        n_estimators=settings.n_trees,
        max_leaf_nodes=settings.n_leaves,
        max_features=0.5,
        min_samples_leaf=2,
        oob_score=True,
        random_state=settings.seed,
        n_jobs=-1,
    )
    grower.fit(rows, gains_db)
    metrics: dict[str, Any] = {
        "r2_train": _rounded(r2_score(gains_db, grower.predict(rows))),
        "r2_out_of_bag": _rounded(grower.oob_score_),
    }
    if kept:
        tested = list(_measure(kept, "test items", report))
        test_rows, test_gains_db = _recordings(tested, settings, rng)
        predicted_db = grower.predict(test_rows)
        metrics["r2_test"] = _rounded(r2_score(test_gains_db, predicted_db))
        error_db = np.abs(predicted_db - test_gains_db)[:, :2]
        metrics["gain_error_db_median"] = _rounded(float(np.median(error_db)))
    card = {
        "kind": "forest",
        "training": {
            "n_trees": settings.n_trees,
            "n_leaves": settings.n_leaves,
            "n_recordings": settings.n_recordings,
            "preamp_range_db": PREAMP_RANGE_DB,
            "seed": settings.seed,
            "items": {"train and validation": len(learnt), "test": len(kept)},
            "rows": len(rows),
            "kits": sorted({item.kit for _, item in learnt}),
        },
        "metrics": metrics,
    }
    write_forest(folder, _as_arrays(grower, card))
    return metrics


def _measure(
    items: Sequence[tuple[Path, SessionItem]], what: str, report: Progress
) -> Iterator[StemGains]:
    for n_done, (corpus, item) in enumerate(items):
        report(what, n_done, len(items))
        yield measure_item(corpus, item)
    report(what, len(items), len(items))


def measure_item(corpus: Path, item: SessionItem) -> StemGains:
    """Measure the stems of an item, and find the gains of its dry mix by least squares."""
    stems, mix = read_stems(corpus, item), read_mix(corpus, item, "dry")
    measuring = Measuring(PAPER_ROLES, item.rate_hz)
    measuring.add(stems)
    blocks = [(stems, mix)]
    stereo, mono = fit_gains(blocks), fit_gains(blocks, is_mono=True)
    gains = np.concatenate([stereo.gains, mono.gains]).T
    measured = measuring.result()
    confidence = np.array([stem.confidence for stem in stereo.stems])
    is_known = ~measured.is_silent & (confidence >= LEAST_CONFIDENCE) & np.all(gains > 0, axis=1)
    gains_db = np.maximum(gain_to_db(np.maximum(gains, 1e-9), floor_db=-180.0), LEAST_GAIN_DB)
    return StemGains(measured, np.asarray(gains_db, np.float64), is_known)


def _recordings(
    items: Sequence[StemGains], settings: ForestSettings, rng: np.random.Generator
) -> tuple[FloatArray, NDArray[np.float64]]:
    """Rows and gains of every item as it is and at other preamp gains."""
    rows, gains_db = [], []
    for item in items:
        for turn in range(settings.n_recordings + 1):
            preamp_db = rng.uniform(-PREAMP_RANGE_DB, PREAMP_RANGE_DB, len(PAPER_ROLES))
            preamp_db = preamp_db if turn else np.zeros(len(PAPER_ROLES))
            rows.append(item.measured.at_gains(preamp_db).rows()[item.is_known])
            gains_db.append((item.gains_db - preamp_db[:, np.newaxis])[item.is_known])
    return np.concatenate(rows), np.concatenate(gains_db)


def _as_arrays(grower: Any, card: dict[str, Any]) -> Forest:
    trees = [estimator.tree_ for estimator in grower.estimators_]
    roots = np.cumsum([0, *(tree.node_count for tree in trees[:-1])])
    children = [
        np.stack([tree.children_left, tree.children_right], axis=1) + root
        for tree, root in zip(trees, roots, strict=True)
    ]
    feature = np.concatenate([tree.feature for tree in trees])
    return Forest(
        roots=roots.astype(np.int32),
        feature=np.where(feature >= 0, feature, -1).astype(np.int16),
        threshold=_rounded_down(np.concatenate([tree.threshold for tree in trees])),
        children=np.concatenate(children).astype(np.int32),
        value=np.concatenate([tree.value[:, :, 0] for tree in trees]).astype(np.float16),
        card=card,
    )


def _rounded_down(thresholds: NDArray[np.float64]) -> FloatArray:
    """The largest float32 that is not larger: a float32 row goes the same way by either."""
    nearest = thresholds.astype(np.float32)
    return np.where(nearest > thresholds, np.nextafter(nearest, np.float32(-np.inf)), nearest)


def _rounded(value: float) -> float:
    return round(float(value), 4)
