"""Performances: what a MIDI file's ticks, pedals and channels come to, and the dataset's index."""

import os
from collections import Counter
from pathlib import Path

import mido
import pytest

from drummix.corpus.groove import PARTS, Performance, read_groove_index, read_midi
from drummix.errors import CorpusError

REPO = Path(__file__).resolve().parents[1]
GROOVE = Path(os.environ.get("DRUMMIX_DATA", REPO.parent / "shared" / "data")) / "groove"
needs_groove = pytest.mark.skipif(
    not (GROOVE / "info.csv").is_file(),
    reason="the Groove MIDI Dataset is not here; set DRUMMIX_DATA to the folder that holds groove/",
)

HEADER = "drummer,session,id,style,bpm,beat_type,time_signature,midi_filename,audio_filename,"
HEADER += "duration,split"


def write_midi(
    path: Path,
    messages: list[mido.Message | mido.MetaMessage],
    *,
    ticks_per_beat: int = 480,
    kind: int = 0,
) -> Path:
    track = mido.MidiTrack([*messages, mido.MetaMessage("end_of_track")])
    mido.MidiFile(type=kind, ticks_per_beat=ticks_per_beat, tracks=[track]).save(path)
    return path


def note(number: int, velocity: int, *, ticks: int = 0, channel: int = 9) -> mido.Message:
    return mido.Message("note_on", note=number, velocity=velocity, time=ticks, channel=channel)


def pedal(value: int, *, ticks: int = 0, channel: int = 9) -> mido.Message:
    return mido.Message("control_change", control=4, value=value, time=ticks, channel=channel)


def write_index(folder: Path, *rows: str, header: str = HEADER) -> Path:
    (folder / "info.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return folder


def row(name: str, *, part: str = "train", midi: str = "a.mid", bpm: str = "120") -> str:
    return f"drummer1,s,{name},rock/fast,{bpm},beat,4-4,{midi},a.wav,10.5,{part}"


def test_strokes_after_a_tempo_change_come_at_the_new_tempo(tmp_path: Path) -> None:
    path = write_midi(
        tmp_path / "tempo.mid",
        [
            mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(120)),
            note(36, 100),
            note(38, 90, ticks=480),
            mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(60)),
            note(36, 80, ticks=480),
            note(38, 70, ticks=240),
        ],
    )
    # A beat is 0.5 s at 120 and 1 s at 60 beats a minute.
    assert [hit.time_s for hit in read_midi(path)] == pytest.approx([0.0, 0.5, 1.5, 2.0])
    assert [(hit.note, hit.velocity) for hit in read_midi(path)] == [
        (36, 100),
        (38, 90),
        (36, 80),
        (38, 70),
    ]


@pytest.mark.parametrize("ticks_per_beat", [96, 480, 960])
def test_time_does_not_depend_on_the_ticks_in_a_beat(tmp_path: Path, ticks_per_beat: int) -> None:
    beats = [note(36, 100, ticks=ticks_per_beat) for _ in range(4)]
    path = write_midi(tmp_path / "a.mid", beats, ticks_per_beat=ticks_per_beat)
    # A file that says no tempo plays at 120 beats a minute.
    assert [hit.time_s for hit in read_midi(path)] == pytest.approx([0.5, 1.0, 1.5, 2.0])


def test_tracks_of_a_type_1_file_are_merged_in_order_of_time(tmp_path: Path) -> None:
    kicks = mido.MidiTrack([note(36, 100, ticks=0), note(36, 100, ticks=960)])
    snares = mido.MidiTrack([note(38, 100, ticks=480), note(38, 100, ticks=960)])
    mido.MidiFile(type=1, ticks_per_beat=480, tracks=[kicks, snares]).save(tmp_path / "a.mid")
    hits = read_midi(tmp_path / "a.mid")
    assert [hit.note for hit in hits] == [36, 38, 36, 38]
    assert [hit.time_s for hit in hits] == pytest.approx([0.0, 0.5, 1.0, 1.5])


def test_note_on_of_velocity_0_is_no_stroke(tmp_path: Path) -> None:
    path = write_midi(
        tmp_path / "a.mid",
        [
            note(38, 64),
            note(38, 0, ticks=10),
            mido.Message("note_off", note=38, velocity=64, time=10, channel=9),
            note(38, 1, ticks=460),
        ],
    )
    assert [hit.velocity for hit in read_midi(path)] == [64, 1]


