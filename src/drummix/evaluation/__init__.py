"""How close a system's mix comes to the mix it should be: metrics, oracles, tables.

Belongs here: numbers that compare two signals, the best that a simpler method could have done,
whole corpora evaluated, and their summaries.
Does not belong here: mixing (see `drummix.mixers`), listening tests with people, the command line.
"""

from drummix.evaluation.running import DEFAULT_SYSTEMS, evaluate
from drummix.evaluation.table import EvaluationTable

__all__ = ["DEFAULT_SYSTEMS", "EvaluationTable", "evaluate"]
