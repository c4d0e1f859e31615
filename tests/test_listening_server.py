"""The server of a listening test: blind towards its listeners, deaf to everybody else."""

import asyncio
import json
import socket
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drummix import audio
from drummix.audio import Audio
from drummix.errors import SettingError
from drummix.listening import recorder
from drummix.listening.addresses import Door, client_address
from drummix.listening.build import BuiltStudy, build_study
from drummix.listening.enrolment import codes_of, invite
from drummix.listening.events import Event, EventRefusedError
from drummix.listening.interop.transfer import export_study
from drummix.listening.limits import RateLimit
from drummix.listening.recorder import Recorder
from drummix.listening.results import read_ratings
from drummix.listening.store import ResultStore

pytest.importorskip("starlette", reason="the extra `listen` is not installed")
pytest.importorskip("httpx", reason="the extra `dev` is not installed")

from starlette.testclient import TestClient

from drummix.listening.server import SECURITY_HEADERS, create_app
from drummix.listening.serving import Serving, serve

SYSTEMS = ("zebra-dry", "quagga-wet", "anchor")
ITEMS = ("gamelan", "calypso")
SECRETS = (*SYSTEMS, *ITEMS, "zebra", "quagga", "reference", "anchor")
STUDY = """
name = "pilot"
title = "Listening"
rate_hz = 16000
excerpt_s = 0.6
open_enrolment = true
training = "none"
max_listeners = 20
[systems.zebra-dry]
role = "reference"
[systems.quagga-wet]
[systems.anchor]
role = "anchor"
source = "zebra-dry"
[[questions]]
name = "age"
text = "How old are you?"
kind = "number"
low = 18
high = 99
[[questions]]
name = "model"
text = "Which headphones?"
required = false
"""


@pytest.fixture(scope="module")
def mixes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a study file with the mixes of two items."""
    folder = tmp_path_factory.mktemp("study")
    rng = np.random.default_rng(0)
    for item in ITEMS:
        (folder / "mixes" / item).mkdir(parents=True)
        for system in SYSTEMS[:2]:
            noise = 0.1 * rng.standard_normal((2, 12_000), dtype=np.float32)
            audio.write(folder / "mixes" / item / f"{system}.wav", Audio(noise, 16_000))
    (folder / "study.toml").write_text(STUDY)
    return folder


@pytest.fixture
def built(mixes: Path, tmp_path: Path) -> BuiltStudy:
    """Build the study into a folder of this test's own."""
    return build_study(mixes / "study.toml", tmp_path / "study")


@pytest.fixture
def client(built: BuiltStudy) -> Iterator[TestClient]:
    """Run the application in this process."""
    with client_of(built) as running:
        yield running


def client_of(built: BuiltStudy, door: Door | None = None) -> TestClient:
    """A client that reaches the server as a browser on this machine does."""
    return TestClient(create_app(built, door), base_url="http://127.0.0.1:8000")


class Listener:
    """A listener's browser, as far as the server can tell."""

    def __init__(self, client: TestClient, token: str) -> None:
        self.client = client
        self.token = token
        self.number = 0

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def session(self) -> Any:
        return self.client.get("/api/session", headers=self.headers).json()

    def post(self, *events: dict[str, Any], writer: str = "writer-1") -> Any:
        """Send events, numbered on from the last."""
        numbered = []
        for event in events:
            self.number += 1
            numbered.append({"number": self.number, **event})
        body = {"writer": writer, "events": numbered}
        return self.client.post("/api/events", json=body, headers=self.headers)

    def begin(self) -> "Listener":
        """Agree and answer, up to the first page."""
        answer = self.post({"kind": "consent"}, {"kind": "answers", "detail": '{"age": 30}'})
        assert answer.status_code == 200
        return self

    def rate_page(self, page: int, scores: list[float]) -> None:
        """Play and rate every slot of a page, then submit it."""
        for slot, score in enumerate(scores):
            self.post(
                {"kind": "play", "page": page, "slot": slot},
                {"kind": "rate", "page": page, "slot": slot, "value": score},
            )
        assert self.post({"kind": "submit", "page": page, "value": 9.5}).status_code == 200


def enrolled(client: TestClient) -> Listener:
    """Enrol a new listener."""
    return Listener(client, client.post("/api/enrol").json()["token"])


def admin(built: BuiltStudy) -> dict[str, str]:
    return {"Authorization": f"Bearer {built.admin_token}"}


