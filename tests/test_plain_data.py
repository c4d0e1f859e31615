"""Text data from outside: every text is a value of its type, or one error of one line."""

import enum
import json
import math
import os
import string
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drummix.errors import CorpusError, DrummixError, PlainDataError, SessionError, SettingError
from drummix.plain_data import (
    AnyFloat,
    Limits,
    Sized,
    Within,
    check_fields,
    convert,
    parse_json,
    parse_toml,
    read_json,
    read_toml,
)
from drummix.plain_data.tables import read_rows
from drummix.plain_data.xml_tree import parse_xml

LONGEST_S = 2.0


class Drum(enum.Enum):
    KICK = "kick"
    SNARE = "snare"


@dataclass(frozen=True)
class Strip:
    name: Annotated[str, Sized(1, 40)]
    drum: Drum
    gain_db: Annotated[float, Within(-120.0, 60.0)] = 0.0
    send_db: float | None = None


@dataclass(frozen=True)
class Desk:
    strips: tuple[Strip, ...]
    rate_hz: Annotated[int, Within(8000, 768_000)]
    kind: Literal["dry", "wet"] = "dry"
    is_stereo: bool = True
    notes: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    range_db: tuple[float, float] = (-1.0, 1.0)
    peak_dbfs: AnyFloat = -math.inf


@dataclass(frozen=True)
class Picky:
    low: int

    def __post_init__(self):
        raise PlainDataError("low is too low")


texts = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=40)
strips = st.builds(
    Strip,
    name=texts.filter(bool),
    drum=st.sampled_from(Drum),
    gain_db=st.floats(-120.0, 60.0),
    send_db=st.none() | st.floats(allow_nan=False, allow_infinity=False),
)
desks = st.builds(
    Desk,
    strips=st.lists(strips, max_size=4).map(tuple),
    rate_hz=st.integers(8000, 768_000),
    kind=st.sampled_from(["dry", "wet"]),
    is_stereo=st.booleans(),
    notes=st.dictionaries(texts, texts | st.lists(texts, max_size=3).map(tuple), max_size=3),
    range_db=st.tuples(st.floats(-9.0, 9.0), st.floats(-9.0, 9.0)),
    peak_dbfs=st.floats(allow_nan=False),
)
ANY_NUMBER = Limits(any_number=True)


def as_json(desk: Desk) -> str:
    return json.dumps(asdict(desk), default=lambda drum: drum.value)


def refusal(read: Any, *arguments: Any, **keywords: Any) -> str:
    """The one line in which a read ends, within the time that any may take."""
    start_s = time.perf_counter()
    with pytest.raises(SessionError) as caught:
        read(*arguments, error=SessionError, **keywords)
    assert time.perf_counter() - start_s < LONGEST_S
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 1000
    return message


def value_or_line(read: Any, *arguments: Any) -> Any:
    try:
        return read(*arguments, error=SessionError)
    except SessionError as error:
        return str(error)


@given(desks)
def test_what_was_written_as_json_is_read_back_as_it_was(desk):
    found = read_json(as_json(desk).encode(), Desk, error=SessionError, limits=ANY_NUMBER)
    assert found == desk


@settings(max_examples=400)
@given(desks, st.data())
def test_a_mutated_text_is_a_value_or_one_line(desk, data):
    text = as_json(desk)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 12)))
    put_in = data.draw(
        st.text(string.printable, max_size=6)
        | st.sampled_from(["1e999", "NaN", "null", "[[[[", "9" * 50, '"\\ud800"', "\0", "\ufeff"])
    )
    mutated = (text[:start] + put_in + text[end:]).encode("utf-8", "surrogatepass")
    for read in (read_json, read_toml):
        found = value_or_line(read, mutated, Desk)
        assert isinstance(found, Desk) or found.isprintable()


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_one_line(content):
    for found in (
        value_or_line(parse_json, b'{"a":' + content),
        value_or_line(parse_toml, content),
        value_or_line(parse_xml, content),
        value_or_line(read_rows, content, Strip),
    ):
        assert not isinstance(found, str) or found.isprintable()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rate_hz": "48k"}, "rate_hz is '48k'; expected a whole number from 8000 to 768000"),
        ({"rate_hz": 48000.0}, "rate_hz is 48000.0; expected a whole number from 8000 to 768000"),
        ({"rate_hz": True}, "rate_hz is true; expected a whole number from 8000 to 768000"),
        ({"rate_hz": 1}, "rate_hz is 1; expected a whole number from 8000 to 768000"),
        ({"kind": "damp"}, "kind is 'damp'; expected dry or wet"),
        ({"is_stereo": 1}, "is_stereo is 1; expected true or false"),
        ({"notes": {"a b": 3}}, "notes['a b'] is 3; expected a text or a list of texts"),
        ({"notes": {"ab": ["c", None]}}, "notes.ab[1] is null; expected a text"),
        ({"range_db": [1.0]}, "range_db has 1 entries; expected 2"),
        ({"strips": {}}, "strips is a table; expected a list"),
        ({"strips": [{"name": "x"}]}, 'strips[0] has no key "drum"'),
        ({"strips": [{"name": "x", "drum": "gong"}]}, "strips[0].drum is 'gong'; expected kick or"),
        (
            {"strips": [{"name": "x", "drum": "kick", "gain_db": 61}]},
            "strips[0].gain_db is 61; expected a number from -120 to 60",
        ),
        (
            {"strips": [{"name": "", "drum": "kick"}]},
            "strips[0].name has 0 characters; expected a text of 1 to 40 characters",
        ),
        (
            {"strips": [{"name": "x", "drum": "kick", "gain": 1}]},
            'unknown key strips[0].gain; did you mean "gain_db"? known: drum, gain_db,',
        ),
        ({"zzz": 1}, "unknown key zzz; known: is_stereo, kind, notes,"),
    ],
)
def test_a_message_says_where_what_was_found_and_what_was_expected(change, message):
    text = json.dumps({"strips": [], "rate_hz": 44_100, **change}).encode()
    found = refusal(read_json, text, Desk, name="desk.json", hint="make it again")
    assert found.startswith(f"desk.json: {message}")
    assert found.endswith("; make it again")


