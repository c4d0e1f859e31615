"""Hostile requests to a listening server, which is killed now and then.

    python -m fuzz.requests --seconds 20 --seed 1

Starts `drummix listen serve` on loopback, and sends what listeners send, damaged in many ways,
several requests at once. No answer may be a failure of the server, none may fail to come, and what
was acknowledged must be on the disk after SIGKILL. Exits 1 where one of these does not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from drummix import audio
from drummix.audio import Audio
from drummix.listening.build import BuiltStudy, build_study
from drummix.listening.enrolment import invite
from drummix.listening.results import read_answers, read_ratings
from drummix.listening.store import ResultStore
from fuzz.mutations import mutate

STUDY = """
name = "fuzz"
rate_hz = 16000
excerpt_s = 0.6
training = "none"
open_enrolment = true
[systems.a]
[systems.b]
[systems.c]
[[questions]]
name = "age"
text = "How old are you?"
kind = "number"
[[questions]]
name = "model"
text = "Which headphones?"
required = false
"""
N_LISTENERS = 60
N_AT_ONCE = 12
ROUNDS_A_LIFE = 40
LONGEST_ANSWER_S = 10.0

TEXTS = (
    *(
        "good",
        "",
        " ",
        "é",
        "日本",
        "😀",
        "\ud83d",
        "\udc00x",
        "a\x00b",
        "\x00",
        "\x1b[31m",
        "\x85",
    ),
    *("line\nline", "tab\t", "cr\r\n", "=1+1", "'=1", "\ufffe", "\u2028", "x" * 1999, "y" * 30_000),
)
NUMBERS = (
    *(0, 1, 2, -1, 50.0, 100, 101, 1e308, -1e308, 1e-320, 2**53, 2**63, 2**64, 10**400),
    *(float("nan"), float("inf"), True, None, "50", [], {}),
)
PATHS = (
    *("/", "/admin", "/static/app.js", "/static/%00", "/static/%ed%a0%bd", "/api/session"),
    *("/api/audio/x", "/api/audio/%ff", "/api/admin/progress", "/api/admin/ratings", "/api/enrol"),
    *("/nowhere", "//etc/passwd", "/../study.json", "*", "/?a=" + "b" * 3000),
)
HEADERS = (
    *(
        "Content-Length: -1",
        "Content-Length: 1\r\nContent-Length: 2",
        "Content-Length: " + "9" * 400,
    ),
    *(
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: nonsense",
        "Host: \xff",
        "Origin: http://x",
    ),
    *(
        "Authorization: Bearer \xff\xfe",
        "Authorization: Bearer " + "z" * 9000,
        "X-Forwarded-For: \x01",
    ),
    *("Expect: 100-continue", "Upgrade: websocket", "X: " + "y" * 70_000, "no colon"),
)


@dataclass
class Listener:
    """A listener's session as the client knows it.

    Args:
        token: Token of its link.
        sent: Writer and number -> every event that was sent under these.
        acknowledged: Writer and number of what the server says is saved.
        number: Number of the last event.
    """

    token: str
    sent: dict[tuple[str, int], list[dict[str, Any]]] = field(default_factory=dict)
    acknowledged: set[tuple[str, int]] = field(default_factory=set)
    number: int = 0

    def next_event(self, rng: random.Random) -> dict[str, Any]:
        """An event that may well be taken in, or one of those with something wrong in it."""
        self.number += 1
        if self.number <= 2:
            detail = json.dumps({"age": 30, "model": "good"})
            kinds = [{"kind": "consent"}, {"kind": "answers", "detail": detail}]
            return {"number": self.number, **kinds[self.number - 1]}
        slot = {"page": rng.choice((0, 0, 0, 1)), "slot": rng.randrange(3)}
        answers = {"age": rng.choice(NUMBERS), "model": rng.choice(TEXTS)}
        kinds = [
            {"kind": "play", **slot},
            {
                "kind": "rate",
                **slot,
                "value": rng.choice((rng.uniform(0, 100), rng.choice(NUMBERS))),
            },
            {"kind": "stop", **slot, "value": rng.uniform(0, 9)},
            {"kind": "comment", **slot, "detail": rng.choice(TEXTS)},
            {"kind": "loop", "page": 0, "detail": rng.choice(("0 1", "0.1 1e400", *TEXTS))},
            {"kind": "volume", "value": rng.choice((-3.0, rng.choice(NUMBERS)))},
            {"kind": "answers", "detail": json.dumps(answers)},
            {"kind": "leave", "page": 0, "value": 1.0, "client_s": rng.choice(NUMBERS)},
        ]
        event = {"number": self.number, **rng.choice(kinds)}
        if rng.random() < 0.1:
            event[rng.choice((*event, "session", *TEXTS))] = rng.choice((*NUMBERS, *TEXTS))
        return event


Check = Callable[[int, bytes], None]


@dataclass(frozen=True)
class Request:
    """One request.

    Args:
        content: Its bytes.
        is_whole: Whether an answer must come.
        check: Called with the status and the body of the answer.
    """

    content: bytes
    is_whole: bool = True
    check: Check | None = None


def request_of(path: str, body: bytes | None, *headers: str) -> bytes:
    """The bytes of a request."""
    lines = [f"{'GET' if body is None else 'POST'} {path} HTTP/1.1", *headers, "Connection: close"]
    if not any(line.startswith("Host") for line in headers):
        lines.append("Host: localhost")
    if body is not None and not any(line.startswith(("Content-L", "Transfer")) for line in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")


class Attack:
    """A study under attack.

    Args:
        folder: An empty folder.
        seed: Seed of every choice.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.study = write_study(folder)
        self.log = folder / "log"
        links = invite(self.study.folder, [], count=N_LISTENERS, url=None)
        self.listeners = [Listener(link.partition("#")[2]) for link in links.values()]
        self.counts: Counter[str] = Counter()
        self.findings: list[str] = []

    def run(self, seconds: float) -> None:
        """Serve, attack, kill and look at the disk, again and again."""
        end_s = time.monotonic() + seconds
        while not self.findings and (time.monotonic() < end_s or not self.counts["kills"]):
            self._live_once(end_s)
            self.counts["kills"] += 1
            self._look_at_the_disk()

    def _live_once(self, end_s: float) -> None:
        serve = [sys.executable, "-m", "drummix", "listen", "serve", str(self.study.folder)]
        with (
            self.log.open("ab") as log,
            subprocess.Popen([*serve, "--port", "0"], stdout=subprocess.PIPE, stderr=log) as server,
        ):
            assert server.stdout is not None
            url = server.stdout.readline().decode().strip()
            try:
                asyncio.run(self._send_rounds(int(url.rstrip("/").rpartition(":")[2]), end_s))
                if server.poll() is not None:
                    self.findings.append(f"the server ended with {server.returncode}")
            finally:
                server.kill()

    async def _send_rounds(self, port: int, end_s: float) -> None:
        for _ in range(ROUNDS_A_LIFE):
            chosen = self.rng.sample(self.listeners, N_AT_ONCE)
            requests = [self._request(one) for one in chosen]
            await asyncio.gather(*(self._send(port, request) for request in requests))
            if self.findings or time.monotonic() > end_s:
                return

    async def _send(self, port: int, request: Request) -> None:
        try:
            async with asyncio.timeout(LONGEST_ANSWER_S if request.is_whole else 0.3):
                answer = await exchange(port, request.content)
        except TimeoutError:
            if request.is_whole:
                self._find("no answer", request)
            return
        except ConnectionError:
            answer = b""
        head, _, body = answer.partition(b"\r\n\r\n")
        words = head.split(b" ", 2)
        status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
        self.counts[f"{status // 100}xx" if status else "hung up"] += 1
        if status >= 500 or (request.check is not None and not status):
            self._find(f"the answer is {answer[:300]!r}", request)
        elif request.check is not None:
            request.check(status, body)

    def _find(self, what: str, request: Request) -> None:
        self.findings.append(f"{what}, to {request.content[:1000]!r}")

    def _request(self, listener: Listener) -> Request:
        self.counts["requests"] += 1
        # Tokens are drawn anew in each run: what one request draws must not move the next one's.
        rng = random.Random(f"{self.seed} {self.counts['requests']}")
        bearer = f"Authorization: Bearer {rng.choice((listener.token, 'x'))}"
        admin = f"Authorization: Bearer {self.study.admin_token}"
        what = rng.random()
        if what < 0.7:
            return self._events(listener, rng)
        if what < 0.8:
            asked = {"listener": rng.choice((*TEXTS, *NUMBERS)), "again": rng.random() < 0.2}
            body = json.dumps(asked).encode()
            body = mutate(body, rng) if rng.random() < 0.3 else body
            return Request(request_of("/api/admin/invite", body, admin))
        if what < 0.83:
            return Request(request_of("/api/enrol", b""))
        if what < 0.9:
            return Request(request_of(rng.choice(PATHS), None, rng.choice((bearer, admin))))
        headers = [bearer, rng.choice(HEADERS)]
        whole = request_of(rng.choice(("/api/events", *PATHS)), b"{}", *headers)
        return Request(rng.choice((whole, mutate(whole, rng))), is_whole=False)

    def _events(self, listener: Listener, rng: random.Random) -> Request:
        events = [listener.next_event(rng) for _ in range(rng.choice((1, 1, 2, 5)))]
        if listener.sent and rng.random() < 0.3:
            events += rng.choice(list(listener.sent.values()))
        body = json.dumps({"writer": "fuzz-writer", "events": events}).encode()
        if rng.random() < 0.15:
            body = mutate(body, rng)
        writer = note_sent(listener, body)

        def check(status: int, answer: bytes) -> None:
            if status in (200, 409):
                saved = json.loads(answer)["saved"]
                listener.acknowledged |= {(writer, number) for number in saved}
                self.counts["acknowledged"] += len(saved)

        headers = (f"Authorization: Bearer {listener.token}", "Content-Type: application/json")
        return Request(request_of("/api/events", body, *headers), check=check)

    def _look_at_the_disk(self) -> None:
        """Compare what was acknowledged with what is there."""
        with ResultStore(self.study.folder / "results.sqlite") as store:
            for listener in self.listeners:
                session = store.find_session(listener.token)
                assert session is not None
                for writer, number in listener.acknowledged:
                    kept = store.find_event(session.session, writer, number)
                    sent = listener.sent.get((writer, number), [])
                    if kept is None or not any(is_same(vars(kept), event) for event in sent):
                        self.findings.append(
                            f"acknowledged {writer} {number}, which is {kept} on the disk; "
                            f"sent was {sent}"
                        )
        list(read_ratings(self.study.folder))
        read_answers(self.study.folder)


