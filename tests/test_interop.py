"""Results of other listening-test tools: read, refused where damaged, and written back."""

import csv
import io
import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from drummix import audio
from drummix.errors import TextFileError
from drummix.listening.build import BuiltStudy, build_study
from drummix.listening.events import Event
from drummix.listening.interop.transfer import export_study, import_results
from drummix.listening.interop.webmushra import webmushra_csv
from drummix.listening.plan import Page, SessionPlan, Slot
from drummix.listening.ratings import UNKNOWN_PLAYS, read_ratings_csv
from drummix.listening.results import Rating, read_ratings
from drummix.listening.simulate import Simulation, simulate_ratings
from drummix.listening.statistics.declared import read_declared
from drummix.listening.store import DATABASE_NAME, ResultStore, Session
from drummix.notices import Code

WAET = """<?xml version="1.0" encoding="utf-8"?>
<waetresult key="p-7" version="1.2.5">
  <page ref="loop-1" state="complete" presentedId="1">
    <metric><metricresult id="testTime" name="testTimer">61.5</metricresult></metric>
    <audioelement ref="human" name="A" type="normal" presentedId="2" url="0.wav">
      <comment><question>Comment on A</question><response>bright &amp; loud</response></comment>
      <value interface-name="preference">0.755</value>
      <metric>
        <metricresult name="enableElementTimer" id="elementTimer">12.25</metricresult>
        <metricresult name="enableElementInitialPosition"
          id="elementInitialPosition">0.4</metricresult>
        <metricresult name="enableElementFlagMoved" id="elementFlagMoved">true</metricresult>
        <metricresult name="enableElementListenTracker" id="elementListenTracker">
          <event id="0"/><event id="1"/></metricresult>
      </metric>
    </audioelement>
    <audioelement ref="low" type="anchor" presentedId="0"><value>0.1</value></audioelement>
    <audioelement ref="given" type="outside-reference"><value>0.5</value></audioelement>
  </page>
  <page ref="loop-2" state="incomplete" presentedId="0">
    <audioelement ref="human"><value/></audioelement>
    <audioelement ref="low"><value>1</value></audioelement>
  </page>
</waetresult>
"""
MUSHRA = """session_test_id,email,age,session_uuid,trial_id,rating_stimulus,rating_score,\
rating_time,rating_comment
drums,a@b.c,31,u-1,loop-1,reference,90,65210,
drums,a@b.c,31,u-1,loop-1,anchor35,12,65210,"dull, far"
drums,a@b.c,31,u-1,loop-1,C1,71,65210,
drums,a@b.c,31,u-1,loop-1__repeat1,C1,75,1000,
drums,,22,u-2,loop-1,C1,50,2000,
"""
# As published files are, whose versions write no session_uuid.
OLD_MUSHRA = """session_test_id,email,age,gender,trial_id,rating_stimulus,rating_score,rating_time,\
rating_comment
default_example,a@b.c,30,female,trial1,reference,100,51932,
default_example,a@b.c,30,female,trial1,C1,40,51932,
default_example,a@b.c,30,female,trial_random_1,reference,90,13790,
default_example,a@b.c,30,female,trial_random_1,C1,30,13790,
default_example,a@b.c,30,female,trial1,C1,50,1000,
default_example,a@b.c,30,female,trial1,reference,80,1000,
default_example,d@e.f,31,male,trial_random_1,C1,20,900,
"""
BEAQLE = json.dumps(
    [
        {
            "TestID": "loop-1",
            "Runtime": 65210,
            "rating": {"Reference": 95, "1": 70.5, "Anchor": 5},
            "filename": {"Reference": "a.wav", "1": "b.wav", "Anchor": "c.wav"},
        },
        {"TestID": "skipped"},
        {"UserName": "Ann", "UserEmail": "ann@example.org", "UserComment": "fine"},
    ]
)


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def message(*paths: Path, **options: object) -> str:
    with pytest.raises(TextFileError) as caught:
        import_results(paths, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def by_system(ratings: tuple[Rating, ...], item: str) -> dict[str, Rating]:
    return {row.system: row for row in ratings if row.item == item and row.repeat == 0}


# --- reading ----------------------------------------------------------------------------------


def test_waet_scores_metrics_and_comments_are_read(tmp_path: Path) -> None:
    ratings = import_results([write(tmp_path, "save-1.xml", WAET)], name="drums")
    rows = by_system(ratings, "loop-1")
    assert set(rows) == {"human", "low"}, "an outside reference is not rated"
    human = rows["human"]
    assert (human.study, human.session, human.score) == ("drums", "p-7", 75.5)
    assert (human.page, human.slot, human.plays, human.moved) == (2, 3, 2, True)
    assert (human.initial, human.listen_s, human.page_s) == (40.0, 12.25, 61.5)
    assert human.comment == "bright & loud"
    assert human.state == "imported"
    assert math.isnan(human.volume_db)
    unfinished = by_system(ratings, "loop-2")
    assert unfinished["human"].score is None
    assert unfinished["low"].score == 100.0
    assert {row.state for row in unfinished.values()} == {"open"}


def test_webmushra_rows_roles_and_repeats_are_read(tmp_path: Path) -> None:
    ratings = import_results([write(tmp_path, "mushra.csv", MUSHRA)])
    assert len(ratings) == 5
    first = by_system(tuple(r for r in ratings if r.session == "u-1"), "loop-1")
    assert {name: row.role for name, row in first.items()} == {
        "reference": "reference",
        "anchor35": "anchor",
        "C1": "test",
    }
    assert first["anchor35"].comment == "dull, far"
    assert first["C1"].page_s == 65.21
    assert first["C1"].plays == UNKNOWN_PLAYS
    [again] = [row for row in ratings if row.repeat == 1]
    assert (again.item, again.score, again.page) == ("loop-1", 75.0, 2)
    assert {row.study for row in ratings} == {"drums"}
    assert "a@b.c" not in repr(ratings)


def test_webmushra_files_without_sessions_are_told_apart(tmp_path: Path) -> None:
    ratings = import_results([write(tmp_path, "mushra.csv", OLD_MUSHRA)])
    scores: dict[str, list[float | None]] = {}
    for row in ratings:
        scores.setdefault(row.session, []).append(row.score)
    assert scores == {
        "default_example 1": [100.0, 40.0, 90.0, 30.0],
        "default_example 2": [50.0, 80.0],
        "default_example 3": [20.0],
    }
    assert {row.repeat for row in ratings} == {0}
    assert "@" not in repr(ratings)


def test_waet_page_that_repeats_another_is_counted_with_it(tmp_path: Path) -> None:
    again = WAET.replace('ref="loop-2"', 'ref="loop-1-repeat-1"').replace('state="incomplete"', "")
    ratings = import_results([write(tmp_path, "1.xml", again)])
    assert {row.item for row in ratings} == {"loop-1"}
    assert [(row.repeat, row.page) for row in ratings if row.system == "low"] == [(0, 2), (1, 1)]


def test_beaqle_scores_are_read_and_addresses_left_behind(tmp_path: Path) -> None:
    ratings = import_results([write(tmp_path, "201501011200_ann.txt", BEAQLE)], name="drums")
    rows = by_system(ratings, "loop-1")
    assert {name: (row.role, row.score) for name, row in rows.items()} == {
        "Reference": ("reference", 95.0),
        "1": ("test", 70.5),
        "Anchor": ("anchor", 5.0),
    }
    assert {row.listener for row in ratings} == {"Ann"}
    assert "example.org" not in repr(ratings)


def test_roles_can_be_said_and_a_name_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "save.xml", WAET)
    ratings = import_results([path], references=["human"], anchors=["low"])
    assert {row.system: row.role for row in ratings} == {"human": "reference", "low": "anchor"}
    assert "there are: human, low" in message(path, references=["nobody"])


