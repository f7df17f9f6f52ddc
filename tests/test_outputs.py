"""Integrity of the committed results: every number in the repository is what its runs give."""

import importlib.metadata
import io
import json
import re

import pandas as pd
import pytest

from reproduction.checkout import REPOSITORY
from reproduction.evidence import figures, report, tables
from reproduction.protocol.profiles import load_profile

pytestmark = pytest.mark.portable

COMMITTED = [
    path.parent.name
    for path in sorted(REPOSITORY.glob("outputs/*/tables"))
    if path.parent.name in {config.stem for config in REPOSITORY.glob("config/*.yaml")} - {"demo"}
]

PACKAGES = ("numpy", "pandas", "scipy", "matplotlib", "seaborn")


@pytest.fixture(scope="module", params=COMMITTED)
def committed(request):
    outputs = REPOSITORY / "outputs" / request.param
    return tables.collect(load_profile(request.param), outputs), outputs


def test_every_result_is_whole_and_fits(committed):
    grid, _ = committed
    assert grid.problems == {}


def test_every_run_has_all_its_epochs_or_a_recorded_divergence(committed):
    grid, _ = committed
    for result in grid.results.values():
        for seed in result.frame["seed"].unique():
            run = result.frame[result.frame["seed"] == seed]
            assert run["epoch"].tolist() == list(range(1, len(run) + 1))
            assert not run["diverged"].iloc[:-1].any()
            assert len(run) == grid.profile.epochs or run["diverged"].iloc[-1]


def test_one_data_set_and_the_precision_of_the_profile(committed):
    grid, _ = committed
    metadata = [result.metadata for result in grid.results.values()]
    assert len({m["data"]["fingerprint"] for m in metadata}) == 1
    for cell in grid.profile.cells():
        result = grid.results.get((cell.variant, cell.p))
        assert result is None or result.parameters.precision == cell.precision


def test_learning_rates_are_those_of_table_1(committed):
    grid, _ = committed
    for parameters in grid.profile.cells():
        result = grid.results.get((parameters.variant, parameters.p))
        if result is not None and parameters.learning_rate is None:
            first = result.frame.loc[result.frame["epoch"] == 1, "learning_rate"]
            assert (first == parameters.initial_learning_rate).all()


def test_every_result_has_its_executed_notebook(committed):
    grid, outputs = committed
    for variant, p in grid.results:
        notebook = json.loads((outputs / "notebooks" / f"{variant}_p{p:02d}.ipynb").read_text())
        assert notebook["metadata"]["papermill"]["exception"] is None
        assert notebook["metadata"]["papermill"]["parameters"]["p"] == p


def test_tables_and_report_are_what_the_runs_give(committed):
    """Byte by byte with the packages that made them; with others, whose last digits may differ, as numbers."""
    grid, outputs = committed
    frames = report.all_tables(grid)
    for name, frame in frames.items():
        path = outputs / "tables" / f"{name}.csv"
        if other_versions():
            again = pd.read_csv(io.StringIO(frame.to_csv(index=False)))
            pd.testing.assert_frame_equal(pd.read_csv(path), again, rtol=1e-9, obj=name)
        else:
            assert path.read_text(encoding="utf-8") == frame.to_csv(index=False), name
    assert (outputs / "report.md").read_text(encoding="utf-8") == report.page(grid, frames)
    assert (outputs / "appendix.md").read_text(encoding="utf-8") == report.appendix(grid, frames)
    if grid.profile.name == "paper":
        page = report.page(grid, frames, base="outputs/paper/", root="")
        assert (REPOSITORY / "report.md").read_text(encoding="utf-8") == page


@pytest.mark.parametrize("name", ["report.md", "appendix.md"])
def test_rows_of_a_table_have_its_columns(committed, name):
    """A sentence that a template sets right after a table would be a cell of its last row."""
    for table in re.findall(r"(?:^\|.*\n?)+", (committed[1] / name).read_text(encoding="utf-8"), re.M):
        rows = [line.rstrip() for line in table.splitlines()]
        assert {row.count("|") for row in rows} == {rows[1].count("|")}, rows[0]
        assert all(row.endswith("|") for row in rows), rows[0]


def test_the_report_is_a_page():
    """Short enough to be read: issue by issue it grew to eight thousand words once."""
    text = (REPOSITORY / "report.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("|")]
    assert len(re.findall(r"^\|[-:| ]+\|$", text, re.M)) <= 4
    assert len(re.findall(r"^!\[", text, re.M)) <= 7
    prose = re.sub(r"!?\[([^]]*)\]\([^)]*\)", r"\1", "\n".join(line for line in lines if not line.startswith("![")))
    assert len(prose.split()) <= 1800
    paragraphs = [" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n|\n(?=[-#*])", prose)]
    for sentence in (part for paragraph in paragraphs for part in re.split(r"[.?!][*]* (?=[A-Z*])", paragraph)):
        # Numbers that say of what, not how much, are no results.
        settings = r"CIFAR-10|Table 1|\b2019\b|`[^`]*`|c\^\(.*?\)|\b[pcL] [=≤≥<>] [\d.]*\d|95 %"
        numbers = re.findall(r"(?<![\w.-])[-+]?\d+(?:[.,]\d+)*", re.sub(settings, "", sentence))
        assert len(numbers) <= 4, sentence


def test_figures_are_what_the_runs_give(committed, tmp_path):
    if others := other_versions():
        pytest.skip(f"bytes of figures depend on {others}; the committed ones were drawn with other versions")
    grid, outputs = committed
    for name, figure in report.all_figures(grid, report.all_tables(grid)).items():
        figures.write(figure, tmp_path / name)
        one, again = (path / f"{name}.svg" for path in (outputs / "figures", tmp_path))
        assert_drawn_alike(one.read_text(encoding="utf-8"), again.read_text(encoding="utf-8"), name)


def assert_drawn_alike(one: str, other: str, name: str) -> None:
    """Two SVGs are the same to a hundredth of a point, but for names of shapes, which are hashes of their sizes.

    Texts are measured a little differently where a figure was shown before it is written, as in the summary notebook.
    """
    number = r"-?\d+\.\d+"
    one, other = (re.sub(r'(id="|#)([a-z])[0-9a-f]{10}\b', r"\1\2", svg) for svg in (one, other))
    one, other = (re.sub(r"(?<= )-0(?= )", "0", svg) for svg in (one, other))  # 0 and -0 are one place
    assert re.sub(number, "0", one) == re.sub(number, "0", other), name
    assert [float(n) for n in re.findall(number, one)] == pytest.approx(
        [float(n) for n in re.findall(number, other)], abs=0.01
    ), name


def other_versions() -> str:
    """Which packages that compute and draw are not those of the lock on its lowest Python, which made the outputs."""
    lock = (REPOSITORY / "requirements.lock").read_text(encoding="utf-8")
    pins = {name: re.search(rf"^{name}==(\S+)", lock, re.M).group(1) for name in PACKAGES}  # the first: lowest Python
    return ", ".join(name for name, pin in pins.items() if importlib.metadata.version(name) != pin)
