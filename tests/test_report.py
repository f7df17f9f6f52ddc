"""The summary of a grid in which one cell is done, one has a diverged run, and one is missing."""

import base64
import dataclasses
import json
import re
import shutil

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from PIL import Image

from reproduction.evidence import figures, html, protocols, published, report, results, tables
from reproduction.evidence.report.text import _single_runs
from reproduction.evidence.results import CellFiles
from reproduction.evidence.whole import TABLES, has_report
from reproduction.protocol.profiles import Profile
from reproduction.protocol.variants import IN_2019, VARIANTS, Variant
from reproduction.run import run as run_cell

pytestmark = pytest.mark.portable

PROFILE = Profile(
    name="small", title="a test", dataset="digits", epochs=2, learning_rate=0.01, depths=[0],
    repeats={"baseline": 2, "enorm": 2, "batch_norm": 1},
)  # fmt: skip


def whole(grid, frames):
    """The page and its appendix."""
    return report.page(grid, frames) + report.appendix(grid, frames)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("outputs")
    baseline, enorm, _ = PROFILE.cells()
    run_cell(**baseline.model_dump(), outputs=str(outputs), device="cpu")
    result = run_cell(**enorm.model_dump(), outputs=str(outputs), device="cpu")
    # One of the two runs, as if its loss had become NaN in step 7.
    frame = result.frame[(result.frame["seed"] == 0) | (result.frame["epoch"] == 2)].copy()
    broken = (frame["seed"] == 1).to_numpy()
    frame.loc[broken, ["train_loss", "test_loss", "test_accuracy", "weight_norm"]] = None
    frame.loc[broken, "step"] = 7
    frame.loc[broken, "diverged"] = True
    files = CellFiles(outputs / "runs", "enorm", 0)
    made_with = {name: value for name, value in result.runs[0].items() if name not in ("seed", "epoch_seconds")}
    for path in (files.csv, files.json):
        path.unlink()
    results.add(files, enorm, results.History(frame.to_dict("records"), [1.0, 1.0]), made_with, result.metadata["data"])
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
    assert "[appendix](appendix.md)" in text
    text += (outputs / "appendix.md").read_text()
    assert "| ENorm | 0 | 1 | diverged | 2 | 7 |" in text  # p, seed, what, epoch, step
    assert "[`report.html`](report.html)" in text
    for name in ("baseline", "enorm"):  # the mean of the runs that trained, and how many; no interval of two values
        mean, n = tables.accuracy(grid).set_index("variant").loc[name, ["mean", "n"]]
        assert f"{100 * mean:.1f} ({n:.0f})" in text


def of_variants(repeats, **changes):
    return PROFILE.model_copy(update={"repeats": repeats, **changes})


@pytest.mark.parametrize(("name", "title", "figure"), [("enorm", "ENorm", 2), ("enorm_bias", "ENorm with biases", 3)])
def test_a_grid_of_one_variant_makes_a_report_of_one_variant(name, title, figure, outputs, tmp_path):
    profile = of_variants({name: 2})
    if name == "enorm":
        shutil.copytree(outputs / "runs", tmp_path / "runs")
    else:
        run_cell(**profile.cells()[0].model_dump(), outputs=str(tmp_path), device="cpu")
    report.write(tables.collect(profile, tmp_path), tmp_path)
    text = (tmp_path / "report.md").read_text() + (tmp_path / "appendix.md").read_text()
    headers = [line for line in text.splitlines() if line.startswith("| p ")]
    assert headers and all([cell.strip() for cell in line.split("|")[2:-1]] in ([title], ["0"]) for line in headers)
    assert "| –" not in text and "Baseline" not in text and "not run yet" not in text
    assert [f"figures/figure_{number}.svg" in text for number in (2, 3)] == [figure == 2, figure == 3]
    drawn = {path.stem for path in (tmp_path / "figures").glob("*.svg")}
    suffix = "_biases" if figure == 3 else ""
    assert drawn == {f"figure_{figure}", f"curves_train_loss{suffix}", f"curves_test_accuracy{suffix}"}
    assert all(f"figures/{name}.svg" in text for name in drawn)
    for name in drawn:
        with Image.open(tmp_path / "figures" / f"{name}.png") as picture:
            assert picture.mode == "P"  # 256 colours, a third of the bytes