def test_several_participants_come_together_and_none_twice(tmp_path: Path) -> None:
    one = write(tmp_path, "1.xml", WAET)
    two = write(tmp_path, "2.xml", WAET.replace("p-7", "p-8"))
    assert {row.session for row in import_results([one, two])} == {"p-7", "p-8"}
    assert "session 'p-7' is in" in message(one, write(tmp_path, "copy.xml", WAET))


def test_a_page_met_again_is_a_repeat(tmp_path: Path) -> None:
    again = WAET.replace('ref="loop-2"', 'ref="loop-1"').replace('state="incomplete"', "")
    ratings = import_results([write(tmp_path, "1.xml", again)])
    assert [row.repeat for row in ratings if row.system == "low"] == [0, 1]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("cut.xml", WAET[:700], "not whole XML"),
        ("kind.xml", "<svg></svg>", "expected <waetresult>"),
        ("score.xml", WAET.replace("0.755", "75.5"), "value is '75.5'; expected a number, 0 to 1"),
        ("score.xml", WAET.replace("0.755", "nan"), "page 'loop-1', 'human': value is 'nan'"),
        ("ref.xml", WAET.replace('ref="loop-1"', ""), "page 1 has no ref"),
        (
            "axes.xml",
            WAET.replace("<value>0.1</value>", "<value>0.1</value><value>0.2</value>"),
            "several scales",
        ),
        ("twice.xml", WAET.replace('ref="low" type', 'ref="human" type'), "twice on one page"),
        ("mushra.csv", MUSHRA[:-20], "line 6: not 9 cells"),
        ("mushra.csv", MUSHRA.replace(",71,", ",171,"), "line 4: rating_score is '171'"),
        ("mushra.csv", MUSHRA.replace(",C1,71", ",,71"), "line 4: rating_stimulus is empty"),
        ("mushra.csv", MUSHRA.replace("rating_stimulus", "choice"), "no column rating_stimulus"),
        ("a.txt", BEAQLE[:-30], "not whole JSON"),
        ("a.txt", BEAQLE.replace("70.5", '"much"'), "1 is 'much'"),
        ("a.txt", BEAQLE.replace("70.5", "true"), "1 is 'True'"),
        ("a.txt", '[{"TestID": "x", "correct": 3}]', "only BeaqleJS's MUSHRA tests"),
        ("a.txt", '{"a": 1}', "JSON of another kind"),
        ("a.txt", "[" * 100_000, "not whole JSON"),
        ("what.txt", "hello", "of no known tool"),
    ],
)
def test_a_damaged_file_is_one_clear_line(tmp_path: Path, name: str, text: str, told: str) -> None:
    path = write(tmp_path, name, text)
    assert told in message(path)
    assert name in message(path)


