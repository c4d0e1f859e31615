"""The store of a listening test: nothing acknowledged is lost, nothing hostile gets in."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from drummix.errors import SettingError, TextFileError
from drummix.listening.events import Event, EventRefusedError, Rules, SessionState
from drummix.listening.plan import Page, SessionPlan, Slot
from drummix.listening.results import (
    COLUMNS,
    read_answers,
    read_final_comments,
    read_meta,
    read_ratings,
)
from drummix.listening.screening import Screening
from drummix.listening.store import ResultStore, Session, Stimulus, create_store

STIMULI = [
    Stimulus("aaa", "loop1", "human", "reference"),
    Stimulus("bbb", "loop1", "robot", "test"),
    Stimulus("ccc", "loop2", "human", "reference"),
    Stimulus("ddd", "loop2", "robot", "test"),
]
PLAN = SessionPlan(
    (
        Page("loop2", "training", 0, (Slot("ccc", 50.0), Slot("ddd", 50.0))),
        Page("loop1", "test", 0, (Slot("bbb", 20.0), Slot("aaa", 80.0))),
        Page("loop2", "test", 1, (Slot("ddd", 10.0), Slot("ccc", 30.0))),
    )
)


def write_store(folder: Path, **screening: float) -> Path:
    """Make a store of two items and two systems with one listener enrolled."""
    path = folder / "results.sqlite"
    create_store(
        path,
        study="pilot",
        rules=Rules(),
        stimuli=STIMULI,
        screening=Screening(**screening).to_mapping(),
    )
    with ResultStore(path) as store:
        store.add_session(Session("s1", "L001", 0, PLAN, 1e9), token="secret")
    return path


def numbered(*events: dict[str, object], writer: str = "w", first: int = 1) -> list[Event]:
    """Give events their numbers."""
    return [Event(writer=writer, number=first + n, **event) for n, event in enumerate(events)]  # type: ignore[arg-type]


def page_events(page: int, scores: list[float]) -> list[dict[str, object]]:
    """Play, rate and submit a page."""
    events: list[dict[str, object]] = [{"kind": "open", "page": page}]
    for slot, score in enumerate(scores):
        events.append({"kind": "play", "page": page, "slot": slot})
        events.append({"kind": "rate", "page": page, "slot": slot, "value": score})
        events.append({"kind": "stop", "page": page, "slot": slot, "value": 1.5})
    return [*events, {"kind": "submit", "page": page, "value": 12.0}]


def state_after(events: list[Event], rules: Rules | None = None) -> SessionState:
    """Fold events into a state, checking each."""
    state = SessionState(PLAN, rules or Rules())
    for event in events:
        state.check(event)
        state.apply(event)
    return state


def test_what_was_written_at_the_end_is_kept_of_whoever_wrote(tmp_path: Path) -> None:
    path = write_store(tmp_path)
    assert read_final_comments(path) == {}
    events = numbered({"kind": "consent"}, *page_events(0, [10, 20]), *page_events(1, [1, 2]))
    with ResultStore(path) as store:
        store.record([("s1", events, 1e9)])
        assert read_final_comments(path) == {}
        last = events[-1].number + 1
        store.record([("s1", numbered({"kind": "finish", "detail": "too loud"}, first=last), 2e9)])
    assert read_final_comments(path) == {"L001": "too loud"}


def test_ratings_are_the_last_scores_with_all_that_was_done(tmp_path: Path) -> None:
    path = write_store(tmp_path)
    events = numbered(
        {"kind": "consent"},
        {"kind": "answers", "detail": '{"age": 30}'},
        {"kind": "volume", "value": -3.0},
        *page_events(0, [10, 20]),
        {"kind": "open", "page": 1},
        {"kind": "play", "page": 1, "slot": 0},
        {"kind": "rate", "page": 1, "slot": 0, "value": 44.0},
        {"kind": "rate", "page": 1, "slot": 0, "value": 45.5},
        {"kind": "comment", "page": 1, "slot": 1, "detail": "boomy"},
        {"kind": "leave", "page": 1, "value": 3.0},
    )
    with ResultStore(path) as store:
        store.record([("s1", events, 1e9)])
    first, second = read_ratings(path)
    assert (first.system, first.score, first.plays, first.moved) == ("robot", 45.5, 1, True)
    assert (second.system, second.score, second.moved) == ("human", None, False)
    assert (second.comment, second.initial, second.role) == ("boomy", 80.0, "reference")
    assert (first.page, first.slot, second.slot, first.state) == (1, 1, 2, "open")
    assert (first.volume_db, first.page_s, first.study) == (-3.0, 3.0, "pilot")
    assert read_answers(path) == {"L001": {"age": 30}}


def test_training_comes_only_when_asked_for(tmp_path: Path) -> None:
    path = write_store(tmp_path)
    with ResultStore(path) as store:
        events = numbered({"kind": "consent"}, *page_events(0, [1, 2]), *page_events(1, [3, 4]))
        store.record([("s1", events, 1e9)])
    assert [(row.page, row.score) for row in read_ratings(path)] == [(1, 3.0), (1, 4.0)]
    every = [(row.page, row.score) for row in read_ratings(path, has_training=True)]
    assert every == [(0, 1.0), (0, 2.0), (1, 3.0), (1, 4.0)]


def test_rows_say_whether_page_and_study_were_finished(tmp_path: Path) -> None:
    path = write_store(tmp_path)
    pages = [*page_events(0, [1, 2]), *page_events(1, [3, 4])]
    with ResultStore(path) as store:
        store.record([("s1", numbered({"kind": "consent"}, *pages), 1e9)])
        assert {row.state for row in read_ratings(path)} == {"submitted"}
        last = [*page_events(2, [5, 6]), {"kind": "finish", "detail": ""}]
        store.record([("s1", numbered(*last, first=90), 1e9)])
    rows = list(read_ratings(path))
    assert {row.state for row in rows} == {"finished"}
    assert [row.repeat for row in rows] == [0, 0, 1, 1]
    assert set(vars(rows[0])) == set(COLUMNS)


def test_what_comes_late_for_a_submitted_page_changes_nothing() -> None:
    start = numbered({"kind": "consent"}, *page_events(0, [10, 20]))
    late = numbered({"kind": "rate", "page": 0, "slot": 0, "value": 99.0}, writer="other tab")
    assert state_after([*start, *late]).slots[0][0].score == 10.0


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"kind": "rate", "page": 0, "slot": 0, "value": 100.5}, "between 0 and 100"),
        ({"kind": "rate", "page": 0, "slot": 0, "value": -0.1}, "between 0 and 100"),
        ({"kind": "rate", "page": 0, "slot": 0, "value": float("nan")}, "between 0 and 100"),
        ({"kind": "rate", "page": 0, "slot": 0, "value": 50.0}, "was played"),
        ({"kind": "rate", "page": 0, "slot": 2, "value": 50.0}, "no slot 2"),
        ({"kind": "rate", "page": 0, "slot": -1, "value": 50.0}, "no slot -1"),
        ({"kind": "rate", "page": 1, "slot": 0, "value": 50.0}, "not open yet"),
        ({"kind": "open", "page": 3}, "no page 3"),
        ({"kind": "open", "page": 0, "slot": 1}, "no use for slot"),
        ({"kind": "play", "page": 0}, "lacks slot"),
        ({"kind": "submit", "page": 0, "value": 1.0}, "not yet played and moved: 1, 2"),
        ({"kind": "finish", "detail": ""}, "pages left"),
        ({"kind": "delete"}, "unknown kind"),
        ({"kind": "volume", "value": 40.0}, "between -60 and 0"),
        ({"kind": "loop", "page": 0, "detail": "3 1"}, "ends after its start"),
        ({"kind": "loop", "page": 0, "detail": "nan inf"}, "ends after its start"),
        ({"kind": "answers", "detail": "[1]"}, "not a JSON object"),
        ({"kind": "answers", "detail": '{"age": NaN}'}, "not JSON"),
        ({"kind": "comment", "page": 0, "slot": 0, "detail": "x" * 2001}, "2000 characters"),
    ],
)
def test_an_event_that_cannot_be_is_refused(event: dict[str, object], reason: str) -> None:
    state = state_after(numbered({"kind": "consent"}))
    with pytest.raises(EventRefusedError, match=reason):
        state.check(numbered(event, first=2)[0])


def test_consent_and_questionnaire_come_before_the_first_page() -> None:
    state = SessionState(PLAN, has_questions=True)
    [opening] = numbered({"kind": "open", "page": 0})
    with pytest.raises(EventRefusedError, match="consent"):
        state.check(opening)
    state.apply(numbered({"kind": "consent"})[0])
    with pytest.raises(EventRefusedError, match="questionnaire"):
        state.check(opening)
    state.apply(numbered({"kind": "answers", "detail": "{}"})[0])
    state.check(opening)


def test_the_same_number_is_kept_once(tmp_path: Path) -> None:
    path = write_store(tmp_path)
    events = numbered({"kind": "consent"})
    with ResultStore(path) as store:
        store.record([("s1", events, 1e9)])
        with pytest.raises(sqlite3.IntegrityError):
            store.record([("s1", events, 1e9)])
        assert store.find_event("s1", "w", 1) == events[0]
        assert len(list(store.events("s1"))) == 1


def test_no_commit_is_lost_when_the_process_is_killed(tmp_path: Path) -> None:
    path = write_store(tmp_path)
    script = """
