"""Open a corpus, whatever it is: rendered sessions, ENST-Drums, or a split of either."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import cast

from drummix.corpus.enst import EnstItem, is_enst, open_enst
from drummix.corpus.items import Corpus, LeftOut, SessionItem
from drummix.corpus.manifest import CorpusItem, read_manifest
from drummix.corpus.splits import read_split
from drummix.errors import CorpusError


def open_corpus(path: Path | str) -> Corpus:
    """Open a corpus for training, evaluation or looking at it.

    Args:
        path: Folder of a rendered corpus, folder of ENST-Drums, or a file by `write_split`.

    Raises:
        CorpusError: If it is none of these, or damaged.
    """
    place = Path(path)
    if place.is_file():
        return _open_split(place)
    if not (place / "manifest.csv").is_file() and is_enst(place):
        return open_enst(place)
    return Corpus(str(place), place, read_manifest(place))


def _open_split(path: Path) -> Corpus:
    split, folder = read_split(path)
    if folder.is_file():
        raise CorpusError(f"{path} splits {folder}, which is a file; expected a corpus")
    whole = open_corpus(folder)
    part_of = split.part_of()
    there = {item.item for item in whole.items} | {left.item for left in whole.left_out}
    if missing := sorted(set(part_of) - there):
        raise CorpusError(
            f"{path} names {len(missing)} item(s) that {folder} has not, the first {missing[0]}; "
            "make the split of this corpus again"
        )
    items = tuple(_moved(item, part_of[item.item]) for item in whole.items if item.item in part_of)
    left_out = tuple(
        LeftOut(left.item, part_of[left.item], left.problem)
        for left in whole.left_out
        if left.item in part_of
    )
    return Corpus(str(path), whole.folder, items, left_out)


def _moved(item: SessionItem, part: str) -> SessionItem:
    """The same item in another part."""
    return dataclasses.replace(cast("CorpusItem | EnstItem", item), part=part)