def test_a_variant_that_only_the_registry_has_is_in_no_report(grid, monkeypatch):
    monkeypatch.setitem(VARIANTS, "mine", Variant("mine", "Mine", (0.1,) * 10))
    frames = report.all_tables(grid)
    assert "Mine" not in whole(grid, frames)
    assert report.variants(PROFILE, biases=False) == ["baseline", "batch_norm", "enorm"]  # in the registry's order
    assert report.variants(of_variants({"mine": 1, "baseline": 1}), biases=False) == ["baseline", "mine"]


def test_ones_own_variant_is_compared_and_its_part_named(grid, outputs, tmp_path, monkeypatch):
    monkeypatch.setitem(VARIANTS, "mine", Variant("mine", "Mine", (0.1,) * 10, between="leaky"))
    assert "ReLU between them, no biases" in whole(grid, report.all_tables(grid))
    shutil.copytree(outputs / "runs" / "baseline", tmp_path / "runs" / "baseline")
    own = tables.collect(of_variants({"baseline": 2, "mine": 1}), tmp_path)
    text = whole(own, report.all_tables(own))
    assert "ReLU between them (but `leaky` in Mine), no biases" in text
    assert "## Variants compared" in text and "| Mine – Baseline" in text


PROTOCOL = {"dataset": "cifar10", "epochs": 60, "learning_rate": None, "depths": [1, 3]}


def test_another_protocol_stands_beside_that_of_2019(grid, tmp_path):
    other = of_variants({"baseline": 1}, **PROTOCOL, parameters={"training_images": 40960})
    empty = tables.collect(other, tmp_path)
    frames = report.all_tables(empty)
    assert frames["protocols"].empty and "claims" not in frames
    assert "Beside the paper" not in report.page(empty, frames)
    row = {"variant": "baseline", "depths": 2, "paper_2019": 52.0, "here": 52.3, "protocol_2019": 53.0}
    text = report.page(empty, frames | {"protocols": pd.DataFrame([row | {"report_2019": None}])})
    found = next(line for line in text.splitlines() if line.startswith("| Baseline"))
    assert [part.strip() for part in found.split("|")[2:6]] == ["52.0", "52.3 (+0.3)", "–", "53.0 (+1.0)"]
    assert "Over the 1 method that all have, these runs are +0.3 points from" in text
    assert "protocols" not in report.all_tables(grid)


def test_the_appendix_says_at_which_rates_in_which_precision_and_how_otherwise_runs_were_made(tmp_path):
    other = of_variants(
        {"baseline": 1, "enorm_batch_norm": 1, "group_norm": 1},
        **PROTOCOL | {"depths": [1, 19]},
        parameters={"training_images": 40960},
        learning_rates={"enorm_batch_norm": [0.1, 0.025]},
        precision="bfloat16",
        precisions={"enorm_batch_norm": "float32"},
    )
    empty = tables.collect(other, tmp_path)
    text = report.appendix(empty, report.all_tables(empty))
    assert "Otherwise than in the protocol of 2019: `training_images = 40960` (" in text
    assert "in bfloat16, in float32 for ENorm + BN" in text
    assert "2019 report's Table 1 for Baseline: " in text and "0.05 instead of 0.1" not in text
    assert "For ENorm + BN [this profile]" in text and "For GN, which the 2019 report does not have" in text
    row = next(line for line in text.splitlines() if line.startswith("| ENorm + BN"))
    assert [part.strip() for part in row.split("|")[2:4]] == ["0.1", "0.025"]


def test_the_appendix_of_the_protocol_of_2019_has_nothing_to_say_of_others(tmp_path):
    empty = tables.collect(of_variants({"baseline": 1, "enorm_batch_norm": 1}, **PROTOCOL), tmp_path)
    text = report.appendix(empty, report.all_tables(empty))
    assert "Otherwise than" not in text and "Products of matrices" not in text
    assert "Table 1: for each variant and depth the paper's authors' best one, but that" in text


def test_a_further_grid_of_the_protocol_of_2019_has_what_the_studies_found_and_says_how_it_differs(tmp_path):
    other = of_variants(
        {"baseline": 5, "enorm_batch_norm": 5},
        **PROTOCOL,
        parameters={"draws": "independent"},
        precision="bfloat16",
        precisions={"enorm_batch_norm": "float32"},
    )
    empty = tables.collect(other, tmp_path)
    text = report.page(empty, report.all_tables(empty))
    assert "is written and not run yet" not in text and "outputs/studies/biases/answer.md" in text
    assert "| products of matrices | in float32 | in bfloat16, in float32 for ENorm + BN ([why](" in text
    assert "| 5 for each variant |" in text
    own = tables.collect(of_variants({"baseline": 2, "enorm": 1}, **PROTOCOL), tmp_path)
    text = report.page(own, report.all_tables(own))
    assert "products of matrices" not in text and "| 2 for Baseline, 1 for ENorm |" in text