@pytest.mark.parametrize(
    ("value", "openness"), [(0, 1.0), (45, 0.5), (90, 0.0), (127, 0.0)], ids=str
)
def test_controller_4_opens_the_hihat_as_the_pedal_comes_up(
    tmp_path: Path, value: int, openness: float
) -> None:
    path = write_midi(tmp_path / "a.mid", [note(42, 64), pedal(value), note(46, 64), note(38, 64)])
    # Closed until the pedal says something; a snare has no pedal.
    assert [hit.openness for hit in read_midi(path)] == pytest.approx([0.0, openness, 0.0])


def test_pedal_that_closes_stops_open_hihats_that_still_ring(tmp_path: Path) -> None:
    # 480 ticks are half a second.
    path = write_midi(
        tmp_path / "a.mid",
        [
            pedal(0),
            note(26, 90),
            note(51, 90),
            note(46, 90, ticks=480),
            pedal(60, ticks=240),  # half-way: it still rings
            pedal(90, ticks=240),
            pedal(90, ticks=240),  # shut already: this closes nothing
            note(46, 90),
            pedal(40, ticks=240),
            pedal(88, ticks=240),
            note(42, 90),
        ],
    )
    rings = [(hit.note, hit.rings_s) for hit in read_midi(path)]
    assert rings == [
        (26, pytest.approx(1.0)),
        (51, None),
        (46, pytest.approx(0.5)),
        (46, pytest.approx(0.5)),
        (42, None),
    ]


def test_hand_on_a_cymbal_stops_its_strokes_so_far(tmp_path: Path) -> None:
    def hand(value: int, ticks: int) -> mido.Message:
        return mido.Message("polytouch", note=55, value=value, time=ticks, channel=9)

    strokes = [note(55, 90), note(49, 90), note(55, 100, ticks=480)]
    path = write_midi(tmp_path / "a.mid", [*strokes, hand(127, 240), hand(0, 48), note(55, 80)])
    # Letting go, at value 0, stops nothing; a stroke after the hand rings.
    assert [hit.rings_s for hit in read_midi(path)] == [
        pytest.approx(0.75),
        None,
        pytest.approx(0.25),
        None,
    ]


def test_other_instruments_beside_a_drum_channel_are_left_out(tmp_path: Path) -> None:
    bass = [note(36, 100, channel=0), pedal(0, channel=0)]
    path = write_midi(tmp_path / "a.mid", [*bass, note(42, 90), note(38, 80)])
    hits = read_midi(path)
    assert [(hit.note, hit.openness) for hit in hits] == [(42, 0.0), (38, 0.0)]


def test_file_without_a_drum_channel_is_all_drums(tmp_path: Path) -> None:
    path = write_midi(tmp_path / "a.mid", [note(36, 100, channel=0), note(38, 90, channel=3)])
    assert [hit.note for hit in read_midi(path)] == [36, 38]


@pytest.mark.parametrize(
    "content",
    [b"", b"MThd", b"this is a text about drums\n" * 20, b"RIFF\x00\x00\x00\x00WAVEfmt "],
    ids=["empty", "cut off", "text", "sound"],
)
def test_not_a_midi_file_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "take.mid"
    path.write_bytes(content)
    with pytest.raises(CorpusError, match=r"^\S*take\.mid cannot be read as a MIDI file"):
        read_midi(path)


def test_midi_file_cut_off_anywhere_never_ends_in_a_traceback(tmp_path: Path) -> None:
    whole = write_midi(tmp_path / "a.mid", [note(36, 100), pedal(3, ticks=200), note(38, 9)])
    content = whole.read_bytes()
    for length in range(len(content)):
        whole.write_bytes(content[:length])
        with pytest.raises(CorpusError):
            read_midi(whole)


def test_type_2_and_film_frames_are_refused(tmp_path: Path) -> None:
    path = write_midi(tmp_path / "a.mid", [note(36, 100)], kind=2)
    with pytest.raises(CorpusError, match="type 2"):
        read_midi(path)
    content = bytearray(write_midi(path, [note(36, 100)]).read_bytes())
    content[12:14] = bytes([0xE7, 40])  # 25 frames a second, 40 ticks a frame
    path.write_bytes(content)
    with pytest.raises(CorpusError, match="film frames"):
        read_midi(path)


def test_a_performance_of_days_is_refused(tmp_path: Path) -> None:
    path = write_midi(tmp_path / "a.mid", [note(36, 100), note(38, 9, ticks=2**28 - 1)])
    with pytest.raises(CorpusError, match=r"a\.mid lasts \S+ hours; expected at most 24$"):
        read_midi(path)