def test_a_listener_goes_from_consent_to_the_end(client: TestClient, built: BuiltStudy) -> None:
    listener = enrolled(client)
    first = listener.session()
    assert (first["has_consented"], first["has_answered"], first["page"]["page"]) == (
        False,
        False,
        0,
    )
    listener.begin()
    listener.rate_page(0, [10, 20, 30])
    assert listener.session()["page"]["page"] == 1
    listener.rate_page(1, [40, 50, 60])
    assert listener.session()["page"] is None
    listener.post({"kind": "finish", "detail": "nice"})
    assert listener.session()["is_finished"]
    rows = list(read_ratings(built.folder))
    assert [row.score for row in rows] == [10, 20, 30, 40, 50, 60]
    assert {row.state for row in rows} == {"finished"}
    assert {(row.item, row.system) for row in rows} == {(i, s) for i in ITEMS for s in SYSTEMS}


def test_a_restarted_server_goes_on_where_the_session_was(built: BuiltStudy) -> None:
    with client_of(built) as client:
        listener = enrolled(client).begin()
        listener.rate_page(0, [10, 20, 30])
        listener.post({"kind": "play", "page": 1, "slot": 2})
        listener.post({"kind": "rate", "page": 1, "slot": 2, "value": 77.5})
    with client_of(built) as client:
        listener.client = client
        page = listener.session()["page"]
        assert (page["page"], page["slots"][2]["score"], page["slots"][2]["moved"]) == (
            1,
            77.5,
            True,
        )
        assert [slot["moved"] for slot in page["slots"]] == [False, False, True]


def test_nothing_sent_to_a_listener_names_a_system_or_an_item(
    client: TestClient, built: BuiltStudy
) -> None:
    listener = enrolled(client).begin()
    page = listener.session()["page"]
    answers = [
        client.get("/"),
        client.get("/admin"),
        client.get("/api/session", headers=listener.headers),
        listener.post({"kind": "play", "page": 0, "slot": 0}),
        listener.post({"kind": "rate", "page": 0, "slot": 9, "value": 1}),
        client.get("/api/audio/none", headers=listener.headers),
    ]
    for key in [*(slot["audio"] for slot in page["slots"]), *page["next_audio"]]:
        answers.append(client.get(f"/api/audio/{key}", headers=listener.headers))
        assert answers[-1].status_code == 200
    answers += [client.get(f"/static/{name}") for name in ("app.js", "engine.js", "style.css")]
    for answer in answers:
        told = f"{answer.url} {answer.headers}".encode() + answer.content
        found = [name for name in SECRETS if name.encode() in told.lower()]
        assert not found, f"{answer.url} tells {found}"
        for stimulus in built.stimuli:
            assert stimulus.stimulus.encode() not in told
            assert stimulus.source.encode() not in told


def test_audio_of_all_systems_has_the_same_headers_and_length(client: TestClient) -> None:
    listener = enrolled(client)
    keys = [slot["audio"] for slot in listener.session()["page"]["slots"]]
    answers = [client.get(f"/api/audio/{key}", headers=listener.headers) for key in keys]
    assert len({json.dumps(dict(answer.headers), sort_keys=True) for answer in answers}) == 1
    assert len({answer.content for answer in answers}) == 3
    assert {"etag", "last-modified"} & set(answers[0].headers) == set()


def test_names_of_sounds_differ_between_listeners_and_pages(client: TestClient) -> None:
    first, second = enrolled(client), enrolled(client)
    pages = [first.session()["page"], second.session()["page"]]
    keys = [
        key for page in pages for key in [*(s["audio"] for s in page["slots"]), *page["next_audio"]]
    ]
    assert len(set(keys)) == len(keys) == 12
    foreign = pages[1]["slots"][0]["audio"]
    assert client.get(f"/api/audio/{foreign}", headers=first.headers).status_code == 404


def test_a_page_not_yet_reached_cannot_be_heard_or_rated(client: TestClient) -> None:
    listener = enrolled(client).begin()
    earlier = listener.session()["page"]["slots"][0]["audio"]
    answer = listener.post({"kind": "play", "page": 1, "slot": 0})
    assert (answer.status_code, answer.json()["saved"]) == (409, [])
    listener.rate_page(0, [1, 2, 3])
    assert client.get(f"/api/audio/{earlier}", headers=listener.headers).status_code == 404