def test_the_protocol_of_2019_is_held_against_that_of_the_authors_where_it_has_been_run(tmp_path, monkeypatch):
    own = tables.collect(of_variants({"baseline": 1}, **PROTOCOL), tmp_path)
    frames, table = report.all_tables(own), tmp_path / "protocols.csv"
    levels = pd.DataFrame([{"variant": "baseline", "depths": 2, "paper_2019": 52.0, "here": 52.3}])
    frames["published_levels"] = published.levels(pd.read_csv(protocols.OF_2019))
    monkeypatch.setattr(protocols, "OF_AUTHORS", table)
    assert "outputs/authors/report.md" not in report.appendix(own, frames)
    before = report.inputs_digest(own)
    levels.assign(report_2019=None, protocol_2019=53.0).to_csv(table, index=False)
    assert "+0.3 points from the paper's accuracy, and runs of the 2019 report's protocol +1.0" in (
        report.appendix(own, frames)
    )
    assert report.inputs_digest(own) != before


@pytest.mark.parametrize(
    ("repeats", "names"),
    [
        ({"batch_norm": 1}, []),
        ({"enorm_batch_norm": 1}, ["R6", "R7", "R18"]),
        ({"baseline": 1, "enorm": 1}, ["R1", "R14", "R15", "R16", "R17", "R19", "P3", "P4"]),
        (dict.fromkeys(IN_2019, 1), [f"R{k}" for k in range(1, 24)] + ["P3", "P4", "P5"]),
    ],
)
def test_claims_are_judged_where_the_profile_has_their_variants(repeats, names, tmp_path):
    empty = tables.collect(of_variants(repeats, **PROTOCOL), tmp_path)
    frames = report.all_tables(empty)
    judged = frames["claims"]["name"].tolist()
    assert judged == names
    assert set(frames["comparisons"]["variant"]) | set(frames["comparisons"]["against"]) <= set(repeats)
    text = whole(empty, frames)
    assert ("## Which claims hold, and how firmly" in text) == bool(judged)


def test_a_reader_is_shown_how_to_follow_a_difference_that_there_is(tmp_path):
    empty = tables.collect(of_variants(dict.fromkeys(IN_2019, 1), **PROTOCOL), tmp_path)
    frames = report.all_tables(empty)
    assert "Follow a number" not in report.page(empty, frames) and "pivot_table" not in report.appendix(empty, frames)
    compared = frames["comparisons"].set_index(["variant", "against"])
    compared.loc[("enorm_batch_norm", "batch_norm"), "depths"] = 2
    frames["comparisons"] = compared.reset_index()
    assert "the difference of R3 is in the row `enorm_batch_norm`, `batch_norm` of" in report.page(empty, frames)
    assert "accuracy.enorm_batch_norm - accuracy.batch_norm" in report.appendix(empty, frames)


def test_links_into_the_repository_lead_there_from_wherever_the_report_is(tmp_path):
    outputs = tmp_path / "somewhere" / "else" / "mine"
    report.write(tables.collect(of_variants({"baseline": 1, "enorm": 1}, **PROTOCOL), outputs), outputs)
    links = re.findall(r"\]\(([^)#]+)\)", (outputs / "report.md").read_text())
    into = [link for link in links if link.startswith("..")]
    assert len(into) > 2 and all((outputs / link).exists() for link in into)
    assert all((outputs / link).is_file() for link in links if link.endswith((".csv", ".svg", ".png", ".html")))


def test_published_curves_are_beside_runs_of_the_protocol_only(grid, tmp_path):
    assert not {"published_differences", "claims", "further_runs"} & set(report.all_tables(grid))
    assert len(report.accuracy_figure(grid, report.all_tables(grid), biases=False).axes) == 1
    for change in ({}, {"epochs": 3}, {"learning_rate": 0.1}):
        profile = of_variants({"baseline": 1, "enorm": 1}, **(PROTOCOL | change))
        like = tables.collect(profile, tmp_path)
        figure = report.accuracy_figure(like, frames := report.all_tables(like), biases=False)
        assert (len(figure.axes) == 3) == (change == {})
        assert ("curves of the paper and the 2019 report" in whole(like, frames)) == (change == {})
    plt.close("all")