async def exchange(port: int, content: bytes) -> bytes:
    """Send bytes to the server and read until it hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(content)
        return await reader.read(-1)
    finally:
        writer.close()


def note_sent(listener: Listener, body: bytes) -> str:
    """Keep what a body says, as far as it says anything; gives its writer."""
    writer = ""
    try:
        found = json.loads(body)
        writer = str(found["writer"])
        for event in found["events"]:
            listener.sent.setdefault((writer, event["number"]), []).append(event)
    except (ValueError, LookupError, TypeError, RecursionError):
        pass
    return writer


def is_same(kept: dict[str, Any], sent: dict[str, Any]) -> bool:
    """Whether an event on the disk is one that was sent; the clock is for the record only."""
    names = ("number", "kind", "page", "slot", "value", "detail")
    return all(kept[name] == sent.get(name) for name in names)


def write_study(folder: Path) -> BuiltStudy:
    """Build a study of two pages."""
    rng = np.random.default_rng(0)
    for item in ("one", "two"):
        (folder / "mixes" / item).mkdir(parents=True)
        for system in "abc":
            noise = 0.1 * rng.standard_normal((2, 12_000), dtype=np.float32)
            audio.write(folder / "mixes" / item / f"{system}.wav", Audio(noise, 16_000))
    (folder / "study.toml").write_text(STUDY)
    return build_study(folder / "study.toml", folder / "study")


def main() -> int:
    """Attack a server, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        attack = Attack(Path(folder), options.seed)
        attack.run(options.seconds)
        counts = {**dict(sorted(attack.counts.items())), "log_bytes": attack.log.stat().st_size}
    for finding in attack.findings:
        print(f"FOUND with seed {options.seed}: {finding}")
    print(f"seed {options.seed}: " + ", ".join(f"{name} {n}" for name, n in counts.items()))
    return 1 if attack.findings else 0


if __name__ == "__main__":
    sys.exit(main())