def test_a_replay_is_acknowledged_and_kept_once(client: TestClient, built: BuiltStudy) -> None:
    listener = enrolled(client).begin()
    listener.post({"kind": "play", "page": 0, "slot": 0})
    body = {
        "writer": "writer-1",
        "events": [{"number": 50, "kind": "rate", "page": 0, "slot": 0, "value": 33}],
    }
    for clock in (1.0, 2.0, 3.0):
        body["events"][0]["client_s"] = clock  # type: ignore[index]
        answer = client.post("/api/events", json=body, headers=listener.headers)
        assert (answer.status_code, answer.json()["saved"]) == (200, [50])
    body["events"][0]["value"] = 99  # type: ignore[index]
    answer = client.post("/api/events", json=body, headers=listener.headers)
    assert answer.status_code == 409
    assert "used for something else" in answer.json()["refused"][0]["reason"]
    with ResultStore(built.folder / "results.sqlite", is_read_only=True) as store:
        [session] = store.sessions()
        kept = [e.value for e in store.events(session.session) if e.kind == "rate"]
    assert kept == [33.0]


def test_a_replay_is_known_after_a_restart(built: BuiltStudy) -> None:
    [link] = invite(built.folder, ["Ada"], count=1, url="http://lab").values()
    body = {"writer": "writer-1", "events": [{"number": 1, "kind": "consent"}]}
    for _ in range(2):
        with client_of(built) as client:
            listener = Listener(client, link.partition("#")[2])
            answer = client.post("/api/events", json=body, headers=listener.headers)
            assert answer.json()["saved"] == [1]
    with ResultStore(built.folder / "results.sqlite", is_read_only=True) as store:
        assert len(list(store.events(store.sessions()[0].session))) == 1


def test_what_comes_before_a_refused_event_is_saved_and_what_comes_after_is_not(
    client: TestClient,
) -> None:
    listener = enrolled(client).begin()
    answer = listener.post(
        {"kind": "play", "page": 0, "slot": 0},
        {"kind": "rate", "page": 0, "slot": 0, "value": 101},
        {"kind": "play", "page": 0, "slot": 1},
    )
    assert answer.status_code == 409
    assert answer.json()["saved"] == [3]
    assert answer.json()["refused"] == [{"number": 4, "reason": "a score lies between 0 and 100"}]
    assert [slot["played"] for slot in listener.session()["page"]["slots"]] == [True, False, False]


@pytest.mark.parametrize(
    "events",
    [
        [{"number": 1, "kind": "rate", "page": 0, "slot": 0, "value": True}],
        [{"number": 1, "kind": "rate", "page": 0, "slot": 0, "value": "50"}],
        [{"number": 1, "kind": "rate", "page": 0.5, "slot": 0, "value": 5}],
        [{"number": 0, "kind": "consent"}],
        [{"number": 2**60, "kind": "consent"}],
        [{"number": 1, "kind": "consent", "session": "x"}],
        [{"number": 10**400, "kind": "consent"}],
        [{"number": 1, "kind": "volume", "value": -(10**400)}],
        [{"number": 1, "kind": "volume", "value": -1, "client_s": 10**400}],
        [{"number": 1, "kind": "open", "page": 10**400}],
        [{"number": 1, "kind": "con\ud83dsent", "\ud83d": 1}],
        [{"number": 1, "kind": "consent", "client_s": -5}],
        [{"kind": "consent"}],
        ["consent"],
        "consent",
        [],
        [{"number": n + 1, "kind": "consent"} for n in range(201)],
    ],
)
def test_messages_of_another_shape_are_refused_whole(client: TestClient, events: object) -> None:
    listener = enrolled(client)
    body = json.dumps({"writer": "writer-1", "events": events})
    answer = client.post("/api/events", content=body, headers=listener.headers)
    assert answer.status_code == 400
    assert not listener.session()["has_consented"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"[" * 100_000,
        b'{"writer": "writer-1", "events": [{"number": 1, "kind": "volume", "value": NaN}]}',
        b'{"writer": "writer-1", "events": [{"number": 1, "kind": "volume", "value": 1e999}]}',
        b'{"writer": "writer-1", "events": [], "events": [{"number": 1, "kind": "consent"}]}',
        b'{"writer": "../../x", "events": [{"number": 1, "kind": "consent"}]}',
        b'{"writer": "writer-1", "events": [{"number": 1, "kind": "consent"}], "admin": true}',
        b"\xff\xfe\x00",
    ],
)
def test_bodies_that_are_no_messages_are_refused(client: TestClient, body: bytes) -> None:
    listener = enrolled(client)
    answer = client.post("/api/events", content=body, headers=listener.headers)
    assert answer.status_code in (400, 409)
    assert not listener.session()["has_consented"]


