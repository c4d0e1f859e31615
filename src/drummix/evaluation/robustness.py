"""What disturbed stems do to systems: the study of levels, missing microphones, swaps and noise.

In: a corpus and systems. Out: for every item, system and disturbance, how close the mix stays to
the system's own mix of the undisturbed stems, and how close it comes to the target.

Each disturbance is of one kind and one size (see `CONDITIONS`), so that its effect has a name.
Where it hits one microphone, the items take turns: the first item's kick, the second's snare, and
so on over the microphones that are heard. Every system hears the same stems. The best static gains
are fitted to the undisturbed stems and stay where they are, as faders do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from drummix.audio import Audio
from drummix.corpus.disturbance import Disturbance, disturb
from drummix.corpus.items import SessionItem
from drummix.corpus.manifest import TARGETS, Target
from drummix.corpus.opening import open_corpus
from drummix.errors import DrummixError, SettingError
from drummix.evaluation.items import FloatArray, OpenItem, choose_items, open_item
from drummix.evaluation.metrics import si_sdr_db
from drummix.evaluation.oracles import ORACLES, Oracle, fit_oracle
from drummix.evaluation.robustness_table import RobustnessRow, RobustnessTable
from drummix.evaluation.systems import (
    DEFAULT_SYSTEMS,
    checked_systems,
    make_system,
    model_of,
    sets_levels,
    targets_of,
    weights_by_system,
)
from drummix.evaluation.table import Failure, count_kits
from drummix.mixers.base import Mixer
from drummix.notices import OnNotice
from drummix.pool import check_is_shared, results_in_order
from drummix.roles import Role
from drummix.session import Session, open_session

Progress = Callable[[int, int, str], None]

UNDISTURBED = "undisturbed"
AS_RECORDED = ", as recorded"
"""Ends the name of a system that leaves the stems' levels alone, where it can do both."""

SILENT_PEAK = 1e-6
"""A stem that never gets above is not heard: disturbing it would show nothing."""

DELAY_MS = 1.0
NOISE_DBFS = -60.0


@dataclass(frozen=True)
class Condition:
    """One disturbance.

    Args:
        name: What it is called.
        disturbance: What it does to the microphones.
        microphone: The one that it hits; empty for all or none.
    """

    name: str
    disturbance: Disturbance
    microphone: str = ""


def conditions_of(
    roles: Sequence[Role], heard: Sequence[int], turn: int, *, is_every_stem: bool = False
) -> tuple[Condition, ...]:
    """The disturbances that an item suffers, the undisturbed one first.

    Args:
        roles: Role of every stem.
        heard: Which stems are not silent.
        turn: Number of the item: which microphone is hit, where one is.
        is_every_stem: Hit every microphone that is heard, not one an item.
    """
    none = Disturbance.none(len(roles))
    hit = list(heard) if is_every_stem else [heard[turn % len(heard)]] if heard else []

    def one(values: tuple[float, ...], stem: int, value: float) -> tuple[float, ...]:
        return (*values[:stem], value, *values[stem + 1 :])

    def flagged(stem: int) -> tuple[bool, ...]:
        return tuple(index == stem for index in range(len(roles)))

    conditions = [Condition(UNDISTURBED, none)]
    for gain_db in (-12.0, -6.0, 6.0, 12.0):
        conditions += [
            Condition(
                f"one stem {gain_db:+.0f} dB",
                replace(none, gains_db=one(none.gains_db, stem, gain_db)),
                roles[stem].value,
            )
            for stem in hit
        ]
    conditions += [
        Condition(
            f"no {roles[stem].value}", replace(none, dropped=flagged(stem)), roles[stem].value
        )
        for stem in heard
        if len(heard) > 1
    ]
    if {Role.OVERHEAD_LEFT, Role.OVERHEAD_RIGHT} <= {roles[stem] for stem in heard}:
        conditions.append(Condition("overheads swapped", replace(none, is_overheads_swapped=True)))
    for stem in hit:
        conditions += [
            Condition(
                "one polarity turned", replace(none, inverted=flagged(stem)), roles[stem].value
            ),
            Condition(
                f"one stem {DELAY_MS:g} ms late",
                replace(none, delays_ms=one(none.delays_ms, stem, DELAY_MS)),
                roles[stem].value,
            ),
        ]
    noisy = replace(none, noise_dbfs=(NOISE_DBFS,) * len(roles))
    conditions.append(Condition(f"noise at {NOISE_DBFS:g} dBFS", noisy))
    return tuple(conditions)


