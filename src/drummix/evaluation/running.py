"""Evaluating systems on a part of a corpus: mix every item, measure, gather.

In: a rendered corpus and the names of systems. Out: an `EvaluationTable`, and in a report's folder
the mixes and a result for every item and system, from which the next run goes on.

Every system hears the eight microphones by their roles and does what `drummix mix` would have it
do with their levels; its mix is taken as it comes: nothing is turned up or down before the level
metrics, and the others are measured at the loudness of the target.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from drummix.audio import remove_leftovers
from drummix.corpus.items import SessionItem
from drummix.corpus.manifest import TARGETS, Target
from drummix.corpus.opening import open_corpus
from drummix.errors import DrummixError, SettingError
from drummix.evaluation.cache import (
    ResultCache,
    ResultKey,
    StoredResult,
    code_identity,
    item_checksum,
)
from drummix.evaluation.items import FloatArray, OpenItem, choose_items, open_item
from drummix.evaluation.keeping import keep_mix
from drummix.evaluation.measuring import METRICS, measure
from drummix.evaluation.oracles import ORACLES, fit_oracle
from drummix.evaluation.systems import (
    DEFAULT_SYSTEMS,
    checked_systems,
    make_system,
    mix_name,
    model_of,
    targets_of,
    weights_by_system,
)
from drummix.evaluation.table import EvaluationTable, Failure, Measurement, count_kits
from drummix.mixers.base import Mixer
from drummix.notices import OnNotice
from drummix.pool import check_is_shared, on_one_blas_thread, results_in_order

Progress = Callable[[int, int, str], None]
"""Called with items done, items in all, and the name of the last one."""


def evaluate(
    corpus: Path | str,
    *,
    part: str = "test",
    systems: Sequence[str] = DEFAULT_SYSTEMS,
    weights: Sequence[Path | str] = (),
    limit: int | None = None,
    as_recorded: bool = False,
    workers: int | None = None,
    ray: str | None = None,
    folder: Path | str | None = None,
    on_notice: OnNotice | None = None,
    progress: Progress | None = None,
) -> EvaluationTable:
    """Mix the items of a corpus with each system and measure the mixes against their targets.

    A system whose name ends in ``-dry`` or ``-wet`` is compared with that target, any other with
    both. An item or a system that fails is named in the table's failures; the others go on.

    Args:
        corpus: What `drummix.corpus.opening.open_corpus` opens.
        part: Which of its parts.
        systems: Names of mixing systems, and of `ORACLES`: the best gains or filters.
        weights: Folders of models, each in place of the shipped one of the system on its card.
        limit: Number of items, see `choose_items`; None takes all.
        as_recorded: Leave the stems' levels alone in those systems that would set them.
        workers: Processes that work at the same time; None for one, or one a core of the cluster.
        ray: Address of a Ray cluster to work on, or ``local``; None for no Ray.
        folder: A report's folder, where mixes and results are kept and results of an earlier run
            are taken from, if they came from the same audio, weights and code; None keeps nothing.
        on_notice: Called with what a person should know meanwhile.
        progress: Called after every item.

    Returns:
        Every number, in an order that does not depend on `workers` or on what was kept.

    Raises:
        CorpusError: If there is no such corpus, or the part has no items.
        SettingError: If a system is unknown, or an option is out of range.
        WeightsError: If a model is missing or damaged, and no other system is left.
        WorkerError: If there is no such cluster, or it does not see the corpus.
    """
    if workers is not None and workers < 1:
        raise SettingError("workers", workers, "give 1 or more")
    opened = open_corpus(corpus)
    items = choose_items(opened.part(part), limit=limit)
    chosen = checked_systems(systems)
    plan = _Plan(
        opened.folder.absolute(), chosen, weights_by_system(weights, chosen), as_recorded,
        None if folder is None else Path(folder).absolute(),
    )  # fmt: skip
    # Made here even where workers make their own: a missing model is said before work begins.
    evaluator = _Evaluator(plan)
    known, cache = _kept_results(plan, evaluator, items)
    jobs = [_Job(item, missing) for item in items if (missing := evaluator.missing(known, item))]
    n_known = len(items) - len(jobs)
    with _tidied(plan.folder):
        results = results_in_order(
            jobs,
            partial(_evaluator_there, plan),
            name_of=lambda job: job.item.item,
            died=lambda job, died: _ItemResult({}, [Failure(job.item.item, "", died.why)]),
            n_workers=workers,
            ray=ray,
            make_here=lambda: evaluator,
            on_notice=on_notice,
            progress=progress and (lambda n, n_all, name: progress(n_known + n, len(items), name)),
        )
    for job, result in zip(jobs, results, strict=True):
        known[job.item.item].update(result.systems, result.failures)
    models = {system: model_of(system, plan.weights) for system in chosen}
    return EvaluationTable(
        part=part,
        kits=count_kits(item.kit for item in items),
        systems=chosen,
        models={system: str(model) for system, model in models.items() if model.sha256},
        measurements=tuple(row for item in items for row in _rows(item, chosen, known[item.item])),
        failures=(
            *(Failure("", system, message) for system, message in evaluator.broken.items()),
            *(failure for item in items for failure in known[item.item].failures),
        ),
        notices=(*opened.notices(part), *(() if cache is None else cache.notices())),
        items=tuple(item.item for item in items),
    )


@dataclass(frozen=True)
class _Plan:
    """What a worker needs to know."""

    corpus: Path
    systems: tuple[str, ...]
    weights: Mapping[str, Path]
    as_recorded: bool
    folder: Path | None


@dataclass(frozen=True)
class _Job:
    """An item, and the systems that have no result on it yet."""

    item: SessionItem
    systems: tuple[str, ...]


class _ItemResult:
    """What is known of an item: a result for each system, and what failed."""

    def __init__(
        self,
        systems: Mapping[str, StoredResult] | None = None,
        failures: Sequence[Failure] = (),
    ) -> None:
        self.systems: dict[str, StoredResult] = dict(systems or {})
        self.failures = list(failures)

    def update(self, systems: Mapping[str, StoredResult], failures: Sequence[Failure]) -> None:
        self.systems.update(systems)
        self.failures += failures


class _Evaluator:
    """Evaluates one item after another with mixers that are made once."""

    def __init__(self, plan: _Plan) -> None:
        self.plan = plan
        self.broken: dict[str, str] = {}
        self._checksums: dict[str, str] = {}
        self._cache = None if plan.folder is None else ResultCache(plan.folder)
        self._mixers: dict[str, Mixer] = {}
        errors = []
        for system in plan.systems:
            try:
                if system not in ORACLES:
                    self._mixers[system] = make_system(
                        system, plan.weights, as_recorded=plan.as_recorded
                    )
            except DrummixError as error:
                self.broken[system] = str(error)
                errors.append(error)
        if len(errors) == len(plan.systems):
            raise errors[0]

    def key(self, item: SessionItem, system: str) -> ResultKey:
        """All that the result of a system on an item depends on."""
        if item.item not in self._checksums:
            self._checksums[item.item] = item_checksum(self.plan.corpus, item)
        return ResultKey(
            item=self._checksums[item.item],
            system=system,
            weights=model_of(system, self.plan.weights).sha256,
            as_recorded=self.plan.as_recorded,
            drummix=code_identity(),
        )

    def missing(self, known: Mapping[str, _ItemResult], item: SessionItem) -> tuple[str, ...]:
        """The systems that have yet to mix an item."""
        done = known[item.item].systems
        return tuple(s for s in self.plan.systems if s not in done and s not in self.broken)

    @on_one_blas_thread
    def result(self, job: _Job) -> _ItemResult:
        """Mix one item with the systems that are missing, measure, and keep what was made."""
        item, found = job.item, _ItemResult()
        targets = tuple(t for t in TARGETS if any(t in targets_of(s) for s in job.systems))
        try:
            opened = open_item(self.plan.corpus, item, targets)
            mixes = self._mixes(opened, job.systems, found.failures)
            values = _measured(opened, mixes)
            for system in mixes:
                gains_db = self._kept(item, opened, system, mixes[system])
                result = StoredResult(values[system], gains_db)
                found.systems[system] = result
                if self._cache is not None:
                    self._cache.write(item.item, self.key(item, system), result)
        except DrummixError as error:
            return _ItemResult({}, [*found.failures, Failure(item.item, "", str(error))])
        return found

    def _mixes(
        self, opened: OpenItem, systems: Sequence[str], failures: list[Failure]
    ) -> dict[str, dict[Target, FloatArray]]:
        """System -> target -> mix; what fails is added to `failures`."""
        mixes: dict[str, dict[Target, FloatArray]] = {}
        for system in systems:
            try:
                targets = targets_of(system)
                if system in ORACLES:
                    mixes[system] = {
                        target: _oracle_mix(opened, target, ORACLES[system]) for target in targets
                    }
                else:
                    mixes[system] = dict.fromkeys(targets, self._mix(system, opened))
            # A system may be anybody's, and its bugs are its own: the others go on.
            except Exception as error:
                said = str(error) if isinstance(error, DrummixError) else repr(error)
                failures.append(Failure(opened.item.item, system, said))
        return mixes

    def _mix(self, system: str, opened: OpenItem) -> FloatArray:
        blocks = self._mixers[system].plan(opened.session).blocks()
        return np.concatenate(list(blocks), axis=1)

    def _kept(
        self, item: SessionItem, opened: OpenItem, system: str, mixes: Mapping[Target, FloatArray]
    ) -> dict[str, float]:
        """Keep the mixes of a system, and the targets beside them; file name -> gain in dB."""
        if self._cache is None:
            return {}
        folder = self._cache.mixes_folder(item.item)
        for target, reference in opened.targets.items():
            keep_mix(folder / f"reference-{target}.flac", reference, item.rate_hz)
        named = {f"{mix_name(system, target)}.flac": mix for target, mix in mixes.items()}
        return {name: keep_mix(folder / name, mix, item.rate_hz) for name, mix in named.items()}


@contextmanager
def _tidied(folder: Path | None) -> Iterator[None]:
    """Remove what processes were writing when they were ended, however the block ends."""
    try:
        yield
    finally:
        if folder is not None:
            remove_leftovers(folder, is_deep=True)


def _evaluator_there(plan: _Plan) -> _Evaluator:
    """An evaluator in another process, which may be on another machine."""
    check_is_shared(plan.corpus)
    if plan.folder is not None:
        check_is_shared(plan.folder)
    return _Evaluator(plan)


def _kept_results(
    plan: _Plan, evaluator: _Evaluator, items: Sequence[SessionItem]
) -> tuple[dict[str, _ItemResult], ResultCache | None]:
    """Item -> what an earlier run kept of it, and where that was read."""
    known = {item.item: _ItemResult() for item in items}
    if plan.folder is None:
        return known, None
    cache = ResultCache(plan.folder)
    remove_leftovers(plan.folder, is_deep=True)
    for item in items:
        for system in evaluator.missing(known, item):
            stored = cache.read(item.item, evaluator.key(item, system))
            if stored is not None:
                known[item.item].systems[system] = stored
    return known, cache


def _oracle_mix(opened: OpenItem, target: Target, n_taps: int) -> FloatArray:
    oracle = fit_oracle(opened.blocks_with(target), n_taps=n_taps)
    return oracle.mix(opened.session.read())


def _measured(
    opened: OpenItem, mixes: Mapping[str, Mapping[Target, FloatArray]]
) -> dict[str, dict[str, dict[str, float]]]:
    """System -> target -> metric -> value."""
    values: dict[str, dict[str, dict[str, float]]] = {system: {} for system in mixes}
    for target, reference in opened.targets.items():
        of_target = {s: by_target[target] for s, by_target in mixes.items() if target in by_target}
        for system, measured in measure(of_target, reference, opened.item.rate_hz).items():
            values[system][target] = measured
    return values


def _rows(item: SessionItem, systems: Sequence[str], found: _ItemResult) -> list[Measurement]:
    label = partial(Measurement, item.item, item.kit, item.style)
    return [
        label(system, target, metric.name, of_target[metric.name])
        for target in TARGETS
        for system in systems
        if system in found.systems
        and (of_target := found.systems[system].values.get(target)) is not None
        for metric in METRICS
    ]