def test_an_oversized_body_is_refused_whatever_its_header_claims(client: TestClient) -> None:
    listener = enrolled(client)

    def chunks(n: int) -> Iterator[bytes]:
        for _ in range(n):
            yield b" " * 1024

    for content in (b" " * 300_000, b" " * 3_000_000, chunks(300), chunks(3000)):
        answer = client.post("/api/events", content=content, headers=listener.headers)
        assert answer.status_code == 413
    for claim in ("-1", "9" * 5000):
        lying = {**listener.headers, "content-length": claim}
        assert client.post("/api/events", content=b"{}", headers=lying).status_code == 413


@pytest.mark.parametrize(
    "path",
    [
        "/static/../study.json",
        "/static/..%2f..%2fstudy.json",
        "/static/%2e%2e/server.py",
        "/static//etc/passwd",
        "/static/study.json",
        "/api/audio/../../study.json",
        "/api/audio/..%2f..%2fresults.sqlite",
        "/study.json",
        "/results.sqlite",
        "/audio/",
    ],
)
def test_no_path_leads_to_a_file(client: TestClient, built: BuiltStudy, path: str) -> None:
    answer = client.get(path, headers=enrolled(client).headers)
    assert answer.status_code in (401, 404)
    assert built.secret.encode() not in answer.content
    assert b"SQLite" not in answer.content


def test_a_file_name_of_the_study_is_no_name_of_a_sound(
    client: TestClient, built: BuiltStudy
) -> None:
    headers = enrolled(client).headers
    for one in built.stimuli:
        assert client.get(f"/api/audio/{one.stimulus}", headers=headers).status_code == 404


def test_without_a_valid_token_nothing_is_readable(client: TestClient, built: BuiltStudy) -> None:
    listener = enrolled(client)
    key = listener.session()["page"]["slots"][0]["audio"]
    paths = ["/api/session", f"/api/audio/{key}", "/api/admin/progress", "/api/admin/ratings"]
    wrong = [{}, {"Authorization": "Bearer x"}, {"Authorization": f"Basic {listener.token}"}]
    for path in paths:
        for headers in wrong:
            assert client.get(path, headers=headers).status_code == 401
    for path in paths[2:]:
        assert client.get(path, headers=listener.headers).status_code == 401
    assert client.get("/api/session", headers=admin(built)).status_code == 401
    posted = client.post("/api/admin/invite", json={}, headers=listener.headers)
    assert posted.status_code == 401


def test_wrong_tokens_are_slowed_down(client: TestClient) -> None:
    headers = {"Authorization": "Bearer guess"}
    codes = [client.get("/api/session", headers=headers).status_code for _ in range(60)]
    assert codes[:20] == [401] * 20
    assert codes[-1] == 429


def test_a_flood_of_messages_is_slowed_down_for_its_sender_alone(client: TestClient) -> None:
    flooding, quiet = enrolled(client), enrolled(client)
    codes = [flooding.post({"kind": "volume", "value": -1}).status_code for _ in range(120)]
    assert set(codes) == {200, 429}
    assert codes[:50] == [200] * 50
    assert quiet.post({"kind": "volume", "value": -1}).status_code == 200


def test_a_bucket_gives_a_burst_and_then_its_rate() -> None:
    limit = RateLimit(per_s=2.0, burst=5, max_clients=2)
    assert [limit.allows("a", 0.0) for _ in range(7)] == [True] * 5 + [False] * 2
    assert [limit.allows("a", 1.0) for _ in range(3)] == [True, True, False]
    assert limit.allows("b", 1.0)
    assert limit.allows("c", 1.0)
    # Two are remembered; who was forgotten starts anew.
    assert [limit.allows("a", 1.0) for _ in range(6)] == [True] * 5 + [False]