def test_an_error_of_the_class_itself_has_the_path_in_front():
    found = {"picky": [{"low": 1}]}
    with pytest.raises(CorpusError, match=r"^it: picky\[0\]: low is too low$"):
        convert(found, Mapping[str, tuple[Picky, ...]], error=CorpusError, name="it")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "b": 2, "a": 3}', "has the key 'a' twice"),
        ('{"a": NaN}', "a is nan; expected a number that is finite"),
        ('{"a": -Infinity}', "a is -inf; expected a number that is finite"),
        ('{"a": 1e999}', "a is inf; expected a number that is finite"),
        ('{"a": %s}' % ("9" * 5000), "a has more than 30 digits"),
        ('{"a": "\\ud83d"}', "a is '\\ud83d'; expected a text without NUL or half a character"),
        ('{"a": {"b": ["\\u0000"]}}', "a.b[0] is '\\x00'; expected a text without NUL"),
        ('{"\\ud83d": 1}', "expected a text without NUL or half a character"),
        ("[" * 100_000, "nests deeper than 32 levels"),
        ("[" * 40 + "]" * 40, "nests deeper than 32 levels"),
        ('{"a":' * 100_000, "nests deeper than 32 levels"),
        ('"%s"' % ("x" * 1_000_001), "has a text of 1000001 characters; expected at most 1000000"),
        (" " * 17_000_000, "has 17000000 bytes; expected at most 16000000"),
        ("", "is not JSON (line 1, column 1"),
        ('{"a": 1,}', "is not JSON (line 1, column 9"),
    ],
)
def test_json_beyond_its_limits_is_refused_at_once(text, message):
    assert message in refusal(parse_json, text.encode(), name="it")


