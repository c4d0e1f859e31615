"""What is written down of a corpus: read back as written, and refused where it is damaged."""

import json
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

import made
from drummix.audio import Audio, make_folder, remove_leftovers, write
from drummix.corpus.checking import check_corpus
from drummix.corpus.manifest import (
    MICROPHONE_FOLDERS,
    CorpusItem,
    combined_sha256,
    file_sha256,
    read_item_record,
    read_manifest,
    write_item_record,
    write_manifest,
)
from drummix.errors import CorpusError, OutputError
from drummix.roles import PAPER_ROLES, Role


def item(
    name: str,
    *,
    part: str = "train",
    kit: str = "drs",
    performance: str = "drummer1/session1/1",
) -> CorpusItem:
    return CorpusItem(
        item=name,
        part=part,
        kit=kit,
        performance=performance,
        style='rock, "loud"',
        seed=2**47,
        engineer=1,
        licence="kit: CC0; performance: CC BY 4.0 (Groove MIDI Dataset)",
        rate_hz=44_100,
        n_samples=10,
        extension="wav",
        stem_peak_dbfs=-3.25,
        dry_peak_dbfs=-9.5,
        wet_peak_dbfs=-4.0,
        sha256="",
    )


def write_item(corpus: Path, name: str, **options: str) -> CorpusItem:
    """Write an item's ten files and its record, as a rendering does."""
    draft = item(name, **options)
    checksums = {}
    for number, path in enumerate(draft.paths(corpus), start=1):
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, Audio(np.full((1, 10), number / 100, np.float32), 44_100))
        checksums[path.relative_to(corpus / draft.kit).as_posix()] = file_sha256(path)
    complete = replace(draft, sha256=combined_sha256(checksums))
    write_item_record(corpus, complete, checksums=checksums, details={"hits": []})
    (corpus / "corpus.json").write_text('{"settings": {}}')
    return complete


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    items = [write_item(tmp_path, "b"), write_item(tmp_path, "a")]
    items.append(write_item(tmp_path, "t", part="test", performance="drummer1/session1/2"))
    write_manifest(tmp_path, items)
    return tmp_path


def test_manifest_reads_back_as_it_was_written_sorted(tmp_path: Path) -> None:
    items = [item("b"), item("a"), item("c", part="test")]
    write_manifest(tmp_path, items)
    assert read_manifest(tmp_path) == (items[2], items[1], items[0])
    assert read_manifest(tmp_path, part="train") == (items[1], items[0])
    assert items[0].duration_s == 10 / 44_100


def test_files_lie_in_the_folders_of_enst() -> None:
    one = item("x")
    assert one.stem_path(Path("c"), Role.TOM_LOW) == Path("c/drs/audio/tom_2/x.wav")
    assert one.stem_path(Path("c"), Role.TOM_MID_LOW) == Path("c/drs/audio/tom_3/x.wav")
    assert one.mix_path(Path("c"), "wet") == Path("c/drs/wet_mix/x.wav")
    assert tuple(MICROPHONE_FOLDERS) == PAPER_ROLES
    assert len(set(one.paths(Path("c")))) == 10


def test_part_without_items_names_the_parts_there_are(tmp_path: Path) -> None:
    write_manifest(tmp_path, [item("a"), item("b", part="test")])
    with pytest.raises(CorpusError, match="no items of part 'validation'; parts it has: test, tr"):
        read_manifest(tmp_path, part="validation")
    write_manifest(tmp_path, [])
    with pytest.raises(CorpusError, match="has no items; parts it has: none"):
        read_manifest(tmp_path)


