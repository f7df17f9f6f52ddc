"""Integrity of the committed results: every number in the repository is what its runs give."""

import importlib.metadata
import json
import re

import pytest

from equinorm import figures, report, tables
from equinorm.config import REPOSITORY, load_profile

pytestmark = pytest.mark.portable

COMMITTED = [
    path.parent.name
    for path in sorted(REPOSITORY.glob("outputs/*/tables"))
    if path.parent.name in {config.stem for config in REPOSITORY.glob("config/*.yaml")} - {"demo"}
]


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


def test_one_data_set_one_precision(committed):
    grid, _ = committed
    metadata = [result.metadata for result in grid.results.values()]
    assert len({m["data"]["fingerprint"] for m in metadata}) == 1
    assert {result.parameters.precision for result in grid.results.values()} == {"float32"}


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
    grid, outputs = committed
    frames = report.all_tables(grid)
    for name, frame in frames.items():
        assert (outputs / "tables" / f"{name}.csv").read_text() == frame.to_csv(index=False), name
    assert (outputs / "report.md").read_text() == report.render(grid, frames, base="")
    if grid.profile.name == "paper":
        assert (REPOSITORY / "report.md").read_text() == report.render(grid, frames, base="outputs/paper/", root="")


def test_figures_are_what_the_runs_give(committed, tmp_path):
    pinned = re.search(r"^matplotlib==(\S+)", (REPOSITORY / "requirements.lock").read_text(), re.M).group(1)
    if importlib.metadata.version("matplotlib") != pinned:
        pytest.skip(f"bytes of figures depend on matplotlib; the committed ones are of {pinned}")
    grid, outputs = committed
    for name, figure in report.all_figures(grid, report.all_tables(grid)).items():
        figures.write(figure, tmp_path / name)
        drawn = (tmp_path / f"{name}.svg").read_bytes()
        assert (outputs / "figures" / f"{name}.svg").read_bytes() == drawn, name
