"""The summary of a grid in which one cell is done, one has a diverged run, and one is missing."""

import base64
import json

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from equinorm import cell, figures, html, report, results, tables
from equinorm.config import Profile
from equinorm.results import CellFiles

PROFILE = Profile(
    name="small", title="a test", dataset="digits", epochs=2, learning_rate=0.01, depths=[0],
    repeats={"baseline": 2, "enorm": 2, "batch_norm": 1},
)  # fmt: skip


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("outputs")
    baseline, enorm, _ = PROFILE.cells()
    cell.run(**baseline.model_dump(), outputs=str(outputs), device="cpu")
    result = cell.run(**enorm.model_dump(), outputs=str(outputs), device="cpu")
    # One of the two runs, as if its loss had become NaN in step 7.
    frame = result.frame[(result.frame["seed"] == 0) | (result.frame["epoch"] == 2)].copy()
    broken = (frame["seed"] == 1).to_numpy()
    frame.loc[broken, ["train_loss", "test_loss", "test_accuracy", "weight_norm"]] = None
    frame.loc[broken, "step"] = 7
    frame.loc[broken, "diverged"] = True
    files = CellFiles(outputs / "runs", "enorm", 0)
    history = results.History(frame.to_dict("records"), result.metadata["epoch_seconds"])
    results.write(files, enorm, history, {key: result.metadata[key] for key in ("device", "data", "finished")})
    return outputs


@pytest.fixture
def grid(outputs):
    return tables.collect(PROFILE, outputs)


def test_every_file_of_the_summary_is_written_and_listed(grid, outputs):
    written = report.write(grid, outputs)
    names = {"report.md", "report.html", "runs.csv", "status.csv", "accuracy.csv", "cost.csv", "figure_2.svg"}
    assert names <= {path.rsplit("/", 1)[-1] for path in written["file"]}
    assert pd.read_csv(outputs / "tables" / "status.csv")["status"].tolist() == ["done", "done", "missing"]
    text = (outputs / "report.md").read_text()
    assert "2 of 3 cells are done" in text
    assert "not run yet" in text
    assert "1 diverged" in text
    assert "| ENorm | 0 | 1 | diverged | 2 | 7 |" in text  # p, seed, what, epoch, step


def test_summary_is_current_until_a_result_is_damaged(grid, outputs):
    report.write(grid, outputs)
    assert tables.summary_is_current(tables.collect(PROFILE, outputs), outputs)
    files = CellFiles(outputs / "runs", "baseline", 0)
    good = files.csv.read_bytes()
    files.csv.write_bytes(good[:-1])
    assert not tables.summary_is_current(tables.collect(PROFILE, outputs), outputs)
    files.csv.write_bytes(good)
    assert not tables.summary_is_current(grid, outputs / "elsewhere")


def test_a_diverged_run_is_not_in_the_mean_and_is_counted(grid):
    accuracy = tables.accuracy(grid).set_index("variant")
    runs = tables.final_runs(grid)
    finished = runs[(runs["variant"] == "enorm") & ~runs["diverged"]]
    assert accuracy.loc["enorm", "n"] == 1 and accuracy.loc["enorm", "diverged"] == 1
    assert accuracy.loc["enorm", "mean"] == finished["test_accuracy"].item()
    assert accuracy.loc["baseline", "n"] == 2 and accuracy.loc["baseline", "diverged"] == 0


def test_seconds_per_run_are_those_of_all_epochs_whatever_diverged(grid):
    cost = tables.cost(grid).set_index("variant")["seconds_per_run"]
    seconds = {variant: result.seconds for (variant, _), result in grid.results.items()}
    assert cost["baseline"] == pytest.approx(seconds["baseline"] / 2, abs=0.051)  # two runs of both epochs
    assert cost["enorm"] == pytest.approx(seconds["enorm"] / 3 * 2, abs=0.051)  # one of both, one that had one