@pytest.mark.parametrize(
    "head",
    [
        '<!DOCTYPE waetresult [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE waetresult [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>',
        '<!DOCTYPE waetresult SYSTEM "http://localhost/x.dtd">',
    ],
)
def test_entities_and_document_types_are_refused_unread(tmp_path: Path, head: str) -> None:
    text = WAET.replace("?>\n", f"?>\n{head}\n").replace("bright &amp; loud", "&a;")
    assert "line 2: <!DOCTYPE> is refused" in message(write(tmp_path, "evil.xml", text))


# --- writing ----------------------------------------------------------------------------------


def test_webmushra_csv_reads_back_with_every_score(tmp_path: Path) -> None:
    simulated = simulate_ratings(Simulation(n_listeners=3, n_repeated=2), np.random.default_rng(0))
    ratings = [replace(row, comment='says "so", twice\nand more') for row in simulated]
    not_submitted = replace(ratings[0], session="late", state="open")
    text = webmushra_csv([*ratings, not_submitted])
    back = import_results([write(tmp_path, "mushra.csv", text)])

    def told(rows: list[Rating]) -> set[tuple[object, ...]]:
        return {(r.session, r.item, r.system, r.repeat, r.score, r.page_s, r.comment) for r in rows}

    assert told(list(back)) == told(ratings)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> BuiltStudy:
    folder = tmp_path_factory.mktemp("study")
    rng = np.random.default_rng(0)
    for item in ("one", "two"):
        (folder / "mixes" / item).mkdir(parents=True)
        for system in ("human", "robot", "thin"):
            noise = 0.1 * rng.standard_normal((2, 44_100)).astype(np.float32)
            audio.write(folder / "mixes" / item / f"{system}.wav", audio.Audio(noise, 44_100))
    (folder / "study.toml").write_text(
        'name = "pilot"\nexcerpt_s = 1.0\n[systems.human]\nrole = "reference"\n'
        '[systems.robot]\n[systems.thin]\nrole = "anchor"\n'
    )
    return build_study(folder / "study.toml", folder / "out")


