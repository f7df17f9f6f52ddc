"""The report of grids that are not like those whose outputs are kept."""

import pandas as pd

from equinorm import figures, report, tables
from equinorm.config import load_profile


def test_a_grid_without_a_result_has_a_report_that_shows_every_cell_missing(tmp_path):
    grid = tables.collect(load_profile("full"), tmp_path)
    report.write(grid, tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "0 of 60 cells are done" in text
    assert "curves_" not in text
    assert (tmp_path / "report.html").exists()
    assert (pd.read_csv(tmp_path / "tables" / "status.csv")["status"] == "missing").all()


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
