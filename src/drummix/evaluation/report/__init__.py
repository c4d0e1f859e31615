"""The report of an evaluation: tables for programs, one page to look at and listen to, figures.

Belongs here: the page, its excerpts, charts and figures, and the files beside it.
Does not belong here: mixing, metrics and statistics (the rest of `drummix.evaluation`).
"""

from drummix.evaluation.report.making import Report, make_report, put_results
from drummix.evaluation.report.writing import PAGE_NAME, ReportFiles, write_report

__all__ = ["PAGE_NAME", "Report", "ReportFiles", "make_report", "put_results", "write_report"]
