"""Which table the numbers of a report are from."""

import json
from pathlib import Path, PurePosixPath

import pandas as pd

from reproduction.evidence import answers
from reproduction.evidence.site.text import Headings

_BY_HEADING = {
    "which-claims-hold-and-how-firmly": "claims",
    "the-evidence-for-each-claim": "claims",
    "variants-compared": "comparisons",
    "accuracy": "accuracy",
    "with-biases": "accuracy",
    "runs-that-did-not-train": "runs",
    "cost": "cost",
    "time": "cost",
    "limits": "seed_spread",
}
"""The table behind a section of the page or of the appendix."""


class Sources:
    """The tables behind the report in `folder`, a folder of `repository`/outputs such as outputs/paper."""

    def __init__(self, repository: Path, folder: PurePosixPath) -> None:
        self.tables = folder / "tables"
        self.there = {path.stem for path in (repository / self.tables).glob("*.csv")}
        claims = repository / self.tables / "claims.csv"
        self.claims = set(pd.read_csv(claims)["name"].astype(str)) if "claims" in self.there else set()
        self.studies, self.findings = {}, {}
        for name, title in answers.STUDIES.items():
            contents = repository / "outputs" / "studies" / name / "contents.json"
            if contents.is_file():
                self.studies[Headings().add(3, title)] = PurePosixPath(f"outputs/studies/{name}/tables")
                self.findings[json.loads(contents.read_text(encoding="utf-8")).get("finding", "")] = name

    def of(self, heading: str, text: str, row: str) -> tuple[PurePosixPath, str] | None:
        """The file or folder, and the row in it (or nothing), that numbers are from: given the id of the heading they
        are under, and the text or the name of the table's row that they are in. None where that is not known."""
        if row in self.claims:
            return self.tables / "claims.csv", row
        if heading in self.studies:
            return self.studies[heading], ""
        table = _BY_HEADING.get(heading) or (None if row else self._of_a_summary(text))
        if isinstance(table, str):
            return (self.tables / f"{table}.csv", "") if table in self.there else None
        return table

    def _of_a_summary(self, text: str) -> str | tuple[PurePosixPath, str] | None:
        """The same for a sentence at the top of the page."""
        for finding, name in self.findings.items():
            if finding and text and finding.startswith(text[:40]):
                return PurePosixPath(f"outputs/studies/{name}/tables"), ""
        if " claims of " in text:
            return "claims"
        if "spread between seeds" in text:
            return "seed_spread"
        return "comparisons" if "more accurate" in text or "lead" in text else None
