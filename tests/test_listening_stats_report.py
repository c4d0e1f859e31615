"""Screening, the report and the commands: from a table of ratings to pages that say it plainly."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from drummix.cli import app
from drummix.errors import TextFileError
from drummix.listening.ratings import read_ratings_csv, write_ratings_csv
from drummix.listening.report import report_of, write_report
from drummix.listening.report_page import Report, Section, Table, to_html, to_markdown
from drummix.listening.results import Rating
from drummix.listening.screening import Screening
from drummix.listening.simulate import Effects, SimulatedSystem, Simulation, simulate_ratings
from drummix.listening.statistics.analysis import Analysis, analyse
from drummix.listening.statistics.conclusion import conclusion
from drummix.listening.statistics.declared import NO_SCREENING, Declared, read_declared
from drummix.listening.statistics.exclusion import screen

SYSTEMS = (
    SimulatedSystem("low", 10.0, "anchor"),
    SimulatedSystem("robot", 60.0),
    SimulatedSystem("human", 60.0, "reference"),
)
QUIET = Effects(2.0, 2.0, 0.0, 0.0, 0.0, 3.0, 0.0)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def rated(n_listeners: int = 12, n_items: int = 3, n_repeated: int = 1) -> list[Rating]:
    """Ratings as if people had given them."""
    simulation = Simulation(SYSTEMS, n_listeners, n_items, n_repeated, QUIET, "pilot")
    return [replace(row, state="finished") for row in simulate_ratings(simulation, rng())]


def of(rows: list[Rating], listener: str, **change: object) -> list[Rating]:
    """The same rows, one listener's changed."""
    return [replace(r, **change) if r.listener == listener else r for r in rows]  # type: ignore[arg-type]


def analysis_of(rows: list[Rating], **declared: object) -> Analysis:
    return analyse(rows, Declared(**declared), rng())  # type: ignore[arg-type]


def test_an_older_table_with_a_zero_byte_is_analysed_and_it_is_said(tmp_path: Path) -> None:
    rows = [replace(row, comment="a?b") if n == 0 else row for n, row in enumerate(rated(6))]
    path = write_ratings_csv(rows, tmp_path / "ratings.csv")
    path.write_bytes(path.read_bytes().replace(b"a?b", b"a\0b"))
    analysis = write_report(path, tmp_path / "report", rng())
    assert "ratings.csv: what listeners wrote holds 1 character" in analysis.notes[-1]


# --- screening --------------------------------------------------------------------------------

ONE = "simulated-001"


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ({"require_finished": True}, {"state": "submitted"}),
        ({"min_page_s": 5.0}, {"page_s": 4.0}),
        ({"min_listen_s": 0.5}, {"listen_s": 0.4}),
        ({"max_anchor_share": 0.5}, {"score": 50.0}),
    ],
)
def test_a_declared_rule_leaves_out_who_breaks_it_and_nobody_else(
    rule: dict[str, object], change: dict[str, object]
) -> None:
    rows = of(rated(), ONE, **change)
    screened = screen(rows, Declared(screening=replace(NO_SCREENING, **rule)))  # type: ignore[arg-type]
    assert screened.excluded == (ONE,)
    assert [(count.n_checked, count.excluded) for count in screened.rules] == [(12, (ONE,))]
    assert {row.listener for row in screened.all_ratings} - {
        r.listener for r in screened.ratings
    } == {ONE}
    assert screen(rows, Declared()).excluded == ()


def test_volume_repeats_and_answers_are_screened() -> None:
    rows = rated()
    loud = [replace(r, volume_db=7.0) if r.page == 2 and r.listener == ONE else r for r in rows]
    volume = Declared(screening=replace(NO_SCREENING, max_volume_change_db=6.0))
    assert screen(loud, volume).excluded == (ONE,)
    unsure = [replace(r, score=99.0) if r.repeat and r.listener == ONE else r for r in rows]
    repeats = Declared(screening=replace(NO_SCREENING, max_repeat_difference=20.0))
    assert screen(unsure, repeats).excluded == (ONE,)
    phones = Screening(
        False, None, max_volume_change_db=None, exclude_answers={"heard": ("phone",)}
    )
    answers = {ONE: {"heard": "phone"}, "simulated-002": {"heard": "headphones"}}
    found = screen(rows, Declared(screening=phones, answers=answers))
    assert found.excluded == (ONE,)
    assert found.rules[0].n_checked == 2