@pytest.mark.parametrize("answers", ['{"age": 12}', '{"age": "30"}', "{}", '{"age": 30, "x": 1}'])
def test_answers_must_fit_their_questions(client: TestClient, answers: str) -> None:
    listener = enrolled(client)
    listener.post({"kind": "consent"})
    assert listener.post({"kind": "answers", "detail": answers}).status_code == 409
    assert not listener.session()["has_answered"]


def test_every_answer_carries_the_security_headers(client: TestClient) -> None:
    for path in ("/", "/static/app.js", "/api/session", "/nowhere", "/api/enrol"):
        found = client.get(path).headers
        for name, value in SECURITY_HEADERS.items():
            if name != "cache-control":
                assert found[name] == value, path
    policy = SECURITY_HEADERS["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_enrolment_closes_by_invitation_and_when_full(mixes: Path, tmp_path: Path) -> None:
    closed = mixes / "closed.toml"
    closed.write_text(STUDY.replace("open_enrolment = true", "").replace("= 20", "= 1"))
    built = build_study(closed, tmp_path / "closed")
    with client_of(built) as client:
        assert client.post("/api/enrol").status_code == 403
        answer = client.post("/api/admin/invite", json={"listener": "Ada"}, headers=admin(built))
        listener = Listener(client, answer.json()["token"])
        assert listener.session()["title"] == "Listening"
        answer = client.post("/api/admin/invite", json={}, headers=admin(built))
        assert (answer.status_code, "the study is full" in answer.json()["error"]) == (400, True)
        answer = client.post("/api/admin/invite", json={"x": 1}, headers=admin(built))
        assert answer.status_code == 400


def test_an_invitation_from_the_command_line_works_beside_the_server(
    client: TestClient, built: BuiltStudy
) -> None:
    links = invite(built.folder, ["Ada"], count=1, url="http://lab")
    listener = Listener(client, links["Ada"].partition("#")[2])
    assert listener.session()["page"]["page"] == 0
    other = enrolled(client)
    assert other.session()["page"]["page"] == 0
    with pytest.raises(SettingError, match="count is 0"):
        invite(built.folder, [], count=0, url="http://lab")
    with pytest.raises(SettingError, match="give 1 to 60 letters"):
        invite(built.folder, ["a\nb"], count=1, url="http://lab")


def test_the_experimenter_sees_counts_and_gets_the_table(
    client: TestClient, built: BuiltStudy
) -> None:
    listener = enrolled(client).begin()
    listener.rate_page(0, [10, 20, 30])
    enrolled(client)
    found = client.get("/api/admin/progress", headers=admin(built)).json()
    assert (found["enrolled"], found["started"], found["finished"], found["ratings"]) == (
        2,
        1,
        0,
        3,
    )
    assert [one["state"] for one in found["listeners"]] == ["started", "invited"]
    assert (found["listeners"][0]["pages_done"], found["listeners"][0]["pages"]) == (1, 2)
    table = client.get("/api/admin/ratings", headers=admin(built))
    assert table.headers["content-type"].startswith("text/csv")
    lines = table.text.splitlines()
    assert lines[0].startswith("study,session,listener,item,system,role,score,")
    assert len(lines) == 1 + 3


def test_a_disk_that_refuses_acknowledges_nothing_and_forgets_nothing(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = enrolled(client).begin()

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(ResultStore, "record", full)
        answer = listener.post({"kind": "play", "page": 0, "slot": 0})
        assert answer.status_code == 503
        assert "saved" not in answer.json()
    assert not listener.session()["page"]["slots"][0]["played"]
    listener.number -= 1
    assert listener.post({"kind": "play", "page": 0, "slot": 0}).json()["saved"] == [3]
    assert listener.session()["page"]["slots"][0]["played"]


def test_a_disk_that_fails_is_no_failure_of_the_server(
    client: TestClient, built: BuiltStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patch:
        for name in ("find_session", "add_session", "change_link"):
            patch.setattr(ResultStore, name, broken)
        again = {"listener": "L001", "again": True}
        answers = [
            client.post("/api/enrol"),
            client.get("/api/session", headers={"Authorization": "Bearer x"}),
            client.post("/api/admin/invite", json={}, headers=admin(built)),
        ]
        patch.undo()
        enrolled(client)
        patch.setattr(ResultStore, "change_link", broken)
        answers.append(client.post("/api/admin/invite", json=again, headers=admin(built)))
        assert [answer.status_code for answer in answers] == [503] * 4
    assert enrolled(client).session()["page"]


UNSTORABLE = ["\ud83d", "half \udc00 pair", "\x00", "bell \x07", "\x1b[31m", "\x7f", "\x85"]


@pytest.mark.parametrize("text", UNSTORABLE)
def test_a_text_that_no_file_can_keep_is_refused_at_the_door(
    client: TestClient, built: BuiltStudy, text: str
) -> None:
    listener = enrolled(client)
    listener.post({"kind": "consent"})
    detail = json.dumps({"age": 30, "model": text})
    assert send(listener, {"kind": "answers", "detail": detail}).status_code == 409
    assert send(listener, {"kind": "answers", "detail": json.dumps({text: 1})}).status_code == 409
    listener.post({"kind": "answers", "detail": '{"age": 30}'})
    answer = send(
        listener,
        {"kind": "play", "page": 0, "slot": 0},
        {"kind": "comment", "page": 0, "slot": 0, "detail": text},
    )
    assert (answer.status_code, len(answer.json()["saved"])) == (409, 1)
    assert "control character" in answer.json()["refused"][0]["reason"]
    assert send(listener, {"kind": text}).status_code in (400, 409)
    assert send(listener, {"kind": "consent", text: 1}).status_code == 400
    body = json.dumps({"listener": f"A{text}da"})
    invited = client.post("/api/admin/invite", content=body, headers=admin(built))
    assert invited.status_code == 400
    assert client.get("/api/session", headers=listener.headers).status_code == 200


def test_the_longest_answers_to_many_questions_are_taken_in(mixes: Path, tmp_path: Path) -> None:
    question = '[[questions]]\nname = "q{}"\ntext = "?"\n'
    (mixes / "many.toml").write_text(STUDY + "".join(question.format(n) for n in range(8)))
    with client_of(build_study(mixes / "many.toml", tmp_path / "many")) as client:
        listener = enrolled(client)
        listener.post({"kind": "consent"})
        answers = {"age": 30, **{f"q{n}": "x" * 500 for n in range(8)}}
        posted = listener.post({"kind": "answers", "detail": json.dumps(answers)})
        assert posted.status_code == 200


def send(listener: Listener, *events: dict[str, Any]) -> Any:
    """Send events as a script may, whatever is in them."""
    first = listener.number + 1
    listener.number += len(events)
    numbered = [{"number": first + n, **event} for n, event in enumerate(events)]
    body = json.dumps({"writer": "writer-1", "events": numbered})
    return listener.client.post("/api/events", content=body, headers=listener.headers)


def test_a_batch_that_cannot_be_stored_takes_no_other_listener_with_it(built: BuiltStudy) -> None:
    links = invite(built.folder, ["good", "guilty"], count=1, url="http://lab")

    async def both() -> tuple[Any, ...]:
        path = built.folder / "results.sqlite"
        with ResultStore(path) as store, ResultStore(path, is_read_only=True) as reader:
            running = Recorder(built, store, reader)
            consent = Event("writer-1", 1, "consent", client_s=1.0)
            # What no check at the door would let through: SQLite has no such text.
            unstorable = Event("writer-\ud83d", 1, "consent")
            tasks = []
            for (_, link), event in zip(links.items(), (consent, unstorable), strict=True):
                live = await running.find(link.partition("#")[2])
                assert live is not None
                tasks.append(running.record(live, [event]))
            first = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
            live = await running.find(links["guilty"].partition("#")[2])
            assert live is not None
            return *first, await running.record(live, [consent])

    good, guilty, later = asyncio.run(both())
    assert good.saved == (1,)
    assert isinstance(guilty, EventRefusedError)
    assert later.saved == (1,)
    with ResultStore(built.folder / "results.sqlite", is_read_only=True) as store:
        kinds = [[e.kind for e in store.events(one.session)] for one in store.sessions()]
    assert kinds == [["consent"], ["consent"]]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UnicodeError, 400),
        (OverflowError, 400),
        (sqlite3.IntegrityError, 400),
        # May be over when the actions come again: a page that is told 400 gives them up.
        (RuntimeError, 503),
        (MemoryError, 503),
        (OSError, 503),
        (sqlite3.DatabaseError, 503),
    ],
)
def test_a_commit_that_fails_in_any_way_forgets_what_it_had_taken_in(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, error: type[Exception], status: int
) -> None:
    listener = enrolled(client).begin()

    def fail(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(ResultStore, "record", fail)
        answer = listener.post({"kind": "play", "page": 0, "slot": 0})
        assert (answer.status_code, "saved" in answer.json()) == (status, False)
    assert not listener.session()["page"]["slots"][0]["played"]
    listener.number -= 1
    assert listener.post({"kind": "play", "page": 0, "slot": 0}).json()["saved"] == [3]


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("127.0.0.1:8000", None, 200),
        ("localhost:8000", "http://localhost:8000", 200),
        ("[::1]:8000", "http://[::1]:8000", 200),
        ("listen.example.org", "https://listen.example.org", 200),
        ("127.0.0.1:8000", "https://listen.example.org", 200),  # a proxy that keeps no Host
        ("127.0.0.1:8000", "https://evil.example", 403),
        ("127.0.0.1:8000", "http://127.0.0.1:9000", 403),
        ("127.0.0.1:8000", "null", 403),
        ("127.0.0.1:8000", "http://[", 403),
        ("rebound.evil.example", "http://rebound.evil.example", 421),
        ("listen.example.org.evil.example", None, 421),
        ("", None, 421),
        ("[", None, 421),
    ],
)
def test_only_the_studys_own_page_enrols(
    built: BuiltStudy, host: str, origin: str | None, status: int
) -> None:
    headers = {"host": host, **({} if origin is None else {"origin": origin})}
    with client_of(built, Door("https://listen.example.org")) as client:
        assert client.post("/api/enrol", headers=headers).status_code == status


