"""Accuracy over depth, for any grid: what is drawn is what the runs are."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PolyCollection

from reproduction.evidence import figures, published, spread
from reproduction.evidence.depth_figure import accuracy_over_depth
from reproduction.protocol.variants import IN_2019, VARIANTS, Variant

SPREAD = pd.DataFrame({"lowest": [1, 11], "highest": [9, 19], "deviation": [0.003, 0.008], "freedom": [10, 6]})
NO_SPREAD = spread.by_depth(pd.DataFrame(columns=["p", "n", "sd"]))
MAIN = [name for name in IN_2019 if name in figures.variants_with(biases=False)]


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def frames(variants, depths, seeds=(0, 1)):
    """Runs around 50 % that all trained, and the status of their cells."""
    rng = np.random.default_rng(0)
    cells = [{"variant": variant, "p": p} for variant in variants for p in depths]
    runs = [cell | {"seed": s, "test_accuracy": 0.5 + 0.01 * rng.standard_normal()} for cell in cells for s in seeds]
    status = pd.DataFrame(cells).assign(status="done", diverged=0, stuck=0)
    return pd.DataFrame(runs).assign(fate="trained"), status


def lines(axis, colour, **style):
    """x and y of the lines of a colour; marker="None" for lines, another for dots."""
    own = [line for line in axis.lines if line.get_color() == colour and len(line.get_xdata())]
    own = [line for line in own if all(getattr(line, f"get_{name}")() == value for name, value in style.items())]
    return [(list(line.get_xdata()), list(line.get_ydata())) for line in own]


def test_no_two_variants_of_a_figure_look_alike(monkeypatch):
    for k in range(20):
        monkeypatch.setitem(VARIANTS, f"mine{k}", Variant(f"mine{k}", "Mine", (0.1,) * 10, between="leaky"))
    names = figures.variants_with(biases=False)
    assert len({figures.style_of(name) for name in names}) == len(names)
    assert figures.style_of("enorm_bias") == figures.style_of("enorm")


def test_every_run_is_a_dot_and_a_line_joins_the_means():
    runs, status = frames(["enorm"], [1, 9, 11])
    (axis,) = accuracy_over_depth(runs, status, ["enorm"], SPREAD).axes
    colour = figures.COLOURS["enorm"]
    (dots,) = lines(axis, colour, linestyle="None")
    assert dots == (runs["p"].tolist(), runs["test_accuracy"].tolist())
    (means,) = lines(axis, colour, linestyle="-")
    assert means == ([1, 9, 11], runs.groupby("p")["test_accuracy"].mean().tolist())


def test_the_band_is_as_wide_as_seeds_differ_in_that_range_of_depths_and_nothing_is_longer():
    runs, status = frames(["enorm"], [1, 9, 11, 19], seeds=[0])
    (axis,) = accuracy_over_depth(runs, status, ["enorm"], SPREAD).axes
    (band,) = axis.collections
    assert isinstance(band, PolyCollection) and not axis.containers
    corners = pd.DataFrame(band.get_paths()[0].vertices, columns=["p", "y"]).groupby("p")["y"]
    half = (corners.max() - corners.min()) / 2
    assert half[[1, 9]].tolist() == pytest.approx([0.003] * 2) and half[[11, 19]].tolist() == pytest.approx([0.008] * 2)
    assert axis.get_ylim()[0] < corners.min().min() and corners.max().max() < axis.get_ylim()[1]
    middle = (corners.max() + corners.min()) / 2
    assert middle[[1, 9, 11, 19]].tolist() == pytest.approx(runs["test_accuracy"].tolist())


def test_no_dot_hides_that_of_another_variant():
    runs, status = frames(MAIN, [1, 3], seeds=[0])
    (axis,) = accuracy_over_depth(runs.assign(test_accuracy=0.5), status, MAIN, SPREAD).axes
    places = [x for variant in MAIN for x in lines(axis, figures.COLOURS[variant], linestyle="None")[0][0]]
    assert min(abs(a - b) for a, b in itertools.combinations(places, 2)) > 0.1
    assert all(abs(x - round(x)) < 0.3 for x in places)


def test_a_band_that_comes_from_other_variants_is_an_outline():
    several, status = frames(["enorm"], [1, 3])
    single, others = frames(["batch_norm"], [1, 3], seeds=[0])
    runs, status = pd.concat([several, single]), pd.concat([status, others])
    shown = ["enorm", "batch_norm"]
    figure = accuracy_over_depth(runs, status, shown, SPREAD, published.behind(shown, [1, 3]))
    filled, outline = (axis.collections[0] for axis in figure.axes[1:])
    assert len(filled.get_facecolor()) and not len(outline.get_facecolor())
    assert {"± one standard deviation", "± one standard deviation (other variants)"} <= set(legend(figure))
    alone = accuracy_over_depth(several, status[status["variant"] == "enorm"], ["enorm"], SPREAD)
    assert "± one standard deviation (other variants)" not in legend(alone)


def test_without_several_runs_in_any_cell_there_is_no_band():
    runs, status = frames(["enorm"], [1, 3], seeds=[0])
    figure = accuracy_over_depth(runs, status, ["enorm"], NO_SPREAD)
    assert not figure.axes[0].collections
    assert "± one standard deviation" not in legend(figure)


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts() if text.get_text().strip()]


def test_no_line_across_a_depth_without_a_run():
    runs, status = frames(["enorm"], [1, 3, 5, 7])
    (axis,) = accuracy_over_depth(runs[runs["p"] != 3], status, ["enorm"], SPREAD).axes
    assert [x for x, _ in lines(axis, figures.COLOURS["enorm"], linestyle="-")] == [[1], [5, 7]]


def test_published_curves_are_in_grey_behind_each_variant_in_a_panel_of_its_own():
    runs, status = frames(MAIN, [1, 3, 5])
    figure = accuracy_over_depth(runs, status, MAIN, SPREAD, published.behind(MAIN, [1, 3, 5]))
    together, *panels = figure.axes
    assert not together.collections and not lines(together, "0.55")
    assert [axis.get_title() for axis in panels] == [VARIANTS[variant].title for variant in MAIN]
    numbers = pd.read_csv(published.FILE).set_index("p")
    numbers = {of: own["test_accuracy_percent"] / 100 for of, own in numbers.groupby(["source", "variant"])}
    for variant, axis in zip(MAIN, panels, strict=True):
        curves = [numbers[source, variant][[1, 3, 5]].tolist() for source in published.SOURCES]
        assert lines(axis, "0.55") == [([1, 3, 5], pytest.approx(curve)) for curve in curves]
        assert len(axis.collections) == 1 and axis.get_ylim() == panels[0].get_ylim()
        behind = max(line.get_zorder() for line in axis.lines if line.get_color() == "0.55")
        assert behind < min(line.get_zorder() for line in axis.lines if line.get_color() != "0.55")
    assert {"paper", "2019 report"} <= set(legend(figure))


def test_one_variant_has_one_panel_with_the_published_curves_in_it():
    runs, status = frames(["enorm_bias"], [1, 3])
    figure = accuracy_over_depth(runs, status, ["enorm_bias"], SPREAD, published.behind(["enorm_bias"], [1, 3]))
    (axis,) = figure.axes
    assert len(lines(axis, "0.55")) == 1 and "2019 report" in legend(figure) and "paper" not in legend(figure)


def test_of_one_depth_bands_and_published_values_are_seen():
    runs, status = frames(["enorm"], [9])
    (axis,) = accuracy_over_depth(runs, status, ["enorm"], SPREAD, published.behind(["enorm"], [9])).axes
    for x, y in lines(axis, "0.55"):
        assert x[0] < 9 < x[1] and y[0] == y[1]
    assert np.ptp(axis.collections[0].get_paths()[0].vertices[:, 0]) > 0


@pytest.mark.parametrize("variants", [["enorm"], ["baseline_bias", "enorm_bias"], MAIN[:3], MAIN, list(IN_2019)])
@pytest.mark.parametrize("marks", [[], ["diverged", "stuck", "missing"]])
@pytest.mark.parametrize("beside", [False, True])
def test_there_is_room_for_all_texts_whatever_the_grid(variants, marks, beside, recwarn):
    runs, status = frames(variants, [1, 3, 5])
    for row, mark in enumerate(marks):
        status.loc[row, "status" if mark == "missing" else mark] = "missing" if mark == "missing" else 1
    behind = published.behind(variants, [1, 3, 5]) if beside else None
    figure = accuracy_over_depth(runs, status, variants, SPREAD, behind)
    figure.canvas.draw()
    boxes = {"legend": figure.legends[0].get_window_extent()}
    for k, axis in enumerate(figure.axes):
        assert axis.get_position().width > (0.35 if k else 0.75)
        boxes[f"panel {k}"] = axis.get_tightbbox()
    for one, other in itertools.combinations(boxes.values(), 2):
        assert not one.padded(-1).overlaps(other.padded(-1))
    for box in boxes.values():
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
    assert not recwarn.list


def test_cells_not_run_yet_are_marked_in_their_own_panels_and_marks_take_no_more_room_than_they_need():
    runs, status = frames(MAIN, [1, 3, 5])
    behind = published.behind(MAIN, [1, 3, 5])
    whole = accuracy_over_depth(runs, status, MAIN, SPREAD, behind).axes[0].get_ylim()
    status.loc[status["variant"] == "enorm", "status"] = "missing"
    together, *panels = accuracy_over_depth(runs, status, MAIN, SPREAD, behind).axes
    marked = [sum(line.get_fillstyle() == "none" for line in axis.lines) for axis in (together, *panels)]
    assert marked == [0, *(int(variant == "enorm") for variant in MAIN)]
    assert together.get_ylim() == whole
    status.loc[(status["variant"] == MAIN[-1]) & (status["p"] == 5), "diverged"] = 1
    together = accuracy_over_depth(runs, status, MAIN, SPREAD, behind).axes[0]
    (mark,) = [line for line in together.lines if line.get_marker() == "X"]
    assert mark.get_color() == figures.COLOURS[MAIN[-1]] and mark.get_ydata()[0] == pytest.approx(0.04)
    assert 0 < whole[0] - together.get_ylim()[0] < 0.1 * (whole[1] - whole[0])


def test_a_grid_of_which_nothing_has_run_is_drawn_from_0_to_100_percent(recwarn):
    runs, status = frames(["baseline", "enorm"], [1, 3])
    figure = accuracy_over_depth(runs.iloc[:0], status.assign(status="missing"), ["baseline", "enorm"], NO_SPREAD)
    assert figure.axes[0].get_ylim() == (0, 1) and "not run yet" in legend(figure)
    figure.canvas.draw()
    assert not recwarn.list


def test_labels_of_many_depths_do_not_run_into_each_other():
    runs, status = frames(["enorm"], range(1, 100))
    (axis,) = accuracy_over_depth(runs, status, ["enorm"], SPREAD).axes
    assert len(axis.get_xticks()) <= 10 and axis.get_xticks()[0] == 1