def test_a_pipe_in_place_of_a_midi_file_does_not_hold_us_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.mid")
    with pytest.raises(CorpusError, match="no ordinary file"):
        read_midi(tmp_path / "a.mid")


def test_missing_midi_file_says_which(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"gone\.mid does not exist"):
        read_midi(tmp_path / "gone.mid")


def test_index_gives_parts_and_paths_in_its_own_order(tmp_path: Path) -> None:
    write_index(tmp_path, row("b", part="test"), row("a", midi="drummer1/x.mid"))
    first, second = read_groove_index(tmp_path)
    assert (first.id, first.part, first.bpm, first.duration_s) == ("b", "test", 120.0, 10.5)
    assert second.path == tmp_path.resolve() / "drummer1" / "x.mid"
    assert second.style == "rock/fast"


@pytest.mark.parametrize("midi", ["../secret.mid", "/etc/passwd", "a/../../b.mid"])
def test_index_that_points_outside_its_folder_is_refused(tmp_path: Path, midi: str) -> None:
    with pytest.raises(CorpusError, match="lies outside"):
        read_groove_index(write_index(tmp_path, row("a", midi=midi)))


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([row("a", part="dev")], "split is 'dev'; expected train"),
        ([row("a", bpm="fast")], "bpm is 'fast'; expected a number above 0"),
        ([row("a", bpm="nan")], "bpm is nan; expected a number"),
        ([row("a", bpm="")], "line 2: bpm is ''; expected a number"),
        (["drummer1,s,a"], "line 2 has 3 cells"),
        ([row("a"), row("a")], "lists a twice"),
        ([row("a" * 5000)], "a cell of 5000 characters"),
        ([row("a" * 500)], "line 2: id has 500 characters; expected"),
        ([row("a", midi="b" * 300)], "line 2: midi_filename is .*; expected a path"),
    ],
    ids=["part", "word", "nan", "empty", "short row", "repeated id", "long", "longish", "path"],
)
def test_damaged_index_is_one_line(tmp_path: Path, rows: list[str], problem: str) -> None:
    with pytest.raises(CorpusError, match=problem) as error:
        read_groove_index(write_index(tmp_path, *rows))
    assert "info.csv" in str(error.value)
    assert "\n" not in str(error.value)


def test_index_without_its_columns_or_in_another_coding_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="lacks the columns id, style"):
        read_groove_index(write_index(tmp_path, header="drummer,session"))
    (tmp_path / "info.csv").write_bytes(b"\xff\xfe\x00id")
    with pytest.raises(CorpusError, match="UTF-16; save it as UTF-8"):
        read_groove_index(tmp_path)


def test_folder_without_an_index_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"no info\.csv; give the folder of the Groove"):
        read_groove_index(tmp_path)


@pytest.fixture(scope="module")
def published() -> tuple[Performance, ...]:
    return read_groove_index(GROOVE)


@needs_groove
def test_published_dataset_has_its_published_parts(published: tuple[Performance, ...]) -> None:
    parts = Counter(performance.part for performance in published)
    assert [parts[part] for part in PARTS] == [897, 124, 129]
    assert sum(parts.values()) == 1150
    assert sum(p.duration_s for p in published) / 3600 == pytest.approx(13.6, abs=0.1)


@needs_groove
def test_published_performance_reads_as_mido_counts_it(published: tuple[Performance, ...]) -> None:
    performance = next(p for p in published if p.id == "drummer1/eval_session/1")
    hits = read_midi(performance.path)
    midi = mido.MidiFile(performance.path)
    strokes = [m for m in midi.tracks[0] if m.type == "note_on" and m.velocity > 0]
    assert len(hits) == len(strokes)
    assert [hit.time_s for hit in hits] == sorted(hit.time_s for hit in hits)
    assert hits[-1].time_s <= performance.duration_s
    assert min(hit.openness for hit in hits) >= 0.0


@needs_groove
def test_published_dataset_holds_closing_pedals_and_grabbed_cymbals(
    published: tuple[Performance, ...],
) -> None:
    chosen = [p for p in published if p.id.startswith("drummer1/session1/")][:20]
    hits = [hit for performance in chosen for hit in read_midi(performance.path)]
    stopped = [hit for hit in hits if hit.rings_s is not None]
    assert len(stopped) > 100
    assert {hit.note for hit in stopped} <= {26, 46, 49, 52, 55, 57}
    assert min(hit.rings_s or 0.0 for hit in stopped) >= 0.0