def test_a_client_cannot_choose_the_address_that_it_is_counted_under(built: BuiltStudy) -> None:
    def guesses(n_proxies: int, address: str) -> list[int]:
        with client_of(built, Door(n_proxies=n_proxies)) as client:
            return [
                client.get(
                    "/api/session",
                    headers={"Authorization": "Bearer x", "X-Forwarded-For": address.format(n)},
                ).status_code
                for n in range(60)
            ]

    assert guesses(0, "10.0.0.{}")[-1] == 429
    assert guesses(1, "10.0.0.{}, 203.0.113.5")[-1] == 429
    assert guesses(2, "10.0.0.{}, 203.0.113.5, 192.0.2.1")[-1] == 429
    # Each is another listener, as the proxy says.
    assert set(guesses(1, "10.0.0.{}")) == {401}


def test_proxies_are_read_from_the_right() -> None:
    headers = ["1.1.1.1, 2.2.2.2", "3.3.3.3"]
    found = [client_address("9.9.9.9", headers, n) for n in range(5)]
    assert found == ["9.9.9.9", "3.3.3.3", "2.2.2.2", "1.1.1.1", "9.9.9.9"]


def test_links_lead_to_where_the_study_was_served_last(built: BuiltStudy) -> None:
    class StopError(Exception):
        pass

    def stop(serving: Serving) -> None:
        raise StopError

    [link] = invite(built.folder, [], count=1).values()
    assert link.startswith("http://127.0.0.1:8000/#")
    with pytest.raises(StopError):
        serve(built.folder, host="127.0.0.1", port=0, url="https://a.example/", started=stop)
    [link] = invite(built.folder, [], count=1).values()
    assert link.startswith("https://a.example/#")
    with pytest.raises(SettingError, match=r"url is 'a\.example'; expected an address such as"):
        serve(built.folder, host="127.0.0.1", port=0, url="a.example", started=stop)
    with pytest.raises(SettingError, match="n_proxies is -1"):
        serve(built.folder, host="127.0.0.1", port=0, n_proxies=-1, started=stop)


