"""Robustness and speed: known effects of known disturbances, and figures of real processes."""

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from numpy.typing import NDArray
from typer.testing import CliRunner

import made
from drummix import audio
from drummix.cli import robustness as cli_robustness
from drummix.cli import speed as cli_speed
from drummix.corpus.disturbance import disturb
from drummix.corpus.manifest import CorpusItem, write_manifest
from drummix.errors import SettingError
from drummix.evaluation import robustness
from drummix.evaluation.robustness import UNDISTURBED, conditions_of, measure_robustness
from drummix.evaluation.robustness_table import RobustnessTable
from drummix.evaluation.speed import measure_speed, write_session
from drummix.roles import PAPER_ROLES, Role

RATE_HZ = 44_100
N_SAMPLES = 22_050
Signal = NDArray[np.float32]


def orthogonal_stems(seed: int) -> Signal:
    """Eight microphones of equal energy that have nothing in common, each in its own place."""
    rng = np.random.default_rng(seed)
    stems = np.zeros((8, N_SAMPLES))
    length = N_SAMPLES // 8
    for number, row in enumerate(stems):
        part = rng.standard_normal(length)
        row[number * length : (number + 1) * length] = part / np.linalg.norm(part)
    return (5.0 * stems).astype(np.float32)


def write_item(corpus: Path, name: str, *, seed: int) -> CorpusItem:
    stems = orthogonal_stems(seed)
    # The plain sum, overheads to their sides: what `unity` makes.
    both = stems[:6].sum(axis=0)
    dry = np.stack([both + stems[6], both + stems[7]])
    return made.write_item(corpus, name, stems, {"dry": dry, "wet": dry}, seed=seed)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    write_manifest(folder, [write_item(folder, f"item_{n}", seed=n) for n in range(2)])
    return folder


@pytest.fixture(scope="module")
def table(corpus: Path) -> RobustnessTable:
    return measure_robustness(
        corpus, rng=np.random.default_rng(0), systems=["unity", "static"], is_every_stem=True
    )


def to_target(table: RobustnessTable, condition: str, microphone: str = "") -> list[float]:
    return [
        row.to_target_db
        for row in table.rows
        if (row.system, row.target, row.condition) == ("unity", "dry", condition)
        and row.microphone == microphone
    ]


# --- what is disturbed


def test_microphones_take_turns_and_every_one_goes_missing() -> None:
    heard = [0, 1, 2, 3, 4, 6, 7]
    hit = [
        next(c for c in conditions_of(PAPER_ROLES, heard, turn) if c.name == "one stem +6 dB")
        for turn in range(9)
    ]
    order = [PAPER_ROLES[n].value for n in heard]
    assert [c.microphone for c in hit] == [*order, *order[:2]]
    names = [c.name for c in conditions_of(PAPER_ROLES, heard, 0)]
    assert names[0] == UNDISTURBED
    assert [n for n in names if n.startswith("no ")] == [f"no {role}" for role in order]
    assert len(names) == len(set(names)) == 1 + 4 + 7 + 1 + 2 + 1


def test_every_stem_is_hit_when_asked() -> None:
    found = conditions_of(PAPER_ROLES, [0, 1, 2], 5, is_every_stem=True)
    hit = [c.microphone for c in found if c.name == "one polarity turned"]
    assert hit == [role.value for role in PAPER_ROLES[:3]]


def test_overheads_are_swapped_only_where_both_are_heard() -> None:
    names = [c.name for c in conditions_of(PAPER_ROLES, [0, 6], 0)]
    assert "overheads swapped" not in names
    assert [c.name for c in conditions_of(PAPER_ROLES, [], 0)] == [
        UNDISTURBED, "noise at -60 dBFS",
    ]  # fmt: skip