def test_open_pages_training_and_untouched_sliders_are_counted_and_left_out() -> None:
    rows = rated()
    rows[0] = replace(rows[0], state="open")
    rows[1] = replace(rows[1], score=None)
    rows[2] = replace(rows[2], page=0)
    found = screen(rows, Declared())
    assert (found.n_open, found.n_unscored, found.n_training) == (1, 1, 1)
    assert len(found.ratings) == len(rows) - 3


def test_published_statistics_take_all_listeners_and_the_others_those_who_are_left() -> None:
    rows = of(rated(), ONE, page_s=1.0)
    found = analysis_of(rows, screening=replace(NO_SCREENING, min_page_s=5.0))
    assert [row.n for row in found.published.normality] == [36, 36, 36]
    assert found.scores is not None
    assert len(found.scores.listeners) == 11


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("r.toml", "[screening]\nmin_pages = 3", "min_pages"),
        ("r.toml", "[screening]\nmin_page_s = 'long'", "a number"),
        ("r.toml", "[analysis]\nequivalence_margin = -3", "equivalence_margin is -3"),
        ("r.toml", "[analysis]\nequivalence_margin = nan", "equivalence_margin is nan"),
        ("r.toml", "[analysis]\nalpha = 5", "alpha is 5"),
        ("r.toml", "[analysis]\nmargin = 5", "unknown key analysis.margin"),
        ("r.toml", "[analysis", "is not TOML"),
        ("r.json", "{", "is not JSON"),
        ("r.json", "[]", "expected a table"),
        ("r.json", "{}", "declares nothing"),
        ("r.json", '{"a": ' * 2000, "nests deeper|is not JSON"),
        ("r.json", '{"analysis": {"alpha": ' + "9" * 5000 + "}}", "more than 30 digits"),
        ("r.json", '{"screening": 3}', "expected a table"),
        ("r.json", '{"screening": {}, "answers": {"ann": 3}}', "answers"),
    ],
)
def test_a_wrong_declaration_is_one_clear_line(
    tmp_path: Path, name: str, text: str, told: str
) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(TextFileError, match=told) as caught:
        read_declared(path)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


# --- what is said -----------------------------------------------------------------------------


def test_sameness_is_said_only_where_a_declared_margin_showed_it() -> None:
    rows = rated(20)
    without = conclusion(analysis_of(rows))
    assert "whether they differ remains open" in without
    assert "cannot show that systems are the same" in without
    within = conclusion(analysis_of(rows, equivalence_margin=5.0))
    assert "robot minus human" in within
    assert "shown to be the same within 5 points" in within


def test_a_difference_is_said_with_the_sign_of_its_interval() -> None:
    low = [
        replace(row, score=max(0.0, row.score - 9.0)) if row.system == "robot" else row
        for row in rated(20)
        if row.score is not None
    ]
    found = analysis_of(low)
    [pair] = [p for p in found.pairs if {p.first, p.second} == {"robot", "human"}]
    said = re.search(
        rf"{pair.first} minus {pair.second}: (\S+) points \(95% interval (\S+) to ([^)]+)\)",
        conclusion(found),
    )
    assert said is not None
    value, start, end = map(float, said.groups())
    assert start <= value <= end
    assert value == pytest.approx(pair.difference.value, abs=0.05)
    assert start == pytest.approx(pair.difference.low, abs=0.05)
    assert (value < 0) == (pair.first == "robot")


def test_a_large_p_is_never_told_as_sameness() -> None:
    noisy = Effects(5.0, 5.0, 15.0, 0.0, 0.0, 25.0, 0.0)
    simulation = Simulation(SYSTEMS[1:], 8, 3, 0, noisy)
    ratings = list(simulate_ratings(simulation, np.random.default_rng(3)))
    found = analysis_of(ratings, equivalence_margin=3.0)
    [pair] = found.pairs
    assert pair.p_holm > 0.05
    report = report_of(found)
    text = to_html(report, dict.fromkeys(_names(report), "<svg></svg>")) + conclusion(found)
    assert "whether they differ remains open" in text
    assert not re.search(r"indistinguish|identical|no difference between", text)


