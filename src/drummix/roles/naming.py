"""One name: its words, and what the rules make of them.

In: a file or channel name. Out: a `Guess`, which may still need the session's other names.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import PurePath

from drummix.audio import AUDIO_SUFFIXES, FOREIGN_AUDIO_SUFFIXES
from drummix.roles.role import Role
from drummix.roles.rules import (
    CONFLICTS,
    MIC_MODEL,
    RULES,
    SPELLINGS,
    TOM_SIZES_IN,
    Family,
    Rule,
)

_INCHES = re.compile(
    r"(?<!\d)(\d{1,2})(?:\s*(?:\"|''|”|″|zoll|pouces)|[\s_-]?in(?:ch(?:es)?)?(?![a-z]))",
    re.IGNORECASE,
)
_CAMEL = re.compile(r"\d+|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_]+")
_MIC = re.compile(MIC_MODEL)
_LETTER_NUMBERS = {"a": 1, "b": 2}


@dataclass(frozen=True)
class Token:
    """A piece of a name.

    Args:
        text: As it stands in the name, in lower case.
        words: The words of the table that it spells; empty for an unknown piece.
    """

    text: str
    words: tuple[str, ...] = ()

    @property
    def is_number(self) -> bool:
        """Whether the piece is a whole number."""
        return self.text.isdigit()


@dataclass(frozen=True)
class Guess:
    """What one name says by itself.

    Args:
        part: The role, the family to settle with the other names, or None for no idea.
        why: The reason, for a person to read.
        words: The words of the table found in the name.
        number: Its index ("Tom 2" is 2), else None.
        size_in: Drum size in inches, else None.
        track_number: The number in front ("03_Tom" is 3), else None.
        is_literal: The name is exactly a role's value.
        is_said: The user said so.
        meaning: Everything but words that say nothing: equal for "Room" and "Room copy".
    """

    part: Role | Family | None
    why: str
    words: frozenset[str] = frozenset()
    number: int | None = None
    size_in: int | None = None
    track_number: int | None = None
    is_literal: bool = False
    is_said: bool = False
    meaning: tuple[str, ...] = ()

    @property
    def side(self) -> str | None:
        """``left``, ``right``, ``both`` or ``mono`` where the name says so."""
        is_left, is_right = "left" in self.words, "right" in self.words
        if is_left and is_right:
            return "both"
        for side in ("left", "right", "both", "mono"):
            if side in self.words:
                return side
        return None


def identify(name: str) -> Guess:
    """What microphone a single file or channel name means.

    Args:
        name: File name with or without suffix, or a channel name.

    Returns:
        The guess; its part is None where the name says nothing or contradicts itself.

    >>> identify("01_KIK_D112.wav").part
    <Role.KICK: 'kick'>
    """
    return identify_all([name])[0]


def identify_all(names: Sequence[str]) -> list[Guess]:
    """What microphones the names of one session mean, one by one.

    A beginning or end that all names share, such as a song's title, is not looked at where the
    names mean as much without it: as many of them, and as many different things.
    """
    numbered = [_split_track_number(tokenise(name)) for name in names]
    token_lists = [tokens for _, tokens in numbered]
    shortened = [_split_track_number(tokens)[1] for tokens in _without_shared(token_lists)]
    if _told_apart(shortened) < _told_apart(token_lists):
        shortened = token_lists
    guesses = []
    for name, (track_number, _), tokens in zip(names, numbered, shortened, strict=True):
        guesses.append(_literal(name) or _guess(tokens, track_number))
    return guesses


def _told_apart(token_lists: list[list[Token]]) -> tuple[int, int]:
    """How many names mean something, and how many different things."""
    parts = [_apply_rules(tokens).part for tokens in token_lists]
    known = [part for part in parts if part is not None]
    return len(known), len(set(known))


def stem_of(name: str) -> str:
    """A name without folders and without a sound file's suffix."""
    path = PurePath(name.replace("\\", "/"))
    known = AUDIO_SUFFIXES | FOREIGN_AUDIO_SUFFIXES
    return path.stem if path.suffix.lower() in known else path.name


