"""Many listeners at once: nothing that was acknowledged is lost, and nothing is mixed up."""

import asyncio
import http.client
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drummix import audio
from drummix.audio import Audio
from drummix.listening.build import build_study
from drummix.listening.enrolment import codes_of, invite
from drummix.listening.results import read_ratings

pytest.importorskip("uvicorn", reason="the extra `listen` is not installed")
httpx = pytest.importorskip("httpx", reason="the extra `dev` is not installed")

STUDY = """
name = "load"
rate_hz = 16000
excerpt_s = 0.6
training = "none"
questions = []
[systems.a]
[systems.b]
"""
N_LISTENERS = 40
REPO = Path(__file__).parent.parent


def start_server(
    folder: Path, *options: str, errors: Any = subprocess.DEVNULL
) -> tuple[Path, str, subprocess.Popen[str]]:
    """Serve a study of one page in a process of its own: its folder, address and process."""
    rng = np.random.default_rng(0)
    (folder / "mixes" / "loop").mkdir(parents=True)
    for system in "ab":
        noise = 0.1 * rng.standard_normal((2, 12_000), dtype=np.float32)
        audio.write(folder / "mixes" / "loop" / f"{system}.wav", Audio(noise, 16_000))
    (folder / "study.toml").write_text(STUDY)
    study = folder / "study"
    build_study(folder / "study.toml", study)
    server = subprocess.Popen(
        [sys.executable, "-m", "drummix", "listen", "serve", str(study), "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
    )
    assert server.stdout is not None
    return study, server.stdout.readline().strip(), server


async def rate(url: str, token: str, listener: int) -> float:
    """Rate three times, every time with a score that is this listener's; give the last."""
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30, verify=False) as client:
        start: list[dict[str, Any]] = [
            {"number": 1, "kind": "consent"},
            {"number": 2, "kind": "play", "page": 0, "slot": 0},
        ]
        for step in range(3):
            score = listener + step / 4
            event = {"number": 3 + step, "kind": "rate", "page": 0, "slot": 0, "value": score}
            body = {"writer": "writer-1", "events": [*start, event]}
            answer = await client.post("/api/events", json=body)
            assert answer.json()["saved"] == [*(e["number"] for e in start), 3 + step]
            start = []
    return score


def test_all_ratings_of_many_listeners_survive_a_kill_and_none_is_mixed_up(
    tmp_path: Path,
) -> None:
    study, url, server = start_server(tmp_path)
    names = [f"Ada {n}" for n in range(N_LISTENERS)]
    links = invite(study, names, count=1, url=url)

    async def all_at_once() -> list[float]:
        tokens = [link.partition("#")[2] for link in links.values()]
        return await asyncio.gather(*(rate(url, token, n) for n, token in enumerate(tokens)))

    expected = dict(zip(names, asyncio.run(all_at_once()), strict=True))
    server.kill()
    server.wait()
    found = {row.listener: row.score for row in read_ratings(study) if row.slot == 1}
    assert {name: found[code] for name, code in codes_of(study).items()} == expected


@pytest.mark.parametrize(
    "path",
    [
        "/static/../study.json",
        "/static/..%2fstudy.json",
        "/static/../../../../../../etc/passwd",
        "/api/audio/../../study.json",
        "//etc/passwd",
        "/static/%00",
        "/../study.json",
        "*",
    ],
)
def test_a_raw_path_leads_to_no_file(raw: http.client.HTTPConnection, path: str) -> None:
    raw.request("GET", path)
    answer = raw.getresponse()
    content = answer.read()
    assert answer.status in (400, 401, 404)
    assert b"secret" not in content
    assert b"root:" not in content
    assert answer.getheader("server") is None


@pytest.fixture(scope="module")
def raw_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """Serve once for all raw requests: the study and its address, without the scheme."""
    study, url, server = start_server(tmp_path_factory.mktemp("raw"))
    yield study, url.removeprefix("http://").rstrip("/")
    server.kill()
    server.wait()


@pytest.fixture
def raw(raw_server: tuple[Path, str]) -> Iterator[http.client.HTTPConnection]:
    """Connect without a client that tidies up what is sent."""
    connection = http.client.HTTPConnection(raw_server[1], timeout=20)
    yield connection
    connection.close()


def test_who_sends_too_much_reads_why(raw_server: tuple[Path, str]) -> None:
    study, address = raw_server
    [link] = invite(study, [], count=1).values()
    host, port = address.split(":")
    head = (
        "POST /api/events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Authorization: Bearer {link.partition('#')[2]}\r\nContent-Length: 1200000\r\n\r\n"
    )

    async def answer() -> bytes:
        # As browsers do, this client sends and reads at once: an error of one ends both.
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(head.encode() + b" " * 1_200_000)
        found = await asyncio.wait_for(reader.read(), 20)
        writer.close()
        return found

    for _ in range(20):
        assert asyncio.run(answer()).startswith(b"HTTP/1.1 413")


def test_whatever_is_sent_what_was_acknowledged_is_on_the_disk_after_a_kill() -> None:
    command = [sys.executable, "-m", "fuzz.requests", "--seconds", "4", "--seed", "7"]
    found = subprocess.run(
        command, cwd=REPO, capture_output=True, text=True, timeout=120, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr
    n_acknowledged = int(found.stdout.partition("acknowledged ")[2].partition(",")[0])
    assert n_acknowledged > 50