def test_each_condition_changes_what_it_names_and_nothing_else() -> None:
    stems, rng = orthogonal_stems(1), np.random.default_rng(0)
    for condition in conditions_of(PAPER_ROLES, list(range(8)), 2):
        after = disturb(stems, RATE_HZ, condition.disturbance, rng)
        changed = {
            role.value for role, old, new in zip(PAPER_ROLES, stems, after, strict=True)
            if not np.array_equal(old, new)
        }  # fmt: skip
        if condition.microphone:
            assert changed == {condition.microphone}, condition.name
        elif condition.name == "overheads swapped":
            assert changed == {Role.OVERHEAD_LEFT.value, Role.OVERHEAD_RIGHT.value}
        elif condition.name == UNDISTURBED:
            assert changed == set()


# --- effects known beforehand: twelve equal parts of energy, two for each close microphone


def test_undisturbed_unity_is_its_own_target(table: RobustnessTable) -> None:
    # The overheads are hard to their sides in both: nothing differs but rounding.
    assert min(to_target(table, UNDISTURBED)) > 100.0
    same = [r.to_undisturbed_db for r in table.rows if r.condition == UNDISTURBED]
    assert min(same) > 100.0


def test_a_missing_close_microphone_costs_its_share_of_the_energy(table: RobustnessTable) -> None:
    # Of 14 equal parts 2 are gone; alpha is 12/14, so the ratio is 12/14 over 2/14: 6 to 1.
    for value in to_target(table, "no snare", "snare"):
        assert value == pytest.approx(10 * math.log10(6.0), abs=0.01)


def test_turned_polarity_and_gains_cost_what_theory_says(table: RobustnessTable) -> None:
    """One of seven equal parts has gain g: alpha = (6 + g) / 7, error 6 (1 - a)^2 + (g - a)^2."""
    for condition, gain in (
        ("one polarity turned", -1.0),
        ("one stem +6 dB", 10 ** (6 / 20)),
        ("one stem -12 dB", 10 ** (-12 / 20)),
    ):
        alpha = (6 + gain) / 7
        expected = 7 * alpha**2 / (6 * (1 - alpha) ** 2 + (gain - alpha) ** 2)
        for value in to_target(table, condition, "kick"):
            assert value == pytest.approx(10 * math.log10(expected), abs=0.01), condition


def test_both_values_agree_where_the_undisturbed_mix_is_the_target(table: RobustnessTable) -> None:
    rows = [r for r in table.rows if r.system == "unity" and r.condition != UNDISTURBED]
    assert max(row.to_undisturbed_db for row in rows) < 60.0
    for row in rows:
        assert row.to_undisturbed_db == pytest.approx(row.to_target_db, abs=1e-3)


def test_swapped_overheads_cost_theirs(table: RobustnessTable) -> None:
    # 12 parts stay, 2 move to where none was: alpha 12/14, the rest is as large as theory says.
    alpha = 12 / 14
    error = 12 * (1 - alpha) ** 2 + 2 * alpha**2 + 2
    for value in to_target(table, "overheads swapped"):
        assert value == pytest.approx(10 * math.log10(14 * alpha**2 / error), abs=0.01)


def test_static_gains_stay_where_they_were(table: RobustnessTable) -> None:
    """Fitted to the undisturbed stems they equal unity's; a new fit would undo every gain."""
    static = {
        (r.item, r.condition, r.microphone): r.to_target_db
        for r in table.rows
        if (r.system, r.target) == ("static", "dry")
    }
    for row in table.rows:
        if (row.system, row.target) == ("unity", "dry") and row.condition != UNDISTURBED:
            found = static[row.item, row.condition, row.microphone]
            assert found == pytest.approx(row.to_target_db, abs=0.05)


def test_noise_is_the_same_for_every_system_and_run(corpus: Path) -> None:
    def noisy(seed: int) -> list[float]:
        found = measure_robustness(
            corpus, rng=np.random.default_rng(seed), systems=["unity"], limit=1
        )
        return [r.to_target_db for r in found.rows if r.condition == "noise at -60 dBFS"]

    assert noisy(1) == noisy(1) != noisy(2)