def rate(built: BuiltStudy) -> None:
    """Let one listener rate both items, if nobody has yet."""
    items = {one.item: [s for s in built.stimuli if s.item == one.item] for one in built.stimuli}
    pages = tuple(
        Page(item, "test", 0, tuple(Slot(s.stimulus, 50.0) for s in stimuli))
        for item, stimuli in items.items()
    )
    session = Session("s-1", "ann", 0, SessionPlan(pages), 0.0)
    events = [Event("w", 1, "consent")]
    for page, shown in enumerate(pages):
        for slot in range(len(shown.slots)):
            events.append(Event("w", len(events) + 1, "play", page, slot))
            score = 10.0 * page + slot
            events.append(Event("w", len(events) + 1, "rate", page, slot, score))
        events.append(Event("w", len(events) + 1, "submit", page, value=30.0))
    with ResultStore(built.folder / DATABASE_NAME) as store:
        if not store.sessions():
            store.add_session(session, "token")
            store.record([("s-1", events, 0.0)])


def test_a_study_without_ratings_is_refused(built: BuiltStudy, tmp_path: Path) -> None:
    with ResultStore(built.folder / DATABASE_NAME) as store:
        if store.sessions():
            pytest.skip("another test has rated already")
    with pytest.raises(TextFileError, match="nobody has opened a page yet"):
        export_study(built.folder, tmp_path / "ratings.csv")


def test_a_study_is_exported_with_what_was_declared_beside_it(
    built: BuiltStudy, tmp_path: Path
) -> None:
    rate(built)
    path, _ = export_study(built.folder, tmp_path / "ratings.csv")
    rows = read_ratings_csv(path)
    assert len(rows) == 6
    assert {row.role for row in rows if row.system == "human"} == {"reference"}
    assert sorted(row.score for row in rows if row.score is not None) == [0, 1, 2, 10, 11, 12]
    declared = read_declared(tmp_path / "ratings.study.json")
    assert declared.screening == built.study.screening
    path, _ = export_study(built.folder, tmp_path / "mushra.csv", format="webmushra")
    assert len(list(csv.DictReader(io.StringIO(path.read_text())))) == 6


def test_webmushra_study_names_every_stimulus_and_no_system(
    built: BuiltStudy, tmp_path: Path
) -> None:
    yaml = pytest.importorskip("yaml", reason="an optional part")
    path, notices = export_study(
        built.folder, tmp_path / "pilot.yaml", format="webmushra-study", audio="configs/pilot/"
    )
    config = yaml.safe_load(path.read_text())
    assert (config["testId"], config["remoteService"]) == ("pilot", "service/write.php")
    [trials] = [page for page in config["pages"] if isinstance(page, list)]
    assert trials[0] == "random"
    for trial in trials[1:]:
        files = {trial["reference"], *trial["stimuli"].values()}
        of_item = [one for one in built.stimuli if one.item == trial["id"]]
        assert files == {f"configs/pilot/{one.stimulus}.wav" for one in of_item}
        [reference] = [one for one in of_item if one.role == "reference"]
        assert trial["reference"] == f"configs/pilot/{reference.stimulus}.wav"
    assert not any(system in path.read_text() for system in ("human", "robot", "thin"))
    assert notices == ()


