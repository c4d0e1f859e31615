"""The study file and the design: strict keys, balanced orders, nothing left to chance."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from drummix.errors import SettingError, TextFileError
from drummix.listening.design import Design, balanced_square, session_plan
from drummix.listening.plan import SessionPlan
from drummix.listening.study import PAPER_SYSTEMS, Study, read_study

STIMULI = {f"loop{i}": [f"{i}-{s}" for s in range(7)] for i in range(6)}


def written(folder: Path, text: str) -> Path:
    """Write a study file."""
    path = folder / "study.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("n", [2, 3, 4, 6, 7, 12])
def test_every_treatment_stands_at_every_place_and_follows_every_other_equally_often(
    n: int,
) -> None:
    rows = balanced_square(n)
    for place in range(n):
        assert set(Counter(row[place] for row in rows).values()) == {len(rows) // n}
    followers = Counter(pair for row in rows for pair in pairwise(row))
    assert len(followers) == n * (n - 1)
    assert set(followers.values()) == {1 if n % 2 == 0 else 2}


def test_orders_are_balanced_over_any_run_of_listeners() -> None:
    design = Design(STIMULI, seed=5)
    plans = [session_plan(design, number) for number in range(3, 3 + 42)]
    pages = Counter((n, p.item) for plan in plans for n, p in enumerate(plan.pages))
    assert set(pages.values()) == {7}
    slots = Counter(
        (n, slot.stimulus) for plan in plans for p in plan.pages for n, slot in enumerate(p.slots)
    )
    assert set(slots.values()) == {6}


def test_a_plan_depends_on_seed_and_number_only() -> None:
    plan = session_plan(Design(STIMULI, seed=5), 3)
    assert session_plan(Design(STIMULI, seed=5), 3) == plan
    assert session_plan(Design(STIMULI, seed=6), 3) != plan
    assert session_plan(Design(STIMULI, seed=5), 4) != plan
    assert SessionPlan.from_json(plan.to_json()) == plan


def test_training_comes_first_and_repeats_last_in_another_order() -> None:
    design = Design(STIMULI, seed=1, training="loop2", repeats=2)
    for number in range(12):
        pages = session_plan(design, number).pages
        assert [page.kind for page in pages] == ["training"] + ["test"] * 8
        assert pages[0].item == "loop2"
        assert [page.repeat for page in pages[1:]] == [0] * 6 + [1] * 2
        for repeat in pages[7:]:
            [first] = [p for p in pages[1:7] if p.item == repeat.item]
            names = [slot.stimulus for slot in first.slots]
            assert [slot.stimulus for slot in repeat.slots] != names
            assert {slot.stimulus for slot in repeat.slots} == set(names)


def test_every_item_is_repeated_by_equally_many_listeners() -> None:
    design = Design(STIMULI, seed=1, repeats=2)
    repeated = Counter(
        page.item for n in range(12) for page in session_plan(design, n).pages if page.repeat
    )
    assert set(repeated.values()) == {4}


def test_sliders_start_at_random_or_where_the_study_says() -> None:
    starts = {
        slot.initial
        for n in range(20)
        for page in session_plan(Design(STIMULI, seed=1), n).pages
        for slot in page.slots
    }
    assert min(starts) >= 0.0
    assert max(starts) <= 100.0
    assert len(starts) > 90
    fixed = session_plan(Design(STIMULI, seed=1, initial=50.0), 0)
    assert {slot.initial for page in fixed.pages for slot in page.slots} == {50.0}


def test_the_paper_preset_is_seven_mixes_of_six_loops(tmp_path: Path) -> None:
    study = read_study(written(tmp_path, "name = 'drums'\npreset = 'paper'\n"))
    assert dict(study.systems) == dict(PAPER_SYSTEMS)
    assert [s.role for s in study.systems.values()].count("reference") == 2
    assert study.systems["anchor"].low_pass == "bs1534"
    assert (study.lufs, study.excerpt_s) == (-28.0, 12.0)
    assert [q.name for q in study.questions][:4] == ["age", "gender", "experience", "headphones"]


def test_every_table_of_a_study_file_is_read(tmp_path: Path) -> None:
    text = """
