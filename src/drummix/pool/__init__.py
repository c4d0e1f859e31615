"""The same work on many things: here, in several processes, or over Ray.

Belongs here: processes and threads, how they are started, what ends them, and who does what next.
Does not belong here: what the work is.
"""

from drummix.pool.blas import on_one_blas_thread
from drummix.pool.context import context
from drummix.pool.cores import allowed_cores
from drummix.pool.dispatch import WorkerDied
from drummix.pool.hosts import Worker, WorkerFactory
from drummix.pool.shared import Shared
from drummix.pool.work import FunctionWorker, check_is_shared, each_result, results_in_order

__all__ = [
    "FunctionWorker",
    "Shared",
    "Worker",
    "WorkerDied",
    "WorkerFactory",
    "allowed_cores",
    "check_is_shared",
    "context",
    "each_result",
    "on_one_blas_thread",
    "results_in_order",
]