def _names(report: Report) -> list[str]:
    blocks = [block for section in report.sections for block in section.blocks]
    return [block.name for block in blocks if hasattr(block, "name")]


@pytest.mark.parametrize("n_listeners", [1, 2, 4])
def test_too_few_listeners_are_told_for_each_test_with_the_reason(n_listeners: int) -> None:
    found = analysis_of(rated(n_listeners, n_repeated=0), equivalence_margin=5.0)
    notes = " ".join(found.notes)
    for reason in (
        f"with {n_listeners} listeners, however large it is",
        "it takes 7 listeners",
        "Intervals need 5 listeners to resample",
        "equivalence test needs 5 listeners",
        "Friedman's test needs 5 listeners",
        "mixed model needs 5 listeners and 3 items",
        "reliability needs 10 ratings given twice",
    ):
        assert reason in notes
    assert all(pair.verdict == "open" for pair in found.pairs)
    assert "The power of the next study" in str(found.power)


def test_a_study_that_screening_empties_still_gives_the_published_tables() -> None:
    rows = [replace(row, page_s=1.0) for row in rated()]
    found = analysis_of(rows, screening=replace(NO_SCREENING, min_page_s=5.0))
    assert found.scores is None
    assert "Screening left nothing to compare" in conclusion(found)
    assert len(found.published.pairs) == 3


def test_a_margin_given_as_an_option_is_not_called_declared_beforehand() -> None:
    declared = Declared().with_options(margin=5.0, alpha=None)
    page = to_markdown(report_of(analyse(rated(3), declared, rng())), {"listeners": "", **_FILES})
    assert "may have been chosen after the ratings were seen" in page
    assert "Declared beforehand" not in page


_FILES = dict.fromkeys(("violins", "differences", "repeats", "power"), "x.png")


def test_nothing_to_analyse_is_refused() -> None:
    rows = [replace(row, state="open") for row in rated()]
    with pytest.raises(TextFileError, match="nothing to analyse yet"):
        analysis_of(rows)
    one = [row for row in rated() if row.system == "robot"]
    with pytest.raises(TextFileError, match="needs at least 2"):
        analysis_of(one)


# --- pages and files --------------------------------------------------------------------------


class Page(HTMLParser):
    """Tags and what they point to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.outside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "xlink:href") and not (value or "").startswith("#"):
                self.outside.append(f"{tag} {name}={value}")


def test_names_from_outside_are_text_in_both_pages() -> None:
    evil = "<script>alert(1)</script>|*x*"
    table = Table((evil,), ((evil,),))
    report = Report(evil, "", evil, (Section(evil, (evil, table)),))
    page = Page(to_html(report, {}))
    assert "script" not in page.tags
    markdown = to_markdown(report, {})
    assert "<script" not in markdown.replace("\\<script", "")
    rows = [line for line in markdown.splitlines() if line.startswith("| ")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {2}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two reports of the same simulated ratings."""
    folder = tmp_path_factory.mktemp("report")
    simulation = Simulation(SYSTEMS, 8, 3, 2, QUIET)
    write_ratings_csv(simulate_ratings(simulation, rng()), folder / "ratings.csv")
    (folder / "ratings.study.toml").write_text("[analysis]\nequivalence_margin = 4\n")
    for name in ("one", "two"):
        write_report(folder / "ratings.csv", folder / name, rng())
    return folder


def test_a_report_holds_every_figure_and_needs_nothing_from_outside(written: Path) -> None:
    text = (written / "one/report.html").read_text()
    page = Page(text)
    assert page.tags.count("svg") == 5
    assert page.outside == []
    assert "viewport" in text
    markdown = (written / "one/report.md").read_text()
    for name in re.findall(r"\]\((\w+\.png)\)", markdown):
        assert (written / "one" / name).stat().st_size > 5_000
    assert len(re.findall(r"\]\((\w+\.png)\)", markdown)) == 5


