"""Text data from outside: JSON, TOML, CSV and XML, read within limits into typed classes.

Nothing in such a file is trusted. Here belongs what makes a text a value of a type or one error of
one line: how large, how deep and how long a file may be, and which keys, types and ranges a class
takes. What a file is for belongs to the room that owns its format. XML is in `plain_data.xml_tree`,
tables in `plain_data.tables`.
"""

from drummix.plain_data.files import Limits, read_text
from drummix.plain_data.rules import AnyFloat, Matching, PathText, Sized, Within
from drummix.plain_data.texts import parse_json, parse_toml, read_json, read_toml
from drummix.plain_data.typed import check_fields, convert

__all__ = [
    "AnyFloat",
    "Limits",
    "Matching",
    "PathText",
    "Sized",
    "Within",
    "check_fields",
    "convert",
    "parse_json",
    "parse_toml",
    "read_json",
    "read_text",
    "read_toml",
]
