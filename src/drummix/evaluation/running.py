"""Evaluating systems on a part of a corpus: mix every item, measure, gather.

In: a rendered corpus and the names of systems. Out: an `EvaluationTable`.

Every system hears the eight microphones by their roles, at the level they were recorded at, and
its mix is taken as it comes: nothing is turned up or down before the level metrics, and the others
are measured at the loudness of the target.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from drummix.corpus import processes
from drummix.corpus.manifest import TARGETS, CorpusItem, Target, read_manifest
from drummix.errors import DrummixError, SettingError, WeightsError
from drummix.evaluation.items import FloatArray, OpenItem, choose_items, open_item
from drummix.evaluation.metrics import (
    at_gain,
    crest_difference_db,
    l1_relative,
    left_right_correlation,
    lufs_difference_db,
    sdr_db,
    si_sdr_db,
)
from drummix.evaluation.spectral import band_error_db, mr_stft_distances, octave_band_levels_db
from drummix.evaluation.static import fit_static_gains
from drummix.evaluation.table import METRICS, EvaluationTable, Failure, Measurement, count_kits
from drummix.mixers.base import Mixer
from drummix.mixers.registry import DESCRIPTIONS, make_mixer
from drummix.mixers.weights import load_model, read_card

Progress = Callable[[int, int, str], None]
"""Called with items done, items in all, and the name of the last one."""

STATIC = "static"
"""The best static gains, fitted to the very item: not a system, but a mark to measure them by."""

DEFAULT_SYSTEMS = ("waveunet-dry", "waveunet-wet", STATIC, "unity", "anchor")
NETWORKS: Mapping[Target, str] = {"dry": "waveunet-dry", "wet": "waveunet-wet"}
"""The systems that take weights, by the target these were trained for."""


def evaluate(
    corpus: Path | str,
    *,
    part: str = "test",
    systems: Sequence[str] = DEFAULT_SYSTEMS,
    weights: Sequence[Path | str] = (),
    limit: int | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> EvaluationTable:
    """Mix the items of a corpus with each system and measure the mixes against their targets.

    A system whose name ends in ``-dry`` or ``-wet`` is compared with that target, any other with
    both. An item or a system that fails is named in the table's failures; the others go on.

    Args:
        corpus: Folder of a rendered corpus.
        part: Which of its parts.
        systems: Names of mixing systems, and ``static`` for the best static gains.
        weights: Folders of models, each in place of the shipped one of its target.
        limit: Number of items, see `choose_items`; None takes all.
        workers: Processes that work at the same time.
        progress: Called after every item.

    Returns:
        Every number, in an order that does not depend on `workers`.

    Raises:
        CorpusError: If there is no such corpus, or the part has no items.
        SettingError: If a system is unknown, or an option is out of range.
        WeightsError: If a model is missing or damaged.
    """
    if workers < 1:
        raise SettingError(f"{workers} workers; give 1 or more")
    folder = Path(corpus)
    items = choose_items(read_manifest(folder, part=part), limit=limit)
    chosen = _checked_systems(systems)
    plan = _Plan(folder, chosen, _weights_by_system(weights, chosen))
    # Made here even where workers make their own: a missing model is said before work begins.
    evaluator = _Evaluator(plan)
    results = []
    for result in _results(evaluator, items, workers):
        results.append(result)
        if progress is not None:
            progress(len(results), len(items), result.item)
    return EvaluationTable(
        part=part,
        kits=count_kits(item.kit for item in items),
        systems=chosen,
        models={system: _describe_model(system, plan.weights) for system in _networks(chosen)},
        measurements=tuple(row for result in results for row in result.measurements),
        failures=tuple(failure for result in results for failure in result.failures),
    )


def targets_of(system: str) -> tuple[Target, ...]:
    """The targets that a system is compared with.

    >>> targets_of("waveunet-wet"), targets_of("unity")
    (('wet',), ('dry', 'wet'))
    """
    own = tuple(target for target in TARGETS if system.endswith(f"-{target}"))
    return own or TARGETS


def measure(
    mixes: Mapping[str, FloatArray], target: FloatArray, rate_hz: int
) -> dict[str, dict[str, float]]:
    """All metrics of several mixes against one target.

    Args:
        mixes: Name -> mix (2, samples).
        target: What each should be, (2, samples).
        rate_hz: Sample rate in Hz of all.

    Returns:
        Name -> metric -> value, metrics as in `drummix.evaluation.table.METRICS`. SDR and loudness
        are of the mix as it is, all others at the loudness of the target.
    """
    louder_db = {name: lufs_difference_db(mix, target, rate_hz) for name, mix in mixes.items()}
    matched = {name: at_gain(mix, -louder_db[name]) for name, mix in mixes.items()}
    distances = mr_stft_distances(list(matched.values()), target)
    target_correlation = left_right_correlation(target)
    target_bands_db = octave_band_levels_db(target, rate_hz)
    return {
        name: {
            "si_sdr_db": si_sdr_db(mix, target),
            "mr_stft": distance,
            "sdr_db": sdr_db(mixes[name], target),
            "l1_relative": l1_relative(mix, target),
            "lufs_difference_db": louder_db[name],
            "crest_difference_db": crest_difference_db(mix, target),
            "correlation_difference": left_right_correlation(mix) - target_correlation,
            "octave_balance_db": band_error_db(
                octave_band_levels_db(mix, rate_hz), target_bands_db
            ),
        }
        for (name, mix), distance in zip(matched.items(), distances, strict=True)
    }


@dataclass(frozen=True)
class _Plan:
    """What a worker needs to know."""

    corpus: Path
    systems: tuple[str, ...]
    weights: Mapping[str, Path]


@dataclass(frozen=True)
class _ItemResult:
    item: str
    measurements: tuple[Measurement, ...]
    failures: tuple[Failure, ...]


class _Evaluator:
    """Evaluates one item after another with mixers that are made once."""

    def __init__(self, plan: _Plan) -> None:
        self.plan = plan
        self._targets = tuple(
            target for target in TARGETS if any(target in targets_of(s) for s in plan.systems)
        )
        self._mixers = {
            system: _make_mixer(system, plan.weights) for system in plan.systems if system != STATIC
        }

    def result(self, item: CorpusItem) -> _ItemResult:
        """Mix one item with every system, and measure."""
        try:
            opened = open_item(self.plan.corpus, item, self._targets)
        except DrummixError as error:
            return _ItemResult(item.item, (), (Failure(item.item, "", str(error)),))
        rows: list[Measurement] = []
        failures: dict[str, Failure] = {}
        mixes: dict[str, FloatArray] = {}
        for target, reference in opened.targets.items():
            compared = [system for system in self.plan.systems if target in targets_of(system)]
            for system in compared:
                if system in failures or (system in mixes and system != STATIC):
                    continue
                try:
                    mixes[system] = self._mix(system, opened, target)
                except DrummixError as error:
                    failures[system] = Failure(item.item, system, str(error))
            made = {system: mixes[system] for system in compared if system not in failures}
            try:
                measured = measure(made, reference, item.rate_hz)
            except DrummixError as error:
                failures[""] = Failure(item.item, "", str(error))
                continue
            rows += _rows(item, target, measured)
        return _ItemResult(item.item, tuple(rows), tuple(failures.values()))

    def _mix(self, system: str, opened: OpenItem, target: Target) -> FloatArray:
        if system == STATIC:
            gains = fit_static_gains(opened.blocks_with(target))
            stems = opened.session.read()
            blocks = iter([gains.mix(stems)])
        else:
            blocks = self._mixers[system].plan(opened.session).blocks()
        mix = np.concatenate(list(blocks), axis=1)
        if not np.isfinite(mix).all():
            raise WeightsError("its mix holds samples that are not numbers; get its model again")
        return mix


def _rows(
    item: CorpusItem, target: Target, measured: Mapping[str, Mapping[str, float]]
) -> list[Measurement]:
    label = partial(Measurement, item.item, item.kit, item.style)
    return [
        label(system, target, metric.name, values[metric.name])
        for system, values in measured.items()
        for metric in METRICS
    ]


def _results(
    evaluator: _Evaluator, items: Sequence[CorpusItem], workers: int
) -> Iterator[_ItemResult]:
    if workers == 1 or len(items) == 1:
        yield from map(evaluator.result, items)
        return
    with ProcessPoolExecutor(
        min(workers, len(items)), initializer=_start_worker, initargs=(evaluator.plan,)
    ) as pool:
        try:
            yield from pool.map(_result_in_worker, items)
        except BrokenProcessPool:
            raise SettingError(
                "a process of the evaluation was ended from outside (out of memory?); "
                "give fewer workers"
            ) from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


_worker: _Evaluator | None = None


def _start_worker(plan: _Plan) -> None:
    global _worker
    processes.start()
    _worker = _Evaluator(plan)


def _result_in_worker(item: CorpusItem) -> _ItemResult:
    assert _worker is not None
    return _worker.result(item)


def _networks(systems: Sequence[str]) -> list[str]:
    return [system for system in systems if system in NETWORKS.values()]


def _make_mixer(system: str, weights: Mapping[str, Path]) -> Mixer:
    is_network = system in NETWORKS.values()
    return make_mixer(system, weights=weights.get(system), is_as_recorded=is_network)[0]


def _describe_model(system: str, weights: Mapping[str, Path]) -> str:
    model = load_model(weights.get(system, system))
    return f"{model.name}, sha256 {model.sha256[:16]}"


def _checked_systems(systems: Sequence[str]) -> tuple[str, ...]:
    known = (*DESCRIPTIONS, STATIC)
    for system in systems:
        if system not in known:
            raise SettingError(f"there is no system {system!r}; use {', '.join(known)}")
    if not systems:
        raise SettingError(f"no system to evaluate; name some of {', '.join(known)}")
    return tuple(dict.fromkeys(systems))


def _weights_by_system(weights: Sequence[Path | str], systems: Sequence[str]) -> dict[str, Path]:
    by_system: dict[str, Path] = {}
    for folder in map(Path, weights):
        target: Target = read_card(folder)["target"]
        system = NETWORKS[target]
        if system not in systems:
            raise SettingError(f"{folder} was trained for {target} mixes; add --systems {system}")
        if system in by_system:
            raise SettingError(
                f"{folder} and {by_system[system]} are both for {system}; give one a run"
            )
        by_system[system] = folder
    return by_system
