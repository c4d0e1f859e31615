"""What the four kinds of ENST-Drums are made of."""

import os
from collections import Counter
from itertools import pairwise
from pathlib import Path

import mido
import numpy as np
import pytest

from drummix.corpus.groove import Performance, PerformedHit
from drummix.corpus.kinds import (
    one_after_another,
    performances_of,
    single_strokes,
    strokes_of,
)
from drummix.corpus.plan import SYNTHKIT, CorpusSettings, plan_corpus
from drummix.errors import CorpusError

REPO = Path(__file__).resolve().parents[1]
GROOVE = Path(os.environ.get("DRUMMIX_DATA", REPO.parent / "shared" / "data")) / "groove"
needs_groove = pytest.mark.skipif(
    not (GROOVE / "info.csv").is_file(),
    reason="the Groove MIDI Dataset is not here; set DRUMMIX_DATA to the folder that holds groove/",
)


def performance(name: str, kind: str, duration_s: float, path: Path = Path("a.mid")) -> Performance:
    return Performance(f"drummer1/{name}", "rock", 120.0, kind, "train", duration_s, path)


INDEX = [
    performance("short", "beat", 5.0),
    performance("phrase", "beat", 30.0),
    performance("minute", "beat", 60.0),
    performance("three", "beat", 180.0),
    performance("long", "beat", 900.0),
    *(performance(f"fill{n}", "fill", 6.0) for n in range(9)),
]


def names(kind: str, *kinds: str) -> dict[str, float]:
    rng = np.random.default_rng(0)
    found = performances_of(INDEX, kind, kinds or (kind,), min_s=8.0, max_s=40.0, rng=rng)
    return {one.performance.replace("drummer1/", ""): one.duration_s for one in found}


def test_phrases_are_beats_cut_to_an_excerpt() -> None:
    assert names("phrase") == {"phrase": 30.0, "minute": 40.0, "three": 40.0, "long": 40.0}


def test_minus_one_is_whole_beats_of_one_to_three_minutes_that_no_phrase_shares() -> None:
    assert names("minus-one") == {"minute": 60.0, "three": 180.0}
    assert names("phrase", "phrase", "minus-one") == {"phrase": 30.0, "long": 40.0}


def test_solos_are_fills_in_series_of_twenty_seconds_each_fill_once() -> None:
    solos = names("solo")
    # Nine fills of 6 s: two series of four, and one of 6 s that is too short.
    assert list(solos.values()) == [24.0, 24.0]
    fills = Counter(name for solo in solos for name in solo.split("+"))
    assert len(fills) == 8
    assert set(fills.values()) == {1}
    assert all(name.startswith("fill") for name in fills)


def test_each_performance_of_a_series_starts_a_beat_after_the_one_before() -> None:
    first = [PerformedHit(2.0, 36, 90), PerformedHit(2.5, 38, 90, rings_s=0.1)]
    second = [PerformedHit(7.0, 36, 80), PerformedHit(7.25, 38, 80)]
    row = one_after_another([(120.0, first), (120.0, []), (90.0, second)])
    # A beat at 90 beats a minute is two thirds of a second.
    times = [0.0, 0.5, 0.5 + 2 / 3, 0.75 + 2 / 3]
    assert [hit.time_s for hit in row] == pytest.approx(times)
    assert row[1].rings_s == 0.1


def test_single_strokes_strike_every_instrument_with_room_to_ring() -> None:
    notes = (36, 38, 49)
    takes = single_strokes("train", notes)
    assert [take.performance for take in takes] == [f"hits/train/{n}" for n in (1, 2, 3)]
    velocities = []
    for take in takes:
        hits = strokes_of(take, rng=np.random.default_rng(0))
        assert Counter(hit.note for hit in hits) == dict.fromkeys(notes, 2)
        for one, after in pairwise(hits):
            pause_s = 2.5 if one.note == 49 else 1.2
            assert after.time_s - one.time_s == pytest.approx(pause_s)
        assert take.duration_s == pytest.approx(2 * (1.2 + 1.2 + 2.5))
        velocities += sorted(hit.velocity for hit in hits if hit.note == 38)
    # Two of 20, 83, 41, 104, 62 and 125 in each take, give or take 6.
    assert np.abs(np.array(velocities) - [20, 83, 41, 104, 62, 125]).max() <= 6
    again, other = (strokes_of(takes[0], rng=np.random.default_rng(seed)) for seed in (0, 1))
    assert again == strokes_of(takes[0], rng=np.random.default_rng(0))
    assert [hit.note for hit in again] != [hit.note for hit in other]


def write_groove(folder: Path, rows: list[str]) -> Path:
    columns = "id,style,bpm,beat_type,midi_filename,duration,split"
    track = mido.MidiTrack([mido.Message("note_on", note=36, velocity=90, time=480)])
    mido.MidiFile(tracks=[track]).save(folder / "a.mid")
    (folder / "info.csv").write_text("\n".join([columns, *rows]) + "\n")
    return folder


def test_kinds_share_the_hours_and_take_what_others_lack(tmp_path: Path) -> None:
    rows = [f"d1/{n},rock,120,beat,a.mid,36,train" for n in range(100)]
    rows += [f"d1/f{n},rock,120,fill,a.mid,10,train" for n in range(8)]
    settings = CorpusSettings(
        kits=(SYNTHKIT,),
        groove=str(write_groove(tmp_path, rows)),
        hours={"train": 0.4},
        kinds=("phrase", "solo", "hits"),
    )
    planned = plan_corpus(settings)
    seconds: Counter[str] = Counter()
    for plan in planned:
        seconds[plan.material.kind] += round(plan.material.duration_s)
    # 1440 s: hits have fewer than their third, solos 80 s, phrases take the rest.
    assert seconds["solo"] == 80
    assert 0 < seconds["hits"] < 480
    assert 1440 <= sum(seconds.values()) < 1440 + 36
    assert len({plan.name for plan in planned}) == len(planned)
    hits = [plan for plan in planned if plan.material.kind == "hits"]
    assert sorted(plan.name for plan in hits) == [f"synthkit_hits_train-{n}" for n in (1, 2, 3)]
    # Eighteen instruments, by one note each.
    assert {len(plan.material.strokes) for plan in hits} == {36}


def test_kind_that_the_dataset_lacks_is_one_line(tmp_path: Path) -> None:
    groove = write_groove(tmp_path, ["d1/1,rock,120,beat,a.mid,36,train"])
    settings = CorpusSettings(
        kits=(SYNTHKIT,), groove=str(groove), hours={"train": None}, kinds=("minus-one",)
    )
    with pytest.raises(CorpusError, match=r"no train performance for kind minus-one of 8\.0 s or"):
        plan_corpus(settings)


@needs_groove
@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_published_dataset_has_every_kind_and_no_performance_twice(part: str) -> None:
    kinds = ("hits", "phrase", "solo", "minus-one")
    settings = CorpusSettings(kits=(SYNTHKIT,), groove=str(GROOVE), hours={part: None}, kinds=kinds)
    planned = plan_corpus(settings)
    assert {plan.material.kind for plan in planned} == set(kinds)
    used = Counter(name for plan in planned for name in plan.material.performance.split("+"))
    assert set(used.values()) == {1}
    [solo, *_] = [plan for plan in planned if plan.material.kind == "solo"]
    hits = strokes_of(solo.material, rng=np.random.default_rng(0))
    assert 10.0 < hits[-1].time_s < 40.0
    assert max(b.time_s - a.time_s for a, b in pairwise(hits)) < 3.0