def measure_robustness(
    corpus: Path | str,
    *,
    rng: np.random.Generator,
    part: str = "test",
    systems: Sequence[str] = DEFAULT_SYSTEMS,
    weights: Sequence[Path | str] = (),
    limit: int | None = None,
    is_every_stem: bool = False,
    workers: int | None = None,
    ray: str | None = None,
    on_notice: OnNotice | None = None,
    progress: Progress | None = None,
) -> RobustnessTable:
    """Mix the items of a corpus undisturbed and under every disturbance, with every system.

    A system that sets the stems' levels first is also heard leaving them as recorded.

    Args:
        corpus: What `drummix.corpus.opening.open_corpus` opens. A corpus rendered with another
            tuning, or with a kit that was never trained on, shows what those do.
        rng: Draws the seed of the noise.
        part: Which of its parts.
        systems: Names of mixing systems, and ``static``.
        weights: Folders of models, each in place of the shipped one of its system.
        limit: Number of items, see `choose_items`; None takes all.
        is_every_stem: Hit every microphone of every item where one is hit.
        workers: As for `drummix.evaluation.evaluate`.
        ray: As for `drummix.evaluation.evaluate`.
        on_notice: Called with what a person should know meanwhile.
        progress: Called after every item.

    Raises:
        CorpusError: If there is no such corpus, or the part has no items.
        SettingError: If a system is unknown, or an option is out of range.
        WeightsError: If a model is missing or damaged.
        WorkerError: If there is no such cluster, or it does not see the corpus.
    """
    if workers is not None and workers < 1:
        raise SettingError("workers", workers, "give 1 or more")
    opened = open_corpus(corpus)
    items = choose_items(opened.part(part), limit=limit)
    chosen = checked_systems(systems)
    folders = weights_by_system(weights, chosen)
    corpus_folder, noise_seed = opened.folder.absolute(), int(rng.integers(2**32))
    plan = _Plan(corpus_folder, _variants(chosen), folders, is_every_stem, noise_seed)
    study = _Study(plan)
    results = results_in_order(
        list(enumerate(items)),
        partial(_study_there, plan),
        name_of=lambda job: job[1].item,
        died=lambda job, died: _ItemResult((), (Failure(job[1].item, "", died.why),)),
        n_workers=workers,
        ray=ray,
        make_here=lambda: study,
        on_notice=on_notice,
        progress=progress,
    )
    models = {system: model_of(system, folders) for system in chosen}
    return RobustnessTable(
        part=part,
        kits=count_kits(item.kit for item in items),
        systems=tuple(plan.variants),
        models={system: str(model) for system, model in models.items() if model.sha256},
        rows=tuple(row for result in results for row in result.rows),
        failures=tuple(failure for result in results for failure in result.failures),
    )


@dataclass(frozen=True)
class _Plan:
    """What a worker needs to know."""

    corpus: Path
    variants: Mapping[str, tuple[str, bool]]
    weights: Mapping[str, Path]
    is_every_stem: bool
    noise_seed: int


@dataclass(frozen=True)
class _ItemResult:
    rows: tuple[RobustnessRow, ...]
    failures: tuple[Failure, ...]


def _variants(systems: Sequence[str]) -> dict[str, tuple[str, bool]]:
    """Name -> system, and whether it leaves the levels alone."""
    variants: dict[str, tuple[str, bool]] = {}
    for system in systems:
        variants[system] = (system, False)
        if sets_levels(system):
            variants[system + AS_RECORDED] = (system, True)
    return variants


