"""XML within limits, as an element tree. Entities that a file declares are refused."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from drummix.errors import DrummixError
from drummix.plain_data.files import Limits, place_of, read_bytes

XML_LIMITS = Limits(n_bytes=64_000_000, characters=4096)


class _RefusedError(Exception):
    """Something that a text must not hold; it never leaves this module."""


def parse_xml(
    source: Path | bytes,
    *,
    error: type[DrummixError],
    hint: str = "",
    name: str | None = None,
    limits: Limits = XML_LIMITS,
) -> Element:
    """The root of an XML file, in any encoding that it states.

    Args:
        source: A file, or its bytes.
        error: Class of the error that is raised.
        hint: What to do next; every message ends in it.
        name: What messages call the file; its path if it is None.
        limits: How much it may hold; `characters` is for one attribute.

    Raises:
        error: If it cannot be read, is no XML, declares entities, or exceeds a limit.
    """
    place = place_of(source, name, error, hint)
    content = read_bytes(source, place, limits.n_bytes)
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True
    try:
        tree = _build(parser, limits)
        parser.Parse(content, True)
        return tree.close()
    except _RefusedError as problem:
        raise place.refusal(f", line {parser.CurrentLineNumber}: {problem}") from None
    except (expat.ExpatError, LookupError, ValueError) as problem:
        raise place.refusal(f" cannot be read as XML ({problem})") from None


def _build(parser: expat.XMLParserType, limits: Limits) -> TreeBuilder:
    """Let a parser build a tree, and stop it at what is too much."""
    tree = TreeBuilder()
    depth = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > limits.depth:
            raise _RefusedError(f"elements stand deeper than {limits.depth} in one another")
        longest = max(map(len, (tag, *attributes.values())), default=0)
        if longest > limits.characters:
            raise _RefusedError(
                f"an attribute has {longest} characters; expected at most {limits.characters}"
            )
        tree.start(_qualified(tag), {_qualified(key): text for key, text in attributes.items()})

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        tree.end(_qualified(tag))

    def refuse_entity(entity: str, *_: object) -> None:
        raise _RefusedError(f"it declares the entity {entity[:60]!r}; write out what it stands for")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = tree.data
    parser.EntityDeclHandler = refuse_entity
    return tree


def _qualified(name: str) -> str:
    return f"{{{name}" if "}" in name else name
