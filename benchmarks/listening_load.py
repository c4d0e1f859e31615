"""How long a rating takes to be saved when many listeners rate at once.

    python benchmarks/listening_load.py --listeners 100 --ratings 10

Starts `drummix listen serve` on loopback with a small study, lets every listener send ratings one
after another with a pause in between, each from a connection of its own, and prints what the
client waited for: from sending a rating to the answer that it is on the disk. Then it reads the
results and counts what is missing.
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
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from drummix import audio
from drummix.audio import Audio
from drummix.listening.build import build_study
from drummix.listening.enrolment import invite
from drummix.listening.store import ResultStore

STUDY = """
name = "load"
rate_hz = 16000
excerpt_s = 0.6
training = "none"
questions = []
[systems.a]
[systems.b]
[systems.c]
"""


def write_study(folder: Path) -> Path:
    """Build a study of one page."""
    rng = np.random.default_rng(0)
    (folder / "mixes" / "loop").mkdir(parents=True)
    for system in "abc":
        noise = 0.1 * rng.standard_normal((2, 12_000), dtype=np.float32)
        audio.write(folder / "mixes" / "loop" / f"{system}.wav", Audio(noise, 16_000))
    (folder / "study.toml").write_text(STUDY)
    build_study(folder / "study.toml", folder / "study")
    return folder / "study"


async def listen(url: str, token: str, n_ratings: int, pause_s: float, seed: int) -> list[float]:
    """One listener: consent, play, then ratings; gives the seconds each rating took."""
    rng = random.Random(seed)
    headers = {"Authorization": f"Bearer {token}"}
    waited_s = []
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30, verify=False) as client:

        async def send(*events: dict[str, Any]) -> None:
            body = {"writer": f"writer-{seed:04}", "events": list(events)}
            answer = await client.post("/api/events", json=body)
            answer.raise_for_status()

        await asyncio.sleep(rng.random() * pause_s)
        await send(
            {"number": 1, "kind": "consent"},
            {"number": 2, "kind": "play", "page": 0, "slot": seed % 3},
        )
        for n in range(n_ratings):
            await asyncio.sleep(rng.random() * 2 * pause_s)
            rating = {"number": 3 + n, "kind": "rate", "page": 0, "slot": seed % 3}
            start_s = time.perf_counter()
            await send({**rating, "value": float(rng.randrange(101))})
            waited_s.append(time.perf_counter() - start_s)
    return waited_s


async def listen_all(url: str, tokens: list[str], n_ratings: int, pause_s: float) -> list[float]:
    """All listeners at once."""
    waits = await asyncio.gather(
        *(listen(url, token, n_ratings, pause_s, n) for n, token in enumerate(tokens))
    )
    return [wait for one in waits for wait in one]


def run_load(folder: Path, *, n_listeners: int, n_ratings: int, pause_s: float) -> dict[str, Any]:
    """Serve a study, load it, and count what reached the disk.

    Args:
        folder: An empty folder.
        n_listeners: Listeners at once.
        n_ratings: Ratings of each.
        pause_s: Mean pause between two ratings of one listener.

    Returns:
        Percentiles of the wait in ms, and the number of ratings sent and found on the disk.
    """
    study = write_study(folder)
    links = invite(study, [], count=n_listeners, url=None)
    tokens = [link.partition("#")[2] for link in links.values()]
    command = [sys.executable, "-m", "drummix", "listen", "serve", str(study), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        try:
            waited_ms = 1000 * np.array(asyncio.run(listen_all(url, tokens, n_ratings, pause_s)))
        finally:
            # Outright: what was acknowledged must be there without a goodbye.
            server.kill()
    with ResultStore(study / "results.sqlite", is_read_only=True) as store:
        n_found = sum(
            event.kind == "rate"
            for session in store.sessions()
            for event in store.events(session.session)
        )
    return {
        "listeners": n_listeners,
        "sent": int(waited_ms.size),
        "on_disk": n_found,
        "p50_ms": round(float(np.percentile(waited_ms, 50)), 1),
        "p99_ms": round(float(np.percentile(waited_ms, 99)), 1),
        "max_ms": round(float(waited_ms.max()), 1),
    }


def main() -> None:
    """Run the load and print what came of it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--listeners", type=int, default=100)
    parser.add_argument("--ratings", type=int, default=10, help="ratings of each listener")
    parser.add_argument("--pause", type=float, default=1.0, help="mean seconds between ratings")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = run_load(
            Path(folder),
            n_listeners=options.listeners,
            n_ratings=options.ratings,
            pause_s=options.pause,
        )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
