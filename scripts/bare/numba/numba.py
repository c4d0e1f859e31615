"""Stand-in for numba where it is not installed: the same functions, run by Python itself, slowly.

The loops of the wet mix's dynamics and reverberation then take minutes where they took seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def njit(*functions: Callable[..., Any], **options: Any) -> Any:
    """Leave a function as it is, whether or not options are given."""
    if functions:
        return functions[0]
    return lambda function: function