def test_missing_manifest_tells_unfinished_from_no_corpus(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"no manifest\.csv; render a corpus with: drummix"):
        read_manifest(tmp_path)
    (tmp_path / "corpus.json").write_text("{}")
    with pytest.raises(CorpusError, match=r"not rendered to its end.*goes on where it stopped"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda text: text.replace("sha256", "md5"), "lacks the columns sha256"),
        (lambda text: text.replace(",44100,", ",fast,"), "line 2: .*'fast'"),
        (lambda text: text.replace(",44100,", ",0,"), "line 2: rate_hz is 0; expected a whole"),
        (lambda text: text[: len(text) // 2 + 60], "line 2 has 8 cells; expected 16"),
        (lambda text: text[:-1] + ",more\n", "line 2 has 17 cells; expected 16"),
        (
            lambda text: text.replace(",train,", ",dev,"),
            "part is 'dev'; expected train, validation or test",
        ),
        (lambda text: "", "lacks the columns item, part"),
    ],
    ids=["columns", "number", "rate", "cut off", "longer row", "part", "empty"],
)
def test_damaged_manifest_is_one_line(
    tmp_path: Path, damage: Callable[[str], str], problem: str
) -> None:
    path = write_manifest(tmp_path, [item("a")])
    path.write_text(damage(path.read_text()))
    with pytest.raises(CorpusError, match=problem) as error:
        read_manifest(tmp_path)
    assert "manifest.csv" in str(error.value)
    assert "\n" not in str(error.value)


def test_manifest_that_is_no_text_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_bytes(b"\x80\x81\x82")
    with pytest.raises(CorpusError, match="is not UTF-8"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("field", ["item", "kit", "extension"])
@pytest.mark.parametrize("name", ["..", "../../etc", "/etc/passwd", "a/b", r"a\b", "", ".hidden"])
def test_names_that_lead_out_of_the_corpus_are_refused(
    tmp_path: Path, field: str, name: str
) -> None:
    write_manifest(tmp_path, [replace(item("a"), **{field: name})])
    with pytest.raises(CorpusError, match="expected a plain file name"):
        read_manifest(tmp_path)


def test_record_of_a_complete_item_reads_back(tmp_path: Path) -> None:
    complete = write_item(tmp_path, "a")
    record = read_item_record(tmp_path, "a")
    assert record is not None
    assert record.item == complete
    assert combined_sha256(record.checksums) == complete.sha256
    plain = json.loads((tmp_path / "items" / "a.json").read_text())
    assert plain["hits"] == []


def cut_record(corpus: Path) -> None:
    path = corpus / "items" / "a.json"
    path.write_text(path.read_text()[:-40])


def rewrite_record(corpus: Path, **changes: object) -> None:
    path = corpus / "items" / "a.json"
    plain = json.loads(path.read_text())
    path.write_text(json.dumps({**plain, **changes}))


def other_record(corpus: Path) -> dict[str, object]:
    """The record of another item, itself complete."""
    write_item(corpus, "b")
    return dict(json.loads((corpus / "items" / "b.json").read_text()))


@pytest.mark.parametrize(
    "damage",
    [
        lambda corpus: (corpus / "items" / "a.json").unlink(),
        cut_record,
        lambda corpus: (corpus / "drs" / "wet_mix" / "a.wav").unlink(),
        lambda corpus: rewrite_record(corpus, sha256={"../../../etc/passwd": "0"}),
        lambda corpus: rewrite_record(corpus, sha256={}),
        lambda corpus: rewrite_record(corpus, sha256=[]),
        lambda corpus: rewrite_record(corpus, **other_record(corpus)),
        lambda corpus: rewrite_record(corpus, item={**asdict(item("a")), "kit": "../drs"}),
        lambda corpus: rewrite_record(corpus, item={**asdict(item("a")), "rate_hz": "44100"}),
        lambda corpus: rewrite_record(corpus, item={"item": "a"}),
        lambda corpus: (corpus / "items" / "a.json").write_text("[]"),
    ],
    ids=[
        "no record",
        "half a record",
        "file missing",
        "path trick",
        "no checksums",
        "a list",
        "another item",
        "kit outside",
        "number as text",
        "fields missing",
        "no object",
    ],
)
def test_half_written_or_damaged_item_is_incomplete(
    tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    write_item(tmp_path, "a")
    damage(tmp_path)
    assert read_item_record(tmp_path, "a") is None


def test_whole_corpus_has_no_problems(corpus: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    assert check_corpus(corpus, progress=lambda *step: seen.append(step)) == []
    assert seen == [(1, 3, "t"), (2, 3, "a"), (3, 3, "b")]


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda c: flip_a_bit(c / "drs/audio/kick/a.wav"), r"kick/a\.wav is damaged \(sha256"),
        (lambda c: (c / "drs/dry_mix/a.wav").unlink(), r"dry_mix/a\.wav is missing; run the same"),
        (lambda c: (c / "items/a.json").unlink(), "a has no whole record"),
        (lambda c: write_item(c, "a", part="validation"), "a is not the one in manifest"),
        (lambda c: (c / "drs/audio/kick/z.wav").touch(), r"kick/z\.wav belongs to no item"),
        (lambda c: (c / "corpus.json").unlink(), r"corpus\.json does not exist, so nobody"),
        (
            lambda c: (c / "corpus.json").write_text("[]"),
            r"corpus\.json: it is a list; .*, so nobody",
        ),
    ],
    ids=["one bit", "missing", "record", "another item", "stray file", "no settings", "settings"],
)
def test_check_finds_the_damage_and_nothing_else(
    corpus: Path, damage: Callable[[Path], object], problem: str
) -> None:
    damage(corpus)
    found = check_corpus(corpus)
    assert len(found) == 1
    assert re.search(problem, found[0])