def test_simulated_ratings_are_loud_in_every_output(written: Path) -> None:
    for name in ("report.html", "report.md"):
        text = (written / "one" / name).read_text()
        assert text.index("SIMULATED RATINGS. All of these ratings (120 of 120)") < text.index(
            "These ratings are simulated: nobody has listened."
        )
    assert "<title>SIMULATED: " in (written / "one/report.html").read_text()
    assert json.loads((written / "one/results.json").read_text())["simulated_rows"] == 120
    assert {row.state for row in read_ratings_csv(written / "ratings.csv")} == {"simulated"}


def test_the_same_seed_gives_the_same_report_byte_for_byte(written: Path) -> None:
    for path in (written / "one").iterdir():
        assert path.read_bytes() == (written / "two" / path.name).read_bytes(), path.name


def test_the_declaration_beside_the_ratings_is_found(written: Path) -> None:
    declared = json.loads((written / "one/results.json").read_text())["declared"]
    assert declared["equivalence_margin"] == 4.0
    assert declared["source"] == "ratings.study.toml"


# --- commands ---------------------------------------------------------------------------------


def test_simulate_and_analyse_work_together_on_the_command_line(tmp_path: Path) -> None:
    table = tmp_path / "sim.csv"
    options = ["--listeners", "6", "--items", "3", "--system", "a=40", "--system", "b=60:reference"]
    run = CliRunner().invoke(app, ["listen", "simulate", "-o", str(table), *options])
    assert (run.exit_code, run.stdout.strip()) == (0, str(table))
    assert "36 SIMULATED ratings" in run.stderr
    run = CliRunner().invoke(
        app, ["listen", "analyse", str(table), "-o", str(tmp_path / "r"), "--margin", "6", "--json"]
    )
    found = json.loads(run.stdout)
    assert run.exit_code == 0
    assert found["declared"]["equivalence_margin"] == 6.0
    assert (tmp_path / "r/report.html").is_file()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["simulate", "--system", "a=200", "--system", "b=1"], "mean is 200"),
        (["simulate", "--system", "a"], "--system hold 'a'"),
        (["simulate", "--system", "a=5"], "are 1; give 2 or more"),
        (["simulate", "--system", "a=5", "--system", "a=6"], "twice; give each one name"),
        (["simulate", "--system", "a=5:king", "--system", "b=6"], "reference, test, anchor"),
        (["simulate", "--repeats", "7"], "give 0 to all"),
        (["simulate", "--taste-sd", "-1"], "--taste-sd is -1"),
        (["simulate", "--taste-sd", "nan"], "--taste-sd is nan"),
        (["simulate", "--listeners", "0"], "give 1 of each"),
        (["simulate", "--listeners", "1000000"], "up to 1000000"),
        (["analyse", "nothing.csv"], "nothing.csv does not exist"),
        (["import", "nothing.xml"], "nothing.xml does not exist"),
        (["export", "nothing"], "nothing"),
    ],
)
def test_a_wrong_option_or_file_is_one_line_and_status_1(
    tmp_path: Path, words: list[str], told: str
) -> None:
    run = CliRunner().invoke(app, ["listen", *words, "-o", str(tmp_path / "out.csv")])
    assert run.exit_code == 1
    assert told in run.stderr
    assert run.stderr.count("\n") == 1


def test_import_writes_a_table_that_analyse_reads(tmp_path: Path) -> None:
    results = tmp_path / "mushra.csv"
    rows = [
        f"drums,u-{n},loop,{name},{score + n},1000,"
        for n in range(3)
        for name, score in (("reference", 80), ("C1", 60), ("anchor35", 5))
    ]
    heading = "session_test_id,session_uuid,trial_id,rating_stimulus,rating_score,rating_time"
    results.write_text("\n".join([f"{heading},rating_comment", *rows]))
    out = tmp_path / "ratings.csv"
    run = CliRunner().invoke(app, ["listen", "import", str(results), "-o", str(out)])
    assert (run.exit_code, run.stdout.strip()) == (0, str(out))
    assert len(read_ratings_csv(out)) == 9
    assert analyse(read_ratings_csv(out), Declared(), rng()).n_simulated == 0