def test_a_server_on_all_addresses_tells_one_that_others_can_open(built: BuiltStudy) -> None:
    class StopError(Exception):
        pass

    found: list[Serving] = []

    def stop(serving: Serving) -> None:
        found.append(serving)
        raise StopError

    for host in ("0.0.0.0", "localhost"):
        with pytest.raises(StopError):
            serve(built.folder, host=host, port=0, started=stop)
    everywhere, here = found
    assert everywhere.own_url.startswith("http://0.0.0.0:")
    assert everywhere.url.partition("//")[2].split(":")[0] not in ("0.0.0.0", "")
    assert here.url == here.own_url


def test_who_opens_the_address_that_the_server_printed_can_enrol(
    built: BuiltStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A name of this machine that is not the one it calls itself by.
    monkeypatch.setattr(
        "socket.getaddrinfo",
        lambda *_, **__: [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 0))],
    )
    doors = []

    def kept(built: BuiltStudy, door: Door) -> Any:
        doors.append(door)
        raise InterruptedError

    monkeypatch.setattr("drummix.listening.serving.create_app", kept)
    with pytest.raises(InterruptedError):
        serve(built.folder, host="lab7.example.edu", port=0, started=lambda _: None)
    assert doors[0].is_own("lab7.example.edu:8000")
    assert not doors[0].is_own("lab8.example.edu:8000")


