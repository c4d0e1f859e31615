"""Stand-in for numba where it is not installed: the same functions, run by Python itself, slowly.

The plate then takes about 0.4 s of a core for a second of sound, the dynamics come on top.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def njit(*functions: Callable[..., Any], **options: Any) -> Any:
    """Leave a function as it is, whether or not options are given."""
    if functions:
        return functions[0]
    return lambda function: function