class _Study:
    """Studies one item after another with mixers that are made once."""

    def __init__(self, plan: _Plan) -> None:
        self._plan = plan
        self._mixers: dict[str, Mixer] = {
            name: make_system(system, plan.weights, as_recorded=as_recorded)
            for name, (system, as_recorded) in plan.variants.items()
            if system not in ORACLES
        }

    def result(self, job: tuple[int, SessionItem]) -> _ItemResult:
        """All systems under all disturbances on one item."""
        turn, item = job
        targets = tuple(
            t for t in TARGETS if any(t in targets_of(s) for s, _ in self._plan.variants.values())
        )
        try:
            opened = open_item(self._plan.corpus, item, targets)
        except DrummixError as error:
            return _ItemResult((), (Failure(item.item, "", str(error)),))
        rows: list[RobustnessRow] = []
        failures: list[Failure] = []
        for name, (system, _) in self._plan.variants.items():
            try:
                rows += self._rows(name, system, opened, turn)
            # A system may be anybody's, and its bugs are its own: the others go on.
            except Exception as error:
                said = str(error) if isinstance(error, DrummixError) else repr(error)
                failures.append(Failure(item.item, name, said))
        return _ItemResult(tuple(rows), tuple(failures))

    def _rows(self, name: str, system: str, opened: OpenItem, turn: int) -> Iterator[RobustnessRow]:
        stems = opened.session.read()
        roles = [stem.role for stem in opened.session.stems]
        heard = [n for n, stem in enumerate(stems) if np.max(np.abs(stem)) > SILENT_PEAK]
        conditions = conditions_of(roles, heard, turn, is_every_stem=self._plan.is_every_stem)
        fitted = {
            target: _oracle(opened, target, system) if system in ORACLES else None
            for target in targets_of(system)
        }
        clean: dict[Target, FloatArray] = {}
        for condition in conditions:
            # The same noise for every system, another for every item.
            rng = np.random.default_rng([self._plan.noise_seed, turn])
            disturbed = disturb(
                stems, opened.session.rate_hz, condition.disturbance, rng, roles=roles
            )
            mixes = self._mixes(name, disturbed, roles, opened.session.rate_hz, fitted)
            clean = clean or mixes
            for target, mix in mixes.items():
                item = opened.item
                yield RobustnessRow(
                    item.item, item.kit, name, target, condition.name, condition.microphone,
                    si_sdr_db(mix, opened.targets[target]), si_sdr_db(mix, clean[target]),
                )  # fmt: skip

    def _mixes(
        self,
        name: str,
        stems: FloatArray,
        roles: Sequence[Role],
        rate_hz: int,
        fitted: Mapping[Target, Oracle | None],
    ) -> dict[Target, FloatArray]:
        mixes: dict[Target, FloatArray] = {}
        made: FloatArray | None = None
        for target, oracle in fitted.items():
            if oracle is not None:
                mixes[target] = oracle.mix(stems)
                continue
            if made is None:
                session = _session(stems, roles, rate_hz)
                made = np.concatenate(list(self._mixers[name].plan(session).blocks()), axis=1)
            mixes[target] = made
        return mixes


def _study_there(plan: _Plan) -> _Study:
    """A study in another process, which may be on another machine."""
    check_is_shared(plan.corpus)
    return _Study(plan)


def _oracle(opened: OpenItem, target: Target, name: str) -> Oracle:
    return fit_oracle(opened.blocks_with(target), n_taps=ORACLES[name])


def _session(stems: FloatArray, roles: Sequence[Role], rate_hz: int) -> Session:
    named = {
        role.value: Audio(stem[np.newaxis], rate_hz)
        for role, stem in zip(roles, stems, strict=True)
    }
    return open_session(named, roles={role: role for role in named})