import sys
from pathlib import Path
from drummix.listening.events import Event
from drummix.listening.store import ResultStore
store = ResultStore(Path(sys.argv[1]))
store.record([("s1", [Event("w", 1, "consent")], 1e9)])
n = 1
while True:
    n += 1
    store.record([("s1", [Event("w", n, "volume", value=-1.0)], 1e9)])
    print(n, flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        last = [int(writer.stdout.readline()) for _ in range(25)][-1]
        os.kill(writer.pid, signal.SIGKILL)
        acknowledged = max([last, *(int(n) for n in writer.stdout.read().split())])
    with ResultStore(path) as store:
        numbers = [event.number for event in store.events("s1")]
    assert numbers[:acknowledged] == list(range(1, acknowledged + 1))


def test_a_session_is_found_by_its_token_only_and_the_token_is_not_kept(tmp_path: Path) -> None:
    path = write_store(tmp_path)
    with ResultStore(path) as store:
        found = store.find_session("secret")
        assert found is not None
        assert found.plan == PLAN
        assert store.find_session("s1") is None
        assert store.next_number() == 1
        with pytest.raises(SettingError, match="enrolled already"):
            store.add_session(Session("s2", "L001", 1, PLAN, 1e9), token="other")
    assert b"secret" not in b"".join(p.read_bytes() for p in tmp_path.iterdir())


def test_screening_is_kept_with_the_study(tmp_path: Path) -> None:
    path = write_store(tmp_path, max_anchor_share=0.3)
    kept = Screening.from_mapping(read_meta(path)["screening"])
    assert kept == Screening(max_anchor_share=0.3)
    with pytest.raises(SettingError, match=r"max_anchor_share is 15; expected"):
        Screening(max_anchor_share=15)


def test_a_missing_foreign_or_damaged_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TextFileError, match=r"results\.sqlite does not exist"):
        list(read_ratings(tmp_path))
    foreign = tmp_path / "notes.txt"
    foreign.write_text("hello " * 400)
    with pytest.raises(TextFileError, match=r"notes\.txt cannot be read as the results"):
        list(read_ratings(foreign))
    path = write_store(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TextFileError, match=r"results\.sqlite cannot be read as the results"):
        list(read_ratings(path))
    with pytest.raises(TextFileError, match="never overwritten"):
        create_store(path, study="x", rules=Rules(), stimuli=[], screening={})