def test_a_report_of_nothing_says_so(tmp_path):
    report.write(tables.collect(PROFILE, tmp_path), tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "0 of 3 cells are done" in text
    assert "No cell has been run yet" in text
    assert "curves_" not in text


def test_result_describes_itself(grid):
    said = grid.results["enorm", 0].describe()
    assert said.startswith("enorm, p = 0, 2 run(s) of 2 epochs: digits (scikit-learn), not CIFAR-10; float32 on ")


@pytest.mark.parametrize("variants", [["baseline_bias", "enorm_bias"], list(figures.COLOURS)[:4]])
@pytest.mark.parametrize("marks", [[], ["diverged"], ["diverged", "stuck"], ["diverged", "stuck", "missing"]])
def test_accuracy_over_depth_has_room_whatever_the_legend_holds(variants, marks, recwarn):
    cells = [{"variant": variant, "p": p} for variant in variants for p in (1, 3, 5)]
    runs = pd.DataFrame(cells).assign(test_accuracy=0.5, fate="trained")
    status = pd.DataFrame(cells).assign(status="done", diverged=0, stuck=0)
    for row, mark in enumerate(marks):
        status.loc[row, "status" if mark == "missing" else mark] = "missing" if mark == "missing" else 1
    figure = figures.accuracy_over_depth(runs, status, variants)
    figure.canvas.draw()
    legend = figure.axes[0].get_legend().get_window_extent()
    assert figure.axes[0].get_position().width > 0.75
    assert legend.x0 >= 0 and legend.x1 <= figure.bbox.x1
    assert not recwarn.list


def test_curves_have_a_line_for_each_seed_and_a_mark_where_one_diverged(grid):
    figure = figures.training_curves(grid.results["enorm", 0].frame)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["seed 1 diverged at step 7"]
    for axis in figure.axes:
        assert sum(line.get_marker() == "X" for line in axis.lines) == 1
    whole = figures.training_curves(grid.results["baseline", 0].frame)
    assert not whole.axes[0].texts
    plt.close("all")


def test_curves_of_runs_that_all_diverged_say_so_without_a_warning(grid, recwarn):
    frame = grid.results["enorm", 0].frame
    figure = figures.training_curves(frame[frame["diverged"]])
    assert [text.get_text() for text in figure.axes[0].texts] == ["seed 1 diverged at step 7"]
    assert not recwarn.list
    plt.close("all")


def test_page_holds_its_images_and_equations_and_no_script(tmp_path):
    (tmp_path / "a.png").write_bytes(b"image")
    page = html.page("# A <title>\n\n![a & b](a.png)\n\n$x^2$ and\n\n$$\ny\n$$\n\n| a |\n| --- |\n| 1 |\n", tmp_path)
    assert f'src="data:image/png;base64,{base64.b64encode(b"image").decode()}"' in page
    assert "<title>A &lt;title&gt;</title>" in page
    assert page.count("<math") == 2 and "<table>" in page
    assert "<script" not in page
    with pytest.raises(OSError, match=r"b\.png"):
        html.page("# A\n\n![](b.png)", tmp_path)


def test_results_that_are_set_aside_are_whole_and_out_of_the_way(outputs, grid):
    files = CellFiles(outputs / "runs", "baseline", 0)
    content = [files.csv.read_bytes(), files.json.read_bytes()]
    moved = results.set_aside(files)
    assert [path.read_bytes() for path in moved] == content
    assert not files.csv.exists() and not files.json.exists()
    assert results.set_aside(files) == []
    for path, target in zip(moved, (files.csv, files.json), strict=True):
        path.rename(target)
    assert json.loads(files.json.read_text()) == grid.results["baseline", 0].metadata


def test_curves_of_a_grid_with_very_many_depths_are_of_some_of_them_the_first_and_last_too():
    rows = [
        {"variant": "enorm", "p": p, "seed": 0, "epoch": epoch, "train_loss": 1 / epoch, "diverged": False}
        for p in range(1, 2 * figures.PANELS + 1)
        for epoch in (1, 2)
    ]
    figure = figures.curves_over_epochs(pd.DataFrame(rows), "train_loss", "training loss", ["enorm"])
    titles = [axis.get_title() for axis in figure.axes]
    assert len(titles) == figures.PANELS
    assert titles[0] == "p = 1" and titles[-1] == f"p = {2 * figures.PANELS}"