def tokenise(name: str) -> list[Token]:
    """Split a name at separators, capitals and digits into the table's words and the rest.

    >>> [token.text for token in tokenise("03-SnareTop_SM57.wav")]
    ['03', 'snare', 'top', 'sm57']
    """
    folded = unicodedata.normalize("NFKD", stem_of(name).replace("ß", "ss"))
    plain = "".join(letter for letter in folded if not unicodedata.combining(letter))
    plain = _mark_inches(plain)
    pieces: list[str] = []
    for chunk in re.split(r"[\W_]+", plain):
        if chunk:
            pieces.extend(_split_chunk(chunk))
    return _join_phrases(pieces)


@cache
def _vocabulary() -> dict[str, tuple[str, ...]]:
    """Spelling (pieces joined by "_") -> words of the table."""
    vocabulary: dict[str, tuple[str, ...]] = {}
    for words, spellings in SPELLINGS.items():
        for spelling in spellings.split():
            vocabulary[spelling] = vocabulary.get(spelling, ()) + tuple(words.split())
    return vocabulary


def _mark_inches(text: str) -> str:
    def mark(match: re.Match[str]) -> str:
        is_size = int(match[1]) in TOM_SIZES_IN
        return f" {match[1]}inch " if is_size else match[0]

    return _INCHES.sub(mark, text)


def _is_known(piece: str) -> bool:
    return (
        piece in _vocabulary()
        or piece.isdigit()
        or _MIC.fullmatch(piece) is not None
        or re.fullmatch(r"\d+inch", piece) is not None
    )


def _split_chunk(chunk: str) -> list[str]:
    """The known words that a chunk without separators is made of, else its camel-case parts."""
    lower = chunk.lower()
    if _is_known(lower):
        return [lower]
    camel = [part.lower() for part in _CAMEL.findall(chunk)]
    if all(_is_known(part) for part in camel):
        return _join_models(camel)
    if (glued := _unglue(lower)) is not None:
        return glued
    pieces: list[str] = []
    for part in camel:
        pieces.extend([part] if _is_known(part) else _unglue(part) or [part])
    return _join_models(pieces)


def _join_models(pieces: list[str]) -> list[str]:
    """Put models back together that were split at their digits: ``sm``, ``57``."""
    joined: list[str] = []
    for piece in pieces:
        if (
            joined
            and piece.isdigit()
            and joined[-1].isalpha()
            and _MIC.fullmatch(joined[-1] + piece)
        ):
            joined[-1] += piece
        else:
            joined.append(piece)
    return joined


def _unglue(text: str, *, is_start: bool = True) -> list[str] | None:
    """Cut ``snaretop`` or ``kickd112`` into known pieces, longest first; None where it fails.

    Single letters count at the end only (``ohl``), so that no unknown word falls to pieces.
    """
    if not text:
        return []
    for end in range(len(text), 0, -1):
        head, rest = text[:end], text[end:]
        is_cut_number = head[-1].isdigit() and rest[:1].isdigit()
        is_loose_letter = len(head) == 1 and head.isalpha() and (is_start or bool(rest))
        is_letter_mark = head in ("t", "b") and not is_start and not rest
        if is_cut_number or is_loose_letter or not (_is_known(head) or is_letter_mark):
            continue
        tail = _unglue(rest, is_start=False)
        if tail is not None:
            return [head, *tail]
    return None


def _join_phrases(pieces: list[str]) -> list[Token]:
    """Pieces as tokens; ``bass``, ``drum`` become the one token that the table knows."""
    vocabulary = _vocabulary()
    tokens: list[Token] = []
    at = 0
    while at < len(pieces):
        for length in (3, 2, 1):
            phrase = "_".join(pieces[at : at + length])
            if phrase in vocabulary or length == 1:
                text = " ".join(pieces[at : at + length])
                is_model = length == 1 and phrase not in vocabulary and _MIC.fullmatch(phrase)
                words = ("noise",) if is_model else vocabulary.get(phrase, ())
                tokens.append(Token(text, words))
                at += len(pieces[at : at + length])
                break
    return tokens


def _split_track_number(tokens: list[Token]) -> tuple[int | None, list[Token]]:
    if len(tokens) > 1 and tokens[0].is_number:
        return int(tokens[0].text), tokens[1:]
    return None, tokens