def test_waet_study_names_every_stimulus_and_no_system(built: BuiltStudy, tmp_path: Path) -> None:
    path, _ = export_study(built.folder, tmp_path / "pilot.xml", format="waet-study", audio="a")
    root = ElementTree.fromstring(path.read_bytes())
    assert root.tag == "waet"
    assert {page.get("id") for page in root.findall("page")} == {"one", "two"}
    urls = {element.get("url") for element in root.iter("audioelement")}
    assert urls == {f"{one.stimulus}.wav" for one in built.stimuli}
    assert {page.get("hostURL") for page in root.findall("page")} == {"a/"}
    assert not any(system in path.read_text() for system in ("human", "robot", "thin"))


Results = Callable[[BuiltStudy], str]


def waet_results(built: BuiltStudy) -> str:
    elements = "".join(
        f'<audioelement ref="{one.stimulus}"><value>0.5</value></audioelement>'
        for one in built.stimuli
        if one.item == "one"
    )
    return f'<waetresult key="p"><page ref="one" state="complete">{elements}</page></waetresult>'


def webmushra_results(built: BuiltStudy) -> str:
    rows = [
        f"pilot,u,one,{'reference' if s.role == 'reference' else s.stimulus},50,1000,"
        for s in built.stimuli
        if s.item == "one"
    ]
    heading = "session_test_id,session_uuid,trial_id,rating_stimulus,rating_score,rating_time"
    return "\n".join([f"{heading},rating_comment", *rows])


@pytest.mark.parametrize("results", [waet_results, webmushra_results])
def test_results_of_an_exported_study_get_their_names_back(
    built: BuiltStudy, tmp_path: Path, results: Results
) -> None:
    path = write(tmp_path, "results.txt", results(built))
    ratings = import_results([path], study=built.folder)
    assert {(row.item, row.system, row.role) for row in ratings} == {
        ("one", "human", "reference"),
        ("one", "robot", "test"),
        ("one", "thin", "anchor"),
    }


def test_a_study_of_an_older_drummix_with_characters_that_no_file_keeps_is_exported(
    built: BuiltStudy, tmp_path: Path
) -> None:
    rate(built)
    older = tmp_path / "older"
    shutil.copytree(built.folder, older)
    with ResultStore(older / DATABASE_NAME) as store:
        session = store.sessions()[-1]
        answers = json.dumps({"age": 30, "headphones_model": "HD\ud83d"})
        events = [
            Event("older", 1, "answers", detail=answers),
            Event("older", 2, "finish", detail="bye \x00\x1b"),
        ]
        store.record([(session.session, events, 1e9)])
    path, notices = export_study(older, tmp_path / "out.csv")
    assert [(one.code, one.values["n_characters"]) for one in notices] == [
        (Code.CHARACTERS_REPLACED, 3)
    ]
    beside = json.loads((tmp_path / "out.study.json").read_text(encoding="utf-8"))
    assert beside["answers"][session.listener]["headphones_model"] == "HD\ufffd"
    assert beside["final_comments"][session.listener] == "bye \ufffd\ufffd"
    assert len(read_ratings_csv(path)) > 0


def test_ratings_exported_to_the_format_of_webmushra_come_back(
    built: BuiltStudy, tmp_path: Path
) -> None:
    rate(built)
    exported, _ = export_study(built.folder, tmp_path / "mushra.csv", format="webmushra")
    back = import_results([exported], study=built.folder)
    kept = [row for row in read_ratings(built.folder) if row.state != "open"]
    what = ("session", "item", "system", "role", "score", "repeat", "comment")
    assert [[getattr(row, name) for name in what] for row in back] == [
        [getattr(row, name) for name in what] for row in kept
    ]
    assert len(back) > 0


def test_results_of_another_study_are_refused(built: BuiltStudy, tmp_path: Path) -> None:
    assert "has no stimulus 'human'" in message(
        write(tmp_path, "save.xml", WAET), study=built.folder
    )