def test_a_newer_schema_is_not_guessed_at(tmp_path: Path) -> None:
    path = write_store(tmp_path)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE meta SET value = ? WHERE key = 'schema'", (json.dumps(99),))
    with pytest.raises(TextFileError, match="schema 99; this drummix reads 1 to 2"):
        list(read_ratings(path))


def write_first_schema(folder: Path) -> Path:
    """Make a store as the first schema was: listeners stand in it by name."""
    path = write_store(folder)
    with ResultStore(path) as store:
        for number, name in enumerate(("Ada", "L001"), start=1):
            session = Session(f"s{number + 1}", f"x{number}", number, PLAN, 1e9)
            store.add_session(session, token=name)
        store.record([("s2", numbered({"kind": "consent"}, *page_events(0, [10, 20])), 1e9)])
    with sqlite3.connect(path) as db:
        db.execute("DROP TABLE names")
        db.execute("UPDATE sessions SET listener = 'first' WHERE number = 0")
        db.execute("UPDATE sessions SET listener = 'Ada' WHERE number = 1")
        # A name that is the code of another.
        db.execute("UPDATE sessions SET listener = 'L001' WHERE number = 2")
        db.execute("UPDATE meta SET value = '1' WHERE key = 'schema'")
    return path


@pytest.mark.parametrize("is_read_only", [True, False])
def test_a_store_of_the_first_schema_is_read_with_codes_and_its_names_apart(
    tmp_path: Path, is_read_only: bool
) -> None:
    path = write_first_schema(tmp_path)
    with ResultStore(path, is_read_only=is_read_only) as store:
        assert [one.listener for one in store.sessions()] == ["L001", "L002", "L003"]
        assert store.names() == {"s1": "first", "s2": "Ada", "s3": "L001"}
        found = store.find_session("Ada")
        assert found is not None
        assert (found.listener, len(list(store.events(found.session)))) == ("L002", 9)
    assert read_meta(path)["schema"] == (1 if is_read_only else 2)
    assert {row.listener for row in read_ratings(path, has_training=True)} == {"L002"}
    with ResultStore(path) as store:
        store.add_session(Session("s4", "L004", 3, PLAN, 1e9), "token", name="Grace")
        assert store.names()["s4"] == "Grace"
        with pytest.raises(SettingError, match="Ada is enrolled already"):
            store.add_session(Session("s5", "L005", 4, PLAN, 1e9), "other", name="Ada")
        assert len(store.sessions()) == 4
