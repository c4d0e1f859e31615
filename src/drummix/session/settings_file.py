"""``session.toml``: what a person wrote down about a session's files.

In: the path. Out: role -> file names, checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from drummix.errors import RoleError, SessionError
from drummix.plain_data import Sized, read_toml
from drummix.roles import Role, parse_role

SETTINGS_NAME = "session.toml"

_Name = Annotated[str, Sized(0, 1000)]
_Names = _Name | tuple[_Name, ...]


@dataclass(frozen=True)
class _Settings:
    roles: Mapping[Annotated[str, Sized(1, 100)], _Names] = field(default_factory=dict)
    ignore: _Names = ()


def read_settings(path: Path) -> dict[str, list[str]]:
    """Read the roles in a ``session.toml``.

    Args:
        path: The file; a missing one says nothing.

    Returns:
        Role as written -> file names or patterns; ``ignore`` among the roles.

    Raises:
        SessionError: If it is no TOML, or holds a key or a value that has no meaning.
    """
    if not path.exists():
        return {}
    hint = 'write [roles], then lines such as snare = "take 3.wav"'
    settings = read_toml(path, _Settings, error=SessionError, hint=hint)
    roles = {role: _listed(names) for role, names in settings.roles.items()}
    for role in roles:
        try:
            parse_role(role)
        except RoleError as error:
            raise SessionError(f"{path}: [roles]: {error}") from error
    ignored = roles.pop(Role.IGNORE, []) + _listed(settings.ignore)
    return roles | ({Role.IGNORE.value: ignored} if ignored else {})


def _listed(names: _Names) -> list[str]:
    return [names] if isinstance(names, str) else list(names)
