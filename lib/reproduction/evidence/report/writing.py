"""The files of a report, and whether they are still those of its results."""

import dataclasses
import os
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from reproduction import pictures, up_to_date
from reproduction.checkout import REPOSITORY
from reproduction.evidence import answers, figures, further_runs, html, protocols, published
from reproduction.evidence.report.contents import all_figures, all_tables, follows_protocol
from reproduction.evidence.report.text import TEMPLATES, appendix, page
from reproduction.evidence.tables import Grid
from reproduction.files import atomically
from reproduction.protocol.variants import VARIANTS


def write(grid: Grid, outputs: Path) -> pd.DataFrame:
    """Write tables/*.csv, figures/*.svg and .png, report.md, its appendix.md, and both as report.html under `outputs`;
    returns what was written.

    The report of the `paper` profile is written to the repository's report.md too. Raises ValueError where there is no
    usable run but a report of earlier ones, which then stays as it is.
    """
    if not grid.results and (outputs / "report.md").exists():
        raise ValueError(f"{outputs}: no run there can be used; {outputs / 'report.md'} stays as it is")
    frames = all_tables(grid)
    written = [_write_table(frame, outputs / "tables" / f"{name}.csv") for name, frame in frames.items()]
    for name, figure in all_figures(grid, frames).items():
        written += _write_figure(figure, outputs / "figures" / name)
    root = f"{os.path.relpath(REPOSITORY, outputs)}/"
    inside = outputs.resolve().is_relative_to(REPOSITORY)
    folder = os.path.relpath(outputs.resolve(), REPOSITORY) if inside else str(outputs.resolve())
    report = page(grid, frames, root=root, folder=folder)
    more = appendix(grid, frames, root=root, folder=folder)
    written.append(_write_text(report, outputs / "report.md"))
    written.append(_write_text(more, outputs / "appendix.md"))
    both = page(grid, frames, root=root, more="#appendix", folder=folder) + more
    written.append(_write_text(html.page(both, outputs), outputs / "report.html"))
    if grid.profile.name == "paper" and outputs.resolve() == REPOSITORY / "outputs" / "paper":
        written.append(_write_text(page(grid, frames, base="outputs/paper/", root=""), REPOSITORY / "report.md"))
    _write_text(inputs_digest(grid) + "\n", outputs / "tables" / "inputs.sha256")
    return pd.DataFrame({"file": [os.path.relpath(path, REPOSITORY) for path in written]})


def inputs_digest(grid: Grid) -> str:
    """What the summary of `grid` is made of (see `up_to_date`): besides its runs what is missing, what the profile and
    its variants are called, the report's templates, for a grid of the 2019 protocol what the studies found and trained,
    and the other protocol's table."""
    profile = grid.profile
    return up_to_date.digest(
        REPOSITORY / "notebooks" / "summary.ipynb",
        (result.digest() for result in grid.results.values()),
        profile.model_dump(mode="json"),
        [dataclasses.asdict(VARIANTS[name]) for name in profile.repeats],
        sorted(grid.reason(key) for key in {**grid.missing, **grid.problems}),
        [template.read_text(encoding="utf-8") for template in sorted(TEMPLATES.glob("*.j2"))],
        published.FILE.read_text(encoding="utf-8"),
        [(repr(answer), *_tables_of(answer)) for answer in answers.answers(answers.OUTPUTS)]
        if follows_protocol(grid)
        else "",
        further_runs.table(grid, answers.OUTPUTS).to_csv() if follows_protocol(grid) else "",
        _other_protocol(grid),
    )


def _tables_of(answer: answers.Answer) -> list[str]:
    """What claims are judged by, besides what an answer says."""
    tables = (answers.OUTPUTS / answer.name / "tables" / f"{name}.csv" for name in answer.tables)
    return [table.read_text(encoding="utf-8") for table in tables]


def _other_protocol(grid: Grid) -> str:
    """What the report says of the other protocol is made of this."""
    if follows_protocol(grid):
        read = (protocols.OF_AUTHORS, protocols.OF_AUTHORS.with_name("runs.csv"))
    elif protocols.differs(grid):
        read = (protocols.OF_2019,)
    else:
        return ""
    return "".join(table.read_text(encoding="utf-8") for table in read if table.exists())


def summary_is_current(grid: Grid, outputs: Path) -> bool:
    """Whether the tables, figures and report under `outputs` are those of `grid`."""
    try:
        return (outputs / "tables" / "inputs.sha256").read_text(encoding="utf-8").strip() == inputs_digest(grid)
    except OSError:
        return False


def _write_figure(figure: Figure, stem: Path) -> list[Path]:
    """As .svg and as a small .png: a grid's summary is committed again and again while the grid runs."""
    svg, png = figures.write(figure, stem)
    small = pictures.smaller(png.read_bytes())
    with atomically(png) as temporary:
        temporary.write_bytes(small)
    return [svg, png]


def _write_table(frame: pd.DataFrame, path: Path) -> Path:
    with atomically(path) as temporary:
        frame.to_csv(temporary, index=False)
    return path


def _write_text(text: str, path: Path) -> Path:
    with atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path
