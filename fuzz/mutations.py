"""Damage to a text: what typing, editors, transfers and ill will do to it."""

from __future__ import annotations

import random
import re

_TOKEN = re.compile(rb'"(?:[^"\\\n]|\\.)*"|-?\d[\d.eE+-]*|\w+|[^\w\s]')

_PIECES: tuple[bytes, ...] = (
    b"",
    b"0",
    b"-1",
    b"1e999",
    b"-1e308",
    b"NaN",
    b"Infinity",
    b"inf",
    b"nan",
    b"1000000000",
    b"18446744073709551616",
    b"9" * 400,
    b"9" * 5000,
    b"null",
    b"true",
    b"{}",
    b"[]",
    b'""',
    b'"\\ud83d"',
    b'"\\u0000"',
    b'"\\u2028\\n"',
    "\u2028".encode(),
    b"\0",
    b"\xff\xfe",
    b"\xed\xa0\xbd",
    b"\xef\xbb\xbf",
    b"\n",
    b"\r",
    b'"',
    b"../../etc/passwd",
    b'"/dev/zero"',
    b'"' + b"x" * 300 + b'"',
    b"y" * 5000,
    b"[" * 2000,
    b'{"a":' * 2000,
    b"[" * 100_000,
    b"<a>" * 2000,
    b"<!DOCTYPE a [<!ENTITY b 'c'>]>",
    b"&b;",
    b"a" + b".a" * 3000 + b" = 1",
    b",",
)


def mutate(text: bytes, rng: random.Random) -> bytes:
    """A text with one to four damages."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        text = rng.choice(_KINDS)(text, rng)
    return text


def _replace_token(text: bytes, rng: random.Random) -> bytes:
    tokens = list(_TOKEN.finditer(text))
    if not tokens:
        return _insert(text, rng)
    token = rng.choice(tokens)
    return text[: token.start()] + rng.choice(_PIECES) + text[token.end() :]


def _swap_tokens(text: bytes, rng: random.Random) -> bytes:
    tokens = list(_TOKEN.finditer(text))
    if len(tokens) < 2:
        return _insert(text, rng)
    one, other = sorted(rng.sample(tokens, 2), key=lambda token: token.start())
    return (
        text[: one.start()]
        + other.group()
        + text[one.end() : other.start()]
        + one.group()
        + text[other.end() :]
    )


def _insert(text: bytes, rng: random.Random) -> bytes:
    at = rng.randint(0, len(text))
    return text[:at] + rng.choice(_PIECES) + text[at:]


def _cut(text: bytes, rng: random.Random) -> bytes:
    start = rng.randint(0, len(text))
    return text[:start] + text[rng.randint(start, len(text)) :]


def _truncate(text: bytes, rng: random.Random) -> bytes:
    return text[: rng.randint(0, len(text))]


def _repeat(text: bytes, rng: random.Random) -> bytes:
    start = rng.randint(0, len(text))
    end = min(len(text), start + rng.randint(1, 400))
    return text[:end] + text[start:end] * rng.choice((1, 2, 50)) + text[end:]


def _repeat_line(text: bytes, rng: random.Random) -> bytes:
    lines = text.split(b"\n")
    line = rng.randrange(len(lines))
    return b"\n".join([*lines[: line + 1], lines[line], *lines[line + 1 :]])


def _flip(text: bytes, rng: random.Random) -> bytes:
    if not text:
        return text
    at = rng.randrange(len(text))
    return text[:at] + bytes([rng.randrange(256)]) + text[at + 1 :]


def _recode(text: bytes, rng: random.Random) -> bytes:
    return text.decode("utf-8", "replace").encode(rng.choice(("utf-16", "utf-8-sig", "utf-32")))


_KINDS = (
    *(_replace_token,) * 4,
    _swap_tokens,
    _insert,
    _cut,
    _truncate,
    _repeat,
    _repeat_line,
    _flip,
    _recode,
)
