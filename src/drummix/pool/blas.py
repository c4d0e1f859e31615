"""Linear algebra on one thread, for results that are to be the same on any machine's cores.

A product of matrices or a solution that several threads share adds in another order, and rounds
otherwise. What is computed here is small: it loses no time on one thread.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from threadpoolctl import threadpool_limits

Given = ParamSpec("Given")
Result = TypeVar("Result")


def on_one_blas_thread(function: Callable[Given, Result]) -> Callable[Given, Result]:
    """The same function, in which BLAS and LAPACK use one thread."""

    @wraps(function)
    def limited(*args: Given.args, **kwargs: Given.kwargs) -> Result:
        # Scipy brings a BLAS of its own, and only what is loaded can be limited.
        import scipy.linalg  # noqa: F401

        with threadpool_limits(1, user_api="blas"):
            return function(*args, **kwargs)

    return limited
