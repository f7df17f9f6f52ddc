"""Tables, figures and report of a profile, made of its results: every number in the report comes from a table."""

from reproduction.evidence.report.contents import (
    accuracy_figure,
    all_figures,
    all_tables,
    curves_figure,
    follows_protocol,
    variants,
)
from reproduction.evidence.report.text import appendix, page, status_sentence
from reproduction.evidence.report.writing import inputs_digest, summary_is_current, write

__all__ = [
    "accuracy_figure",
    "all_figures",
    "all_tables",
    "appendix",
    "curves_figure",
    "follows_protocol",
    "inputs_digest",
    "page",
    "status_sentence",
    "summary_is_current",
    "variants",
    "write",
]