def move_to_test_part(corpus: Path, performance: str) -> None:
    items = [write_item(corpus, "b"), write_item(corpus, "t", part="test", performance=performance)]
    write_manifest(corpus, [*items, next(i for i in read_manifest(corpus) if i.item == "a")])


@pytest.mark.parametrize("performance", ["drummer1/session1/1", "drummer1/x+drummer1/session1/1"])
def test_performance_in_two_parts_is_found_in_a_series_of_them_too(
    corpus: Path, performance: str
) -> None:
    move_to_test_part(corpus, performance)
    [found] = check_corpus(corpus)
    assert found.startswith("performance drummer1/session1/1 is in test and train; render the")


@pytest.mark.parametrize(
    ("n_recordings", "n_problems"), [(8, 1), (3, 0)], ids=["parted", "too few to part"]
)
def test_recording_that_training_and_test_share_is_found(
    corpus: Path, n_recordings: int, n_problems: int
) -> None:
    for name, samples in (("a", (0, 2)), ("b", (1,)), ("t", (2,))):
        path = corpus / "items" / f"{name}.json"
        hits = [{"instrument": "Snare", "sample": sample} for sample in samples]
        plain = json.loads(path.read_text())
        path.write_text(json.dumps({**plain, "hits": hits, "recordings": {"Snare": n_recordings}}))
    found = check_corpus(corpus)
    assert len(found) == n_problems
    assert all(
        line.startswith("recording 3 of Snare of drs is in training and test;") for line in found
    )


def test_held_out_kit_in_another_part_is_found(corpus: Path) -> None:
    (corpus / "corpus.json").write_text('{"settings": {"hold_out_kit": "drs"}}')
    assert [line.split(",")[0] for line in check_corpus(corpus)] == [
        "a is in part train on drs",
        "b is in part train on drs",
    ]


def test_manifest_of_before_there_were_kinds_reads_as_performances(corpus: Path) -> None:
    path = corpus / "manifest.csv"
    rows = path.read_text().splitlines()
    assert rows[0].endswith(",sha256,kind")
    path.write_text("\n".join(row.rsplit(",", 1)[0] for row in rows) + "\n")
    assert {one.kind for one in read_manifest(corpus)} == {"performance"}
    assert check_corpus(corpus) == []


def test_checksum_over_checksums_ignores_their_order_and_nothing_else() -> None:
    one = combined_sha256({"a": "1", "b": "2"})
    assert one == combined_sha256({"b": "2", "a": "1"})
    assert one != combined_sha256({"a": "2", "b": "1"})


def test_leftovers_of_a_killed_run_are_removed_and_nothing_else(corpus: Path) -> None:
    leftover = made.leave_behind(corpus / "drs" / "audio" / "kick" / "a.wav")
    remove_leftovers(corpus, is_deep=True)
    assert not leftover.exists()
    assert check_corpus(corpus) == []


def test_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot be made: .*; choose another place"):
        make_folder(tmp_path / "file" / "folder")
