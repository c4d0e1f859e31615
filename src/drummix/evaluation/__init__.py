"""How close a system's mix comes to the mix it should be: metrics, oracles, tables, reports.

Belongs here: numbers that compare two signals, the best that a simpler method could have done,
whole corpora evaluated, their summaries, and what disturbed stems and long sessions do to a system.
Does not belong here: mixing (see `drummix.mixers`), listening tests with people, the command line.
"""

from drummix.evaluation.comparing import Comparison, compare
from drummix.evaluation.report import Report, make_report
from drummix.evaluation.running import evaluate
from drummix.evaluation.systems import DEFAULT_SYSTEMS
from drummix.evaluation.table import EvaluationTable

__all__ = [
    "DEFAULT_SYSTEMS",
    "Comparison",
    "EvaluationTable",
    "Report",
    "compare",
    "evaluate",
    "make_report",
]