def _without_shared(token_lists: list[list[Token]]) -> list[list[Token]]:
    """The token lists without the beginning and end that all of them share."""
    shortest = min((len(tokens) for tokens in token_lists), default=0)
    if len(token_lists) < 2 or shortest < 2:
        return token_lists
    first = token_lists[0]
    start = 0
    while start < shortest - 1 and all(tokens[start] == first[start] for tokens in token_lists):
        start += 1
    end = 0
    while end < shortest - start - 1 and all(
        tokens[-1 - end] == first[-1 - end] for tokens in token_lists
    ):
        end += 1
    return [tokens[start : len(tokens) - end] for tokens in token_lists]


def _literal(name: str) -> Guess | None:
    stem = stem_of(name)
    if stem not in frozenset(Role):
        return None
    words = frozenset(word for token in tokenise(name) for word in token.words)
    return Guess(Role(stem), f'named as the role "{stem}"', words, is_literal=True, meaning=(stem,))


def _guess(tokens: list[Token], track_number: int | None) -> Guess:
    rule_guess = _apply_rules(tokens)
    number, size_in = _numbers(tokens)
    meaning = tuple(token.text for token in tokens if "noise" not in token.words)
    return Guess(
        rule_guess.part,
        rule_guess.why,
        rule_guess.words,
        number=number,
        size_in=size_in,
        track_number=track_number,
        meaning=meaning,
    )


def _words(tokens: list[Token]) -> frozenset[str]:
    """The table's words in a name, single letters read by what stands with them."""
    words = {word for token in tokens for word in token.words}
    texts = [token.text for token in tokens]
    if texts[:1] == ["k"] and words & {"in", "out", "sub"}:
        words.add("kick")
    if texts[:1] == ["s"] and words & {"top", "bottom"}:
        words.add("snare")
    if texts[:1] == ["t"] and len(tokens) > 1 and tokens[1].is_number:
        words.add("tom")
    letters = {"t": "top", "b": "bottom"} if words & {"snare", "hihat"} else {}
    if words & {"overhead", "over", "room", "cymbals"}:
        letters = {"g": "left", "i": "left", "d": "right", "c": "mono", "m": "mono"}
        side_of = {"hihat": "left", "snare": "left", "ride": "right", "floor": "right"}
        words |= {
            side for source, side in side_of.items() if source in words and "overhead" in words
        }
    if "tom" in words:
        letters = {"h": "high", "m": "mid", "f": "floor"}
    return frozenset(words | {letters[text] for text in texts if text in letters})


def _apply_rules(tokens: list[Token]) -> Guess:
    words = _words(tokens)
    spelled = " ".join(token.text for token in tokens if token.words and "noise" not in token.words)
    spelled = spelled or " ".join(token.text for token in tokens)
    is_all_known = all(token.words or len(token.text) == 1 or token.is_number for token in tokens)
    rule = next(
        (rule for rule in RULES if rule.matches(words) and (is_all_known or not rule.is_alone)),
        None,
    )
    if rule is None:
        return Guess(None, "no part of a drum kit in its name", words)
    if _is_contradiction(rule, words):
        return Guess(None, f'its name says several things at once: "{spelled}"', words)
    return Guess(rule.part, f'{rule.why}: "{spelled}"', words)


def _is_contradiction(rule: Rule, words: frozenset[str]) -> bool:
    if rule.part in (Role.OTHER, Role.TRIGGER):
        return False
    if rule.part in (Family.OVERHEAD, Family.ROOM):
        return "instrument" in words
    return sum(not words.isdisjoint(sources) for sources in CONFLICTS) > 1


def _numbers(tokens: list[Token]) -> tuple[int | None, int | None]:
    """Index and size in inches; a number behind "take" or before the drum's name is neither."""
    number: int | None = None
    size_in: int | None = None
    is_named = False
    for before, token in zip([Token(""), *tokens], tokens, strict=False):
        is_named = is_named or token.text == "t" or not set(token.words) <= {"noise", "take"}
        if (size := re.fullmatch(r"(\d+)inch", token.text)) is not None:
            size_in = size_in or int(size[1])
        elif "take" in before.words or number is not None or not is_named:
            continue
        elif token.is_number and int(token.text) <= 20:
            number = int(token.text)
        elif token.text in _LETTER_NUMBERS:
            number = _LETTER_NUMBERS[token.text]
    if size_in is None and number in TOM_SIZES_IN and number is not None and number >= 8:
        size_in, number = number, None
    return number, size_in