def test_a_name_is_in_no_table_and_in_nothing_that_the_server_sends(
    client: TestClient, built: BuiltStudy, tmp_path: Path
) -> None:
    name = "Ada Lovelace"
    body = {"listener": name}
    answer = client.post("/api/admin/invite", json=body, headers=admin(built))
    assert answer.json()["listener"] == "L001"
    listener = Listener(client, answer.json()["token"]).begin()
    listener.rate_page(0, [10, 20, 30])
    sent = [
        client.get(path, headers=headers).text
        for path, headers in (
            ("/api/admin/progress", admin(built)),
            ("/api/admin/ratings", admin(built)),
            ("/api/session", listener.headers),
        )
    ]
    export_study(built.folder, tmp_path / "ratings.csv")
    sent += [path.read_text() for path in tmp_path.glob("ratings*")]
    assert len(sent) == 5
    assert not any("Ada" in text or "Lovelace" in text for text in sent)
    assert "L001" in sent[1]
    assert codes_of(built.folder) == {name: "L001"}


def test_a_lost_link_is_renewed_and_the_lost_one_opens_nothing(
    client: TestClient, built: BuiltStudy
) -> None:
    [link] = invite(built.folder, ["Ada"], count=1).values()
    lost = Listener(client, link.partition("#")[2]).begin()
    answer = client.post(
        "/api/admin/invite", json={"listener": "L001", "again": True}, headers=admin(built)
    )
    found = Listener(client, answer.json()["token"])
    assert found.session()["has_answered"]
    assert client.get("/api/session", headers=lost.headers).status_code == 401
    for unknown in ("Bob", ""):
        body = {"listener": unknown, "again": True}
        answer = client.post("/api/admin/invite", json=body, headers=admin(built))
        assert answer.status_code == 400
    assert client.get("/api/session", headers=found.headers).status_code == 200


def test_a_link_renewed_beside_the_server_ends_the_lost_one_and_shares_its_session(
    client: TestClient, built: BuiltStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "LINK_S", 0.05)
    [link] = invite(built.folder, ["Ada"], count=1).values()
    lost = Listener(client, link.partition("#")[2]).begin()
    [link] = invite(built.folder, ["Ada"], count=1, again=True).values()
    found = Listener(client, link.partition("#")[2])
    found.number = 10
    assert found.post({"kind": "play", "page": 0, "slot": 0}).json()["saved"] == [11]
    time.sleep(0.1)
    assert lost.post({"kind": "play", "page": 0, "slot": 1}).status_code == 401
    with pytest.raises(SettingError, match="listener is 'Bob', none of this study"):
        invite(built.folder, ["Bob"], count=1, again=True)
    with pytest.raises(SettingError, match="again"):
        invite(built.folder, [], count=1, again=True)


def test_names_are_invited_all_or_none(built: BuiltStudy) -> None:
    with pytest.raises(SettingError, match="name is L007, the code of a listener"):
        invite(built.folder, ["Ada", "L007"], count=1)
    assert codes_of(built.folder) == {}
    assert list(invite(built.folder, ["Ada"], count=1)) == ["Ada"]


def test_a_port_in_use_and_a_second_server_are_refused(built: BuiltStudy) -> None:
    import socket

    def never(_: Serving) -> None:
        raise AssertionError

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SettingError, match=f"port {port} of 127.0.0.1 cannot be listened on"):
            serve(built.folder, host="127.0.0.1", port=port, started=never)

    class StopError(Exception):
        pass

    def second(serving: Serving) -> None:
        assert serving.url.startswith("http://127.0.0.1:")
        assert serving.admin_link == f"{serving.url}/admin#{built.admin_token}"
        with pytest.raises(SettingError, match="is served already"):
            serve(built.folder, host="127.0.0.1", port=0, started=never)
        raise StopError

    with pytest.raises(StopError):
        serve(built.folder, host="127.0.0.1", port=0, started=second)
