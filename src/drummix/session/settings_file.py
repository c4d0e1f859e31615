"""``session.toml``: what a person wrote down about a session's files.

In: the path. Out: role -> file names, checked.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from drummix.errors import RoleError, SessionError
from drummix.roles import Role, parse_role

SETTINGS_NAME = "session.toml"


def read_settings(path: Path) -> dict[str, list[str]]:
    """Read the roles in a ``session.toml``.

    Args:
        path: The file; a missing one says nothing.

    Returns:
        Role as written -> file names or patterns; ``ignore`` among the roles.

    Raises:
        SessionError: If it is no TOML, or holds a key or a value that has no meaning.
    """
    if not path.is_file():
        return {}
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        reason = str(error).replace("\n", " ")
        raise SessionError(f"{path} cannot be read as TOML: {reason}") from error
    for key in settings:
        if key not in ("roles", "ignore"):
            raise SessionError(f'{path}: unknown key "{key}"; expected [roles] and ignore')
    table = settings.get("roles", {})
    if not isinstance(table, dict):
        raise SessionError(f'{path}: roles is no table; write [roles], then snare = "take 3.wav"')
    roles = {role: _names(path, role, value) for role, value in table.items()}
    for role in roles:
        try:
            parse_role(role)
        except RoleError as error:
            raise SessionError(f"{path}: [roles]: {error}") from error
    ignored = roles.pop(Role.IGNORE, []) + _names(path, "ignore", settings.get("ignore", []))
    return roles | ({Role.IGNORE.value: ignored} if ignored else {})


def _names(path: Path, key: str, value: Any) -> list[str]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise SessionError(
            f'{path}: {key} = {value!r}; expected a file name or a list of them, as "take 3.wav"'
        )
    return names