def test_summary_is_current_until_a_result_is_damaged(grid, outputs):
    report.write(grid, outputs)
    assert report.summary_is_current(tables.collect(PROFILE, outputs), outputs)
    files = CellFiles(outputs / "runs", "baseline", 0)
    good = files.csv.read_bytes()
    files.csv.write_bytes(good[:-1])
    assert not report.summary_is_current(tables.collect(PROFILE, outputs), outputs)
    files.csv.write_bytes(good)
    assert not report.summary_is_current(grid, outputs / "elsewhere")


@pytest.mark.parametrize(
    "deleted",
    ["report.md", "appendix.md", "report.html", "figures/figure_2.svg", "figures/figure_2.png", "tables/status.csv"],
)
def test_a_report_is_whole_until_one_of_its_files_is_deleted(grid, outputs, tmp_path, deleted):
    assert set(TABLES) <= set(report.all_tables(grid))
    assert not has_report(tmp_path)
    report.write(grid, tmp_path)
    assert has_report(tmp_path)
    (tmp_path / deleted).unlink()
    assert not has_report(tmp_path)


def test_a_report_of_nothing_is_whole_too(tmp_path):
    report.write(tables.collect(PROFILE, tmp_path), tmp_path)
    assert has_report(tmp_path)


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


@pytest.mark.parametrize(("threads", "halved"), [([1, 1], True), ([1, 2], False)])
def test_the_time_of_an_unfinished_grid_is_that_of_the_runs_there_are(threads, halved, grid):
    """Half of it on two cores, where each run had one of them."""
    made = {}
    for (key, result), used in zip(grid.results.items(), threads, strict=True):
        device = result.runs[0]["device"] | {"threads": used}
        runs = [run | {"device": device} for run in result.runs]
        made[key] = dataclasses.replace(result, metadata=result.metadata | {"runs": runs})
    of_2019 = dataclasses.replace(
        grid, profile=of_variants(PROFILE.repeats, **PROTOCOL | {"depths": [0]}), results=made
    )
    text = report.appendix(of_2019, report.all_tables(of_2019))
    assert re.search(r"^4 of 5 runs took .* in all, one after the other", text, re.MULTILINE)
    assert ("on two cores take about half of that" in text) == halved


def test_cells_with_a_single_run_are_told_from_variants_that_have_no_other():
    rows = [("baseline", 1, 2), ("baseline", 3, 1), ("enorm", 1, 1), ("enorm", 3, 0), ("batch_norm", 1, 5)]
    accuracy = pd.DataFrame(rows, columns=["variant", "p", "n"])
    assert _single_runs(accuracy) == "all of ENorm; some of Baseline"
    assert _single_runs(accuracy[accuracy["n"] > 1]) == ""


def test_a_report_of_nothing_says_so(tmp_path):
    report.write(tables.collect(PROFILE, tmp_path), tmp_path)
    text = (tmp_path / "report.md").read_text() + (tmp_path / "appendix.md").read_text()
    assert "0 of 3 cells are done" in text
    assert "No cell has been run yet" in text
    assert "curves_" not in text


def test_result_describes_itself(grid):
    said = grid.results["enorm", 0].describe()
    assert said.startswith("enorm, p = 0, 2 run(s) of 2 epochs: digits (scikit-learn), not CIFAR-10; float32 on ")


@pytest.mark.parametrize(("column", "scale"), [("train_loss", "log"), ("test_accuracy", "linear")])
def test_losses_are_on_a_logarithmic_scale_in_every_panel(grid, column, scale):
    figure = report.curves_figure(grid, column, biases=False)
    assert {axis.get_yscale() for axis in figure.axes} == {scale}


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


def test_the_report_of_another_folder_leads_to_its_own_runs(grid, tmp_path):
    report.write(grid, tmp_path / "mine")
    for name in ("appendix.md", "report.html"):
        text = (tmp_path / "mine" / name).read_text()
        assert f"outputs/{grid.profile.name}/" not in text
        assert f"./run_all.sh {grid.profile.name} --outputs {tmp_path / 'mine'} --dry-run" in text


def test_results_that_are_set_aside_are_whole_and_out_of_the_way(outputs, grid):
    files = CellFiles(outputs / "runs", "baseline", 0)
    content = [files.csv.read_bytes(), files.json.read_bytes()]
    moved = results.set_aside(files)
    assert [path.read_bytes() for path in moved] == content
    assert not files.csv.exists() and not files.json.exists()
    assert results.set_aside(files) == []
    files.csv.write_text("another, put aside within the same second")
    (second,) = results.set_aside(files)
    assert second.read_text().startswith("another") and [path.read_bytes() for path in moved] == content
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
