"""Is a corpus whole, and do its parts share nothing that they must not share?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar

from drummix.corpus.manifest import (
    ITEM_LIMITS,
    CorpusFile,
    CorpusItem,
    combined_sha256,
    file_sha256,
    read_item_record,
    read_manifest,
)
from drummix.corpus.strokes import pool_indices
from drummix.errors import CorpusError
from drummix.plain_data import Within, read_json

_AGAIN = "run the same drummix corpus render again"


def check_corpus(
    corpus: Path, *, progress: Callable[[int, int, str], None] | None = None
) -> list[str]:
    """Verify every file of a corpus against its checksum, and its parts against each other.

    Parts may share neither a performance nor, training and test, a recording of a kit; a kit that
    was held out may be in the test part only.

    Args:
        corpus: Folder of the corpus.
        progress: Called with items done, items in all, and the name of the last one.

    Returns:
        One line a problem; empty when the corpus is whole.

    Raises:
        CorpusError: If the manifest is missing or damaged.
    """
    problems = []
    items = read_manifest(corpus)
    for number, item in enumerate(items, start=1):
        problems += _problems_of_files(corpus, item)
        if progress is not None:
            progress(number, len(items), item.item)
    known = {path for item in items for path in item.paths(corpus)}
    for kit in sorted({item.kit for item in items}):
        found = (path for path in (corpus / kit).rglob("*") if path.is_file())
        problems += [f"{path} belongs to no item; remove it" for path in sorted(set(found) - known)]
    problems += _shared_performances(items)
    problems += _shared_recordings(corpus, items)
    problems += _problems_of_settings(corpus, items)
    return problems


def _problems_of_files(corpus: Path, item: CorpusItem) -> list[str]:
    missing = [path for path in item.paths(corpus) if not path.is_file()]
    if missing:
        return [f"{path} is missing; {_AGAIN}" for path in missing]
    record = read_item_record(corpus, item.item)
    if record is None:
        return [f"{item.item} has no whole record in items/; {_AGAIN}"]
    if record.item != item or combined_sha256(record.checksums) != item.sha256:
        return [f"{item.item} is not the one in manifest.csv; {_AGAIN}"]
    return [
        f"{corpus / item.kit / name} is damaged (sha256 differs); delete it and {_AGAIN}"
        for name, expected in record.checksums.items()
        if file_sha256(corpus / item.kit / name) != expected
    ]


def _shared_performances(items: Sequence[CorpusItem]) -> Iterator[str]:
    parts: dict[str, set[str]] = defaultdict(set)
    for item in items:
        for performance in item.performance.split("+"):
            parts[performance].add(item.part)
    for performance, found in sorted(parts.items()):
        if len(found) > 1:
            yield f"performance {performance} is in {' and '.join(sorted(found))}; {_NOT_APART}"


_NOT_APART = "render the parts together, in one corpus of its own"


def _shared_recordings(corpus: Path, items: Sequence[CorpusItem]) -> Iterator[str]:
    """Recordings that sound in training or validation and in the test part too."""
    heard: dict[tuple[str, str, int], set[bool]] = defaultdict(set)
    n_recordings: dict[tuple[str, str], int] = {}
    for item in items:
        record = _record(corpus, item)
        for name, number in record.recordings.items():
            n_recordings[item.kit, name] = number
        for hit in record.hits:
            heard[item.kit, hit.instrument, hit.sample].add(item.part == "test")
    for (kit, instrument, sample), in_test in sorted(heard.items()):
        n_known = n_recordings.get((kit, instrument))
        if len(in_test) > 1 and n_known is not None and _is_apart(n_known):
            yield (
                f"recording {sample + 1} of {instrument} of {kit} is in training and test; "
                f"{_NOT_APART}"
            )


def _is_apart(n_recordings: int) -> bool:
    """Whether training and test have recordings of their own, of so many."""
    return not set(pool_indices(n_recordings, "train")) & set(pool_indices(n_recordings, "test"))


_Recordings = Annotated[int, Within(0, 1_000_000)]


@dataclass(frozen=True)
class _Hit:
    takes_other_keys: ClassVar[bool] = True

    instrument: str
    sample: _Recordings


@dataclass(frozen=True)
class _Record:
    takes_other_keys: ClassVar[bool] = True

    hits: tuple[_Hit, ...] = ()
    recordings: Mapping[str, _Recordings] = field(default_factory=dict)


def _record(corpus: Path, item: CorpusItem) -> _Record:
    """The record of an item; an empty one where it is damaged, which was said before."""
    path = corpus / "items" / f"{item.item}.json"
    try:
        return read_json(path, _Record, error=CorpusError, limits=ITEM_LIMITS)
    except CorpusError:
        return _Record()


def _problems_of_settings(corpus: Path, items: Sequence[CorpusItem]) -> Iterator[str]:
    path = corpus / "corpus.json"
    try:
        held_out = read_json(path, CorpusFile, error=CorpusError).settings.get("hold_out_kit")
    except CorpusError as error:
        yield f"{error}, so nobody can tell how the corpus was made"
        return
    if held_out is None:
        return
    for item in items:
        if (item.kit == held_out) != (item.part == "test"):
            yield (
                f"{item.item} is in part {item.part} on {item.kit}, but {held_out} is held out for "
                "the test part"
            )
