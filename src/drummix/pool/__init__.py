"""The same work on many things: here, in several processes, or over Ray.

Belongs here: processes and threads, what ends them, and who does what next.
Does not belong here: what the work is.
"""

from drummix.pool.blas import on_one_blas_thread
from drummix.pool.dispatch import Lost, each_done
from drummix.pool.lanes import Lane, LaneMaker, local_lanes
from drummix.pool.results import results_of

__all__ = [
    "Lane",
    "LaneMaker",
    "Lost",
    "each_done",
    "local_lanes",
    "on_one_blas_thread",
    "results_of",
]
