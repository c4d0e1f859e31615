"""The tidy table: written and read back as it was, and damage named with its line."""

import csv
import io
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from drummix.errors import TextFileError
from drummix.listening.interop.webmushra import webmushra_csv
from drummix.listening.ratings import (
    UNKNOWN_PLAYS,
    UNKNOWN_SLOT,
    ratings_to_csv,
    read_ratings_csv,
    write_ratings_csv,
)
from drummix.listening.results import COLUMNS, Rating
from drummix.listening.simulate import Simulation, simulate_ratings

ROW = Rating(
    study="drums",
    session="s1",
    listener="ann",
    item="loop-1",
    system="waveunet",
    role="test",
    score=71.5,
    page=1,
    slot=2,
    initial=40.0,
    repeat=0,
    plays=3,
    listen_s=12.5,
    moved=True,
    volume_db=-3.0,
    page_s=60.25,
    comment="",
    state="finished",
)


def write(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "ratings.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def message(path: Path) -> str:
    with pytest.raises(TextFileError) as caught:
        read_ratings_csv(path)
    text = str(caught.value)
    assert "\n" not in text
    assert path.name in text
    return text


def test_simulated_study_reads_back_as_it_was_written(tmp_path: Path) -> None:
    ratings = simulate_ratings(Simulation(n_listeners=3, n_repeated=2), np.random.default_rng(0))
    path = write_ratings_csv(ratings, tmp_path / "ratings.csv")
    assert read_ratings_csv(path) == ratings


@settings(max_examples=40, deadline=None)
@example(comment="one\rtwo\r\nthree\n", score=None, name="0")
@example(comment="'=1", score=None, name="=1+1")
@example(comment="''tis", score=None, name="''@a")
@given(
    comment=st.text(
        st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\t\r\n=+-@'")
    ),
    score=st.none() | st.floats(0, 100).map(lambda x: round(x, 6)),
    name=st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=9),
)
def test_any_comment_score_and_name_survive(
    tmp_path_factory: pytest.TempPathFactory, comment: str, score: float | None, name: str
) -> None:
    row = replace(ROW, comment=comment, score=score, listener=name, session=name)
    path = write_ratings_csv([row], tmp_path_factory.mktemp("t") / "ratings.csv")
    assert read_ratings_csv(path) == (row,)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "'=", "''-"])
def test_no_cell_that_a_listener_wrote_starts_as_a_formula(start: str) -> None:
    row = replace(ROW, comment=f"{start}1+1", listener=f"{start}x", item=f"{start}y")
    _, cells = csv.reader(io.StringIO(ratings_to_csv([row]), newline=""))
    texts = [cells[COLUMNS.index(name)] for name in ("comment", "listener", "item")]
    assert [text[0] for text in texts] == ["'"] * 3
    _, cells = csv.reader(io.StringIO(webmushra_csv([row]), newline=""))
    assert not any(cell.startswith(tuple("=+-@\t\r")) for cell in cells)


def test_a_zero_byte_in_a_comment_of_an_older_table_is_replaced(tmp_path: Path) -> None:
    text = ratings_to_csv([replace(ROW, comment="a?b")]).replace("a?b", "a\0b")
    [row] = read_ratings_csv(write(tmp_path, text))
    assert row.comment == "a\ufffdb"


def test_what_a_tool_did_not_record_is_an_empty_cell_and_comes_back_unknown(tmp_path: Path) -> None:
    row = replace(
        ROW,
        slot=UNKNOWN_SLOT,
        plays=UNKNOWN_PLAYS,
        initial=math.nan,
        listen_s=math.nan,
        volume_db=math.nan,
        page_s=math.nan,
    )
    text = ratings_to_csv([row])
    cells = dict(zip(COLUMNS, text.splitlines()[1].split(","), strict=True))
    assert {name for name, cell in cells.items() if cell == ""} == {
        "slot",
        "plays",
        "initial",
        "listen_s",
        "volume_db",
        "page_s",
        "comment",
    }
    [back] = read_ratings_csv(write(tmp_path, text))
    assert (back.slot, back.plays) == (UNKNOWN_SLOT, UNKNOWN_PLAYS)
    assert all(math.isnan(x) for x in (back.initial, back.listen_s, back.volume_db, back.page_s))


def test_columns_in_another_order_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    lines = [line.split(",") for line in ratings_to_csv([ROW]).splitlines()]
    turned = "\n".join(",".join(reversed(cells)) for cells in lines)
    assert read_ratings_csv(write(tmp_path, "\ufeff" + turned)) == (ROW,)


@pytest.mark.parametrize(
    ("column", "cell", "expected"),
    [
        ("score", "101", "0 to 100"),
        ("score", "-0.1", "0 to 100"),
        ("score", "nan", "0 to 100"),
        ("score", "good", "0 to 100"),
        ("role", "winner", "reference, test, anchor"),
        ("state", "done", "submitted"),
        ("repeat", "-1", "whole number"),
        ("repeat", "", "whole number"),
        ("page", "1.5", "whole number"),
        ("plays", "1e3", "whole number"),
        ("moved", "yes", "true or false"),
        ("listen_s", "-1", "0 to"),
        ("page_s", "inf", "0 to"),
        ("listener", "", "a name"),
        ("item", " ", "a name"),
    ],
)
def test_a_wrong_cell_is_named_with_line_column_value_and_what_was_expected(
    tmp_path: Path, column: str, cell: str, expected: str
) -> None:
    lines = ratings_to_csv([ROW, replace(ROW, system="anchor")]).splitlines()
    cells = lines[2].split(",")
    cells[COLUMNS.index(column)] = cell
    path = write(tmp_path, "\n".join([*lines[:2], ",".join(cells)]))
    text = message(path)
    assert "line 3" in text
    assert f"{column} is {cell!r}" in text
    assert expected in text


GOOD = ratings_to_csv([ROW])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no column study"),
        (GOOD.splitlines()[0], "no ratings"),
        (GOOD.replace(",role,", ",part,"), "no column role"),
        (GOOD.replace(",state", ",state,extra"), "unknown column 'extra'"),
        (GOOD.replace(",", ";"), "separated by commas"),
        (GOOD[:-30], "cells instead of 18"),
        (GOOD + GOOD.splitlines()[1], "line 3: session s1 rates waveunet on loop-1 again"),
        (
            GOOD + GOOD.splitlines()[1].replace("loop-1", "loop-2").replace(",test,", ",anchor,"),
            "line 3: waveunet is 'anchor' here and 'test' on line 2",
        ),
        (GOOD + 'drums,"s2', "line 3: not CSV"),
        (GOOD + "a\0b", "line 3: 1 cells instead of 18"),
        (GOOD.replace("loop-1", "loop\0"), "line 2: item is 'loop\\x00'; expected a name without"),
        (GOOD.encode() + b"drums,\xff\xfe", "line 3: not UTF-8"),
        (b"PK\x03\x04\xe2\x28\xa1", "not UTF-8"),
    ],
)
def test_a_damaged_file_is_one_clear_line(tmp_path: Path, text: str | bytes, told: str) -> None:
    assert told in message(write(tmp_path, text))


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    assert "does not exist" in message(tmp_path / "nothing.csv")
    assert "cannot be read" in message(tmp_path)