def test_deep_json_is_refused_in_a_thread_of_a_small_stack():
    # Python 3.13 dies of the last one of these without a word where its own reader meets it.
    code = """
import threading
from drummix.errors import SessionError
from drummix.plain_data import parse_json

def read():
    for start in ("[", '{"a":', '[{"a":'):
        try:
            parse_json((start * 100_000).encode(), error=SessionError)
        except SessionError as error:
            print(error)

threading.stack_size(128 * 1024)
thread = threading.Thread(target=read)
thread.start()
thread.join()
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == ["the text nests deeper than 32 levels"] * 3


def test_brackets_in_texts_are_no_nesting():
    plain = {"[" * 50: '\\"' + "{[" * 50, "a": [{}] * 100}
    assert parse_json(json.dumps(plain).encode(), error=SessionError) == plain


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = 1\na = 2", "is not TOML (Cannot overwrite a value (at end of document))"),
        ("a = nan", "a is nan; expected a number that is finite"),
        ("a = 1e999", "a is inf; expected a number that is finite"),
        ("a = " + "9" * 5000, "holds a number of more than 30 digits"),
        ("a = " + "9" * 40, "a has more than 30 digits"),
        ("a = 0x" + "f" * 900_000, "a has more than 30 digits"),
        ("a = " + "[" * 100_000, "nests deeper than 32 levels"),
        ("a = " + "{a=" * 100_000, "nests deeper than 32 levels"),
        ("a" + ".a" * 400_000 + " = 1", "line 1: a key nests deeper than 32 levels"),
        ("[a" + " . a" * 200_000 + "]", "line 1: a key nests deeper than 32 levels"),
        ('"' * 900_000, "is not TOML"),
        ("\\" * 900_000, "is not TOML"),
        ('a = "\\u0000"', "a is '\\x00'; expected a text without NUL"),
        ("a = 1" + " " * 1_000_000, "has 1000005 bytes; expected at most 1000000"),
    ],
)
def test_toml_beyond_its_limits_is_refused_at_once(text, message):
    assert message in refusal(parse_toml, text.encode(), name="it")


def test_many_short_numbers_and_names_with_dots_stand_in_one_line_of_toml():
    names = [f"take.{n}.wav" for n in range(100)]
    text = f"names = {json.dumps(names)}\ngains = {[0.5] * 100}"
    found = parse_toml(text.encode(), error=SessionError)
    assert found == {"names": names, "gains": [0.5] * 100}


def test_a_byte_order_mark_is_passed_over_and_utf_16_is_named():
    for parse, text in ((parse_json, '{"a": 1}'), (parse_toml, "a = 1")):
        assert parse(text.encode("utf-8-sig"), error=SessionError) == {"a": 1}
        assert "is UTF-16; save it as UTF-8" in refusal(parse, text.encode("utf-16"))
        assert "is not UTF-8 (byte 2 is 0xff)" in refusal(parse, b"a \xff")


def test_infinity_and_any_text_are_taken_where_they_are_wanted():
    limits = Limits(any_text=True, any_number=True)
    found = parse_json(b'["\\ud83d\\u0000", -Infinity]', error=SessionError, limits=limits)
    assert found == ["\ud83d\0", -math.inf]


def test_what_is_no_file_is_refused_without_waiting(tmp_path):
    assert refusal(parse_json, tmp_path / "none").endswith("none does not exist")
    assert refusal(parse_json, tmp_path).endswith("is a folder; expected a file")
    assert "cannot be read" in refusal(parse_json, tmp_path / ("x" * 300))
    assert "cannot be read" in refusal(parse_json, Path("a\0b"))
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert "cannot be read" in refusal(parse_json, loop)
    assert "no ordinary file" in refusal(parse_json, Path(os.devnull))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert "no ordinary file" in refusal(parse_json, pipe)
    assert "two\\nlines does not exist" in refusal(parse_json, tmp_path / "two\nlines")


@pytest.mark.skipif(os.getuid() == 0, reason="the administrator may read everything")
def test_a_file_without_permission_is_refused(tmp_path):
    path = tmp_path / "closed.json"
    path.touch(mode=0)
    assert "cannot be read: Permission denied" in refusal(parse_json, path)


def test_a_large_file_is_not_even_read(tmp_path):
    path = tmp_path / "large.toml"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    assert "expected at most 1000000" in refusal(parse_toml, path)


def test_fields_given_in_python_are_checked_by_the_same_rules():
    check_fields(Strip("x", Drum.KICK))
    with pytest.raises(SettingError, match=r"^gain_db is nan; expected a number that is finite$"):
        check_fields(Strip("x", Drum.KICK, math.nan))
    with pytest.raises(
        SettingError, match=r"^rate_hz is 1; expected a whole number from 80"
    ) as caught:
        check_fields(Desk((), 1))
    assert (caught.value.parameter, caught.value.value) == ("rate_hz", 1)


@pytest.mark.parametrize(
    ("rule", "inside", "outside", "words"),
    [
        (Within(1, 4), (1, 4), (0, 5, math.nan), "from 1 to 4"),
        (Within(1), (1, 1e9), (0.9, math.nan), "of 1 or more"),
        (Within(0, 1, is_above=True), (0.1, 1), (0, 1.1), "above 0 and up to 1"),
        (Within(0, 1, is_below=True), (0, 0.9), (-0.1, 1), "of 0 or more and below 1"),
        (Within(0, 1, is_above=True, is_below=True), (0.1, 0.9), (0, 1), "above 0 and below 1"),
        (Within(0, is_above=True), (0.1,), (0,), "above 0"),
    ],
)
def test_a_range_takes_what_its_words_say(rule, inside, outside, words):
    assert all(rule.takes(value) for value in inside)
    assert not any(rule.takes(value) for value in outside)
    assert str(rule) == words


def test_a_float_that_may_be_infinite_can_have_limits_all_the_same():
    level = Annotated[AnyFloat, Within(-math.inf, 0.0)]
    assert convert(-math.inf, level, error=PlainDataError, name="it") == -math.inf
    for beyond in (0.1, math.inf, math.nan, 10**400):
        with pytest.raises(SettingError, match=r"^it: it is .*; expected a number from -inf to 0$"):
            convert(beyond, level, error=PlainDataError, name="it")


@dataclass(frozen=True)
class Row:
    name: str
    count: Annotated[int, Within(0)]
    level_db: AnyFloat
    note: str | None = None


@dataclass(frozen=True)
class OpenRow(Row):
    takes_other_keys: ClassVar[bool] = True


def test_rows_are_read_by_the_names_of_their_columns():
    text = b'count,name,level_db,note\n\n3,a,-inf,\n4,"b,\nc",1.5,x\n'
    assert read_rows(text, Row, error=SessionError) == (
        Row("a", 3, -math.inf),
        Row("b,\nc", 4, 1.5, "x"),
    )
    assert read_rows(b"name,count,level_db\n", Row, error=SessionError) == ()
    other = b"name,count,level_db,more\na,1,2,3\n"
    [row] = read_rows(other, OpenRow, error=SessionError)
    assert (row.name, row.count, row.level_db) == ("a", 1, 2.0)


def test_a_class_that_says_so_passes_over_keys_that_it_does_not_know():
    found = {"name": "a", "count": 1, "level_db": 0, "more": [1]}
    assert convert(found, OpenRow, error=SessionError, name="it").count == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", " lacks the columns name, count, level_db"),
        ("name,level_db\n", " lacks the columns count"),
        ("name,count,level_db,name\n", " has the column name twice"),
        ("name,count,level_db,more\n", " has a column 'more' too many; expected name, count,"),
        ("name,count,level_db\na,1\n", ", line 2 has 2 cells; expected 3"),
        ("name,count,level_db\na,1,2,3\n", ", line 2 has 4 cells; expected 3"),
        ("name,count,level_db\na,1.5,2\n", ", line 2: count is '1.5'; expected a whole number"),
        ("name,count,level_db\na,-1,2\n", ", line 2: count is -1; expected a whole number of 0"),
        ("name,count,level_db\na,%s,2\n" % ("9" * 5000), ", line 2 has a cell of 5000 characters"),
        ("name,count,level_db\na,%s,2\n" % ("9" * 500), ", line 2: count is '999"),
        ("name,count,level_db\na,1,loud\n", ", line 2: level_db is 'loud'; expected a number"),
        ("name,count,level_db\na,1,\0\n", " holds NUL"),
        ('name,count,level_db\n"a', ", line 2 has 1 cells"),
        ("x" * 200_000, ", line 1 is no line of a table (field larger"),
    ],
)
def test_a_table_with_a_wrong_line_is_refused_with_its_number(text, message):
    assert refusal(read_rows, text.encode(), Row, name="it").startswith(f"it{message}")


ENTITIES = "".join(f'<!ENTITY b{n} "&b{n - 1};&b{n - 1};">' for n in range(1, 30))
BOMB = f'<!DOCTYPE a [<!ENTITY b0 "bb">{ENTITIES}]><a>&b29;</a>'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<a>" * 100_000, "line 1: elements stand deeper than 32 in one another"),
        (BOMB, "line 1: it declares the entity 'b0'"),
        ('<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/hosts">]><a>&b;</a>', "declares the entity"),
        ("<a b='%s'/>" % ("x" * 5000), "an attribute has 5000 characters; expected at most 4096"),
        ("<a>&b;</a>", "cannot be read as XML (undefined entity"),
        ("<?xml version='1.0' encoding='klingon'?><a/>", "cannot be read as XML ("),
        ("<a><b></a>", "cannot be read as XML (mismatched tag"),
        ("", "cannot be read as XML (no element found"),
    ],
)
def test_xml_beyond_its_limits_is_refused_at_once(text, message):
    assert message in refusal(parse_xml, text.encode(), name="it")


def test_xml_is_read_in_the_encoding_that_it_states():
    for encoding in ("UTF-8", "UTF-16", "ISO-8859-1"):
        text = f'<?xml version="1.0" encoding="{encoding}"?><kit name="Bü"><a>b</a>c</kit>'
        root = parse_xml(text.encode(encoding), error=SessionError)
        assert (root.tag, root.get("name"), root.findtext("a")) == ("kit", "Bü", "b")
        assert root[0].tail == "c"


def test_names_in_a_namespace_are_those_of_elementtree():
    [child] = parse_xml(b'<a xmlns="u" xmlns:v="w"><v:b v:c="1"/></a>', error=SessionError)
    assert (child.tag, dict(child.attrib)) == ("{w}b", {"{w}c": "1"})


def test_the_reader_loads_nothing_that_takes_long():
    code = (
        "import sys; before = set(sys.modules); import drummix.plain_data, json; "
        "print(*sorted({m.split('.')[0] for m in set(sys.modules) - before}))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(run.stdout.split()) & {"numpy", "scipy", "xml", "difflib"}


def test_every_error_is_of_the_class_that_was_asked_for():
    for error in (PlainDataError, CorpusError, DrummixError):
        with pytest.raises(error) as caught:
            parse_json(b"[", error=error)
        assert type(caught.value) is error