def test_workers_change_nothing(corpus: Path) -> None:
    one, two = (
        measure_robustness(corpus, rng=np.random.default_rng(0), systems=["unity"], workers=workers)
        for workers in (1, 2)
    )
    assert one == two


# --- tables, plot, failures


def test_table_csv_and_plot_hold_every_condition(table: RobustnessTable, tmp_path: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(table.to_csv())))
    assert len(rows) == len(table.rows)
    assert set(rows[0]) >= {"condition", "microphone", "to_target_db", "to_undisturbed_db"}
    json.dumps(table.to_mapping(), allow_nan=False)
    dry, wet = table.grids()
    assert [row[0] for row in dry.rows] == list(table.conditions)
    assert dict(zip(dry.heading, dry.rows[0], strict=True))["unity"].endswith("(=)")
    assert wet.heading == ("disturbance", "unity", "static")
    picture = table.draw(tmp_path / "plot.png")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["plot.png"]


def test_a_failing_system_is_named_and_the_others_go_on(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = robustness.make_system

    class Buggy:
        def plan(self, session: object) -> object:
            raise ValueError("no")

    def make(system: str, *arguments: Any, **options: Any) -> Any:
        return Buggy() if system == "anchor" else real(system, *arguments, **options)

    monkeypatch.setattr(robustness, "make_system", make)
    found = measure_robustness(
        corpus, rng=np.random.default_rng(0), systems=["anchor", "unity"], limit=1
    )
    assert [(f.system, f.message) for f in found.failures] == [("anchor", "ValueError('no')")]
    assert {row.system for row in found.rows} == {"unity"}


def invoke(command: Any, *arguments: object) -> Any:
    app = typer.Typer()
    app.callback()(lambda: None)
    command.register(app)
    return CliRunner().invoke(app, list(map(str, arguments)))


def test_robustness_command_prints_writes_and_draws(corpus: Path, tmp_path: Path) -> None:
    done = invoke(
        cli_robustness, "robustness", corpus, "--systems", "unity", "--limit", 1,
        "--csv", tmp_path / "rows.csv", "--plot", tmp_path / "plot.png",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "overheads swapped" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plot.png", "rows.csv"]
    missing = invoke(cli_robustness, "robustness", tmp_path, "--systems", "unity")
    assert "manifest.csv" in str(missing.exception)


# --- speed


def test_session_has_eight_microphones_of_the_length(tmp_path: Path) -> None:
    folder = write_session(tmp_path / "s", 1.5, np.random.default_rng(0))
    infos = [audio.probe(path) for path in folder.iterdir()]
    assert len(infos) == 8
    assert {(i.n_samples, i.rate_hz, i.subtype) for i in infos} == {(66_150, 44_100, "PCM_24")}


def test_speed_is_of_a_process_that_mixes_a_session() -> None:
    found = measure_speed(
        rng=np.random.default_rng(0), systems=["unity"], lengths_s=[2.0], repeats=1
    )
    [speed] = found.speeds
    assert found.failures == ()
    assert speed.wall_s > 0.0
    assert speed.seconds_per_second == speed.wall_s / 2.0
    # An interpreter with numpy and scipy takes 50 MB at least, and the mix takes more.
    assert 50.0 < speed.idle_mb <= speed.peak_mb < 2000.0
    assert found.grid().rows[0][:2] == ("unity", "2")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"systems": ["static"]}, "leave it out"),
        ({"systems": ["unit"]}, "systems names 'unit'"),
        ({"lengths_s": [0.0]}, "give 0.5 to 36000"),
        ({"lengths_s": []}, "at least one"),
        ({"repeats": 0}, "1 or more"),
    ],
)
def test_wrong_options_of_speed_are_said(options: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingError, match=says):
        measure_speed(rng=np.random.default_rng(0), **options)


def test_speed_command_refuses_lengths_that_are_no_numbers() -> None:
    done = invoke(cli_speed, "speed", "--lengths", "ten")
    assert done.exit_code == 2
    assert "no list of seconds" in done.stderr