name = "pilot"
items = ["a", "b"]
initial = 50
[systems.human]
role = "reference"
[systems.low]
role = "anchor"
source = "human"
low_pass = "paper"
[rules]
must_move = false
[screening]
max_anchor_share = 0.3
exclude_answers = { where = ["train"] }
[[questions]]
name = "where"
text = "Where are you?"
kind = "choice"
options = ["home", "train"]
"""
    study = read_study(written(tmp_path, text))
    assert list(study.items) == ["a", "b"]
    assert study.systems["low"].source == "human"
    assert (study.rules.must_play, study.rules.must_move) == (True, False)
    assert study.screening.exclude_answers == {"where": ("train",)}
    [question] = study.questions
    assert question.accepts("train")
    assert not question.accepts("boat")
    assert not question.accepts(None)


TWO = "name = 'x'\n[systems.a]\n[systems.b]\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("preset = 'paper'", 'has no key "name"'),
        ("name = 'x'\npreset = 'papre'", "preset is 'papre'; expected paper"),
        ("name = 'x'\npreset = 'paper'\ncolour = 1", "unknown key colour; known: bits, comments"),
        ("name = 'x'\npreset = 'paper'\nlufs = 'loud'", "lufs is 'loud'; expected a number"),
        ("name = 'x'\npreset = 'paper'\nlufs = 3", "lufs is 3; expected a number from -60 to -6"),
        ("name = 'x'\npreset = 'paper'\nrepeats = true", "repeats is true; expected a whole"),
        ("name = 'x'\npreset = 'paper'\nbits = 12", "bits is 12; expected 16 or 24"),
        ("name = 'x'\npreset = 'paper'\ninitial = 'low'", "initial is 'low'"),
        ("name = 'x'\npreset = 'paper'\nscale = ['a']", "scale has 1 entries; expected 5"),
        ("name = 'x'\npreset = 'paper'\nitems = ['a', 'a']", "items names 'a' twice"),
        ("name = 'x'\n[systems.a]\n", "systems names 1; compare 2 to 12"),
        ("name = '../x'\npreset = 'paper'", "name is '../x'; expected a name of letters"),
        ("name = 'x'\n[systems.'../a']\n[systems.b]", "is '../a'; expected a name of letters"),
        (TWO + "[systems.a]\n", "is not TOML"),
        (TWO + "low_pass = 'paper'", "systems.b: low_pass is 'paper'; only an anchor"),
        (
            TWO + "[items.i.files]\nc = 'c.wav'",
            "none of them; the systems are a, b",
        ),
        (TWO + "[rules]\nmust_sing = true", "unknown key rules.must_sing"),
        (
            TWO + "[screening]\nmax_anchor_share = 15",
            "max_anchor_share is 15; expected",
        ),
        (TWO + "[screening.exclude_answers]\nmood = ['bad']", "names 'mood'"),
        (TWO + "[[questions]]\nname='q'\ntext='?'\nkind='choice'", "options has 0 entries for 'q'"),
        (f"seed = {'9' * 5000}\n" + TWO, "more than 30 digits"),
        (TWO + f"x = {'[' * 5000}", "nests deeper than 32"),
        ("mixes = '" + "x" * 2000 + "'\n" + TWO, "expected a path"),
        ("excerpt_s = inf\n" + TWO, "expected a number"),
        (
            TWO + "[[questions]]\nname='q'\ntext='?'\n" * 1 + "[[questions]]\nname='q'\ntext='!'",
            "twice",
        ),
    ],
)
def test_a_wrong_study_file_says_what_and_what_to_do(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(TextFileError) as found:
        read_study(written(tmp_path, text))
    assert message in str(found.value)
    assert "study.toml" in str(found.value)
    assert str(found.value).isprintable()


def test_a_missing_study_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TextFileError, match=r"none\.toml does not exist"):
        read_study(tmp_path / "none.toml")


def test_thirteen_systems_are_too_many_for_a_page() -> None:
    with pytest.raises(SettingError, match="systems names 13"):
        Study("x", systems={f"s{n}": PAPER_SYSTEMS["forest-dry"] for n in range(13)})
