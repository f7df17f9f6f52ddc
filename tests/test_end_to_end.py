"""What the README promises: `./run_all.sh demo` in a fresh folder, and again.

Each test goes on with what the one before left.
"""

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from checkouts import copy_checkout, run_all

from reproduction.evidence import results, tables
from reproduction.evidence.results import CellFiles
from reproduction.protocol.profiles import load_profile


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    return copy_checkout(tmp_path_factory.mktemp("fresh") / "un dossier très neuf")


@pytest.fixture(scope="module")
def demo(checkout):
    done = run_all(checkout, "demo")
    assert done.returncode == 0, done.stdout + done.stderr
    return checkout / "outputs" / "demo"


def test_demo_runs_every_cell_and_writes_its_report(demo):
    runs = pd.read_csv(demo / "tables" / "runs.csv")
    assert len(runs) == 24
    assert runs["test_accuracy"].min() > 0.5
    report = (demo / "report.md").read_text()
    assert "12 of 12 cells are done" in report
    assert "digits" in report
    report += (demo / "appendix.md").read_text()
    assert "the learning rate, 0.01 at first, falls linearly to 0" in " ".join(report.split())
    assert "Table 1" not in report
    for row in pd.read_csv(demo / "tables" / "accuracy.csv").itertuples():
        assert f"{100 * row.mean:.1f} ({row.n})" in report
    assert {path.name for path in (demo / "figures").glob("figure_*")} == {
        f"figure_{number}.{suffix}" for number in (2, 3) for suffix in ("svg", "png")
    }


def test_every_file_the_report_links_to_is_there(demo):
    import re

    links = re.findall(r"\]\(([^)#]+)\)", (demo / "report.md").read_text())
    assert links
    for link in links:
        assert link.startswith("https://") or (demo / link).exists(), link


def test_executed_notebooks_name_no_path_of_this_machine(demo, checkout):
    notebooks = list((demo / "notebooks").glob("*.ipynb"))
    assert len(notebooks) == 13
    for notebook in notebooks:
        text = notebook.read_text()
        assert str(checkout) not in text
        assert str(Path.home()) + "/" not in text


def test_second_run_recomputes_nothing_and_says_so(demo, checkout):
    before = {path: path.stat().st_mtime_ns for path in demo.rglob("*") if path.is_file()}
    started = time.monotonic()
    done = run_all(checkout, "demo")
    assert done.returncode == 0
    assert "nothing to do" in done.stdout
    assert time.monotonic() - started < 60  # "seconds", with room for a busy machine
    after = {path: path.stat().st_mtime_ns for path in demo.rglob("*") if path.is_file()}
    assert {k: v for k, v in after.items() if k.name != ".lock"} == {
        k: v for k, v in before.items() if k.name != ".lock"
    }


def truncate(cell: CellFiles) -> None:
    cell.csv.write_bytes(cell.csv.read_bytes()[:-200])


def flatter(cell: CellFiles) -> None:
    """A better accuracy, by hand."""
    frame = pd.read_csv(cell.csv)
    frame.loc[len(frame) - 1, "test_accuracy"] = 0.999
    frame.to_csv(cell.csv, index=False)


def hasten(cell: CellFiles) -> None:
    """A shorter time, by hand."""
    cell.json.write_text(cell.json.read_text().replace('"epoch_seconds": [', '"epoch_seconds": [\n     0.0,', 1))


def another_format(cell: CellFiles) -> None:
    metadata = json.loads(cell.json.read_text())
    cell.json.write_text(json.dumps(results.sealed(metadata | {"format": 0})))


def state(demo: Path) -> dict[Path, bytes]:
    """All results, tables and the report."""
    return {
        path: path.read_bytes() for pattern in ("runs/*/p*", "tables/*", "report.md") for path in demo.glob(pattern)
    }


def test_damaged_results_are_named_and_kept_and_made_again_when_told_to_and_only_those(demo, checkout):
    damages = {
        ("enorm", 3): (truncate, "runs/enorm/p03.csv: changed or truncated"),
        ("baseline", 3): (flatter, "runs/baseline/p03.csv: changed or truncated"),
        ("baseline", 1): (hasten, "runs/baseline/p01.json: edited since it was written"),
        ("enorm", 1): (another_format, "runs/enorm/p01.json: of format 0"),
    }
    good = {path: path.read_bytes() for path in demo.glob("runs/*/*.csv")}
    written = {path: path.stat().st_mtime_ns for path in demo.glob("runs/*/*.json")}
    for (variant, p), (damage, _) in damages.items():
        damage(CellFiles(demo / "runs", variant, p))
    plan = run_all(checkout, "demo", "-n")
    assert "16 of 24 runs are done in" in plan.stdout and "8 missing" in plan.stdout
    grid = tables.collect(load_profile("demo"), demo)
    assert grid.results.keys().isdisjoint(damages) and len(grid.results) == 8
    reasons = tables.status(grid).set_index(["variant", "p"])["reason"]
    for (variant, p), (_, said) in damages.items():
        assert f"{variant}, p = {p}: {said}" in plan.stdout
        assert reasons[variant, p].startswith(said)
    before = state(demo)
    refused = run_all(checkout, "demo")
    assert refused.returncode == 1
    assert "--remake puts them aside" in refused.stderr
    assert all(f"not used: {said}" in refused.stderr for _, said in damages.values())
    assert state(demo) == before
    done = run_all(checkout, "demo", "--remake")
    assert done.returncode == 0, done.stderr
    assert {path: path.read_bytes() for path in demo.glob("runs/*/*.csv")} == good
    assert len(list(demo.glob("set_aside/*/*/*.csv"))) == len(damages)
    for path, time_written in written.items():
        made_again = (path.parent.name, int(path.stem[1:])) in damages
        assert (path.stat().st_mtime_ns != time_written) == made_again, path


@contextlib.contextmanager
def changed(path: Path, old: str, new: str) -> Iterator[None]:
    """A file of the checkout with other text in it."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    yield
    path.write_text(text)


def test_what_changes_no_number_leaves_all_results_valid(demo, checkout):
    """A file of the library that is new, and one that is written in another way; a variant more in the registry."""
    library = checkout / "lib"
    (library / "reproduction" / "training" / "new.py").write_text("ANSWER = 42\n")
    mine = 'Variant("mine", "Mine", _ENORM_RATES, after_step="enorm"),\n        Variant("baseline_bias"'
    with (
        changed(library / "equinorm" / "algorithm.py", "for _ in range(cycles - 1)", "for cycle in range(cycles - 1)"),
        changed(library / "reproduction" / "protocol" / "variants.py", 'Variant("baseline_bias"', mine),
        changed(
            library / "reproduction" / "training" / "network.py",
            "from reproduction.training import parts, randomness",
            "from reproduction.training import new, parts, randomness",
        ),
    ):
        plan = run_all(checkout, "demo", "-n")
    (library / "reproduction" / "training" / "new.py").unlink()
    assert "24 of 24 runs are done in" in plan.stdout and " 0 missing" in plan.stdout


def test_results_of_an_earlier_revision_are_not_used_and_not_replaced(demo, checkout):
    before = state(demo)
    with changed(checkout / "lib" / "reproduction" / "protocol" / "revisions.py", "= {", '= {"batch_norm": 2,'):
        plan = run_all(checkout, "demo", "-n")
        refused = run_all(checkout, "demo", "--summary", "--outputs", str(demo / "elsewhere"))
        with changed(
            checkout / "lib" / "reproduction" / "protocol" / "revisions.py", '= {"batch_norm": 2,', '= {"training": 2,'
        ):
            nothing = run_all(checkout, "demo", "--summary")
    assert "16 of 24 runs are done in" in plan.stdout
    assert "batch_norm, p = 1: runs/batch_norm/p01.json: made by another revision of the code" in plan.stdout
    assert "batch_norm = 1 (asked for: 2)" in plan.stdout
    for done in (refused, nothing):
        assert done.returncode == 1
        assert "no run there can be used, so nothing is made of it; what is there stays" in done.stderr
    assert state(demo) == before


def test_one_more_seed_trains_the_new_runs_only(demo, checkout):
    before = {path: path.read_bytes() for path in demo.glob("runs/*/*.csv")}
    with changed(checkout / "config" / "demo.yaml", "enorm: 2", "enorm: 3"):
        plan = run_all(checkout, "demo", "-n")
        assert "24 of 26 runs are done in" in plan.stdout and "2 missing" in plan.stdout
        assert [line for line in plan.stdout.splitlines() if line.startswith("  ")] == [
            "  enorm, p = 1: not run yet: seed 2",
            "  enorm, p = 3: not run yet: seed 2",
        ]
        done = run_all(checkout, "demo")
        assert done.returncode == 0, done.stderr
        assert "24 of 26 runs" in done.stdout
        accuracy = pd.read_csv(demo / "tables" / "accuracy.csv").set_index("variant")["n"]
        assert accuracy["enorm"].tolist() == [3, 3]
    for path, content in before.items():
        more = path.read_bytes()
        assert more.startswith(content) and (len(more) > len(content)) == (path.parent.name == "enorm")
    assert run_all(checkout, "demo").returncode == 0  # two seeds again: three are there, two are used
    assert pd.read_csv(demo / "tables" / "accuracy.csv").set_index("variant")["n"]["enorm"].tolist() == [2, 2]


def test_runs_of_other_data_are_not_gone_on_from(demo, checkout):
    kept = (demo / "runs" / "baseline" / "p01.json", demo / "runs" / "baseline" / "p03.csv")
    before = [path.read_bytes() for path in kept]
    metadata = json.loads(before[0])
    of_other = metadata | {"data": metadata["data"] | {"fingerprint": "another", "description": "other digits"}}
    kept[0].write_text(json.dumps(results.sealed(of_other)))
    kept[1].unlink()
    said = f"{demo.relative_to(checkout)}: its runs are of other data (other digits; at hand: digits (scikit-learn), "
    for dry in ((), ("-n",)):
        done = run_all(checkout, "demo", "--remake", *dry)
        assert done.returncode == 1 and said in done.stderr, dry
    assert not kept[1].exists()
    for path, content in zip(kept, before, strict=True):
        path.write_bytes(content)


def test_failing_cells_are_named_others_go_on_and_the_summary_shows_them_missing(demo, checkout):
    faults = {
        "baseline": ("raise RuntimeError('out of luck')", "RuntimeError: out of luck"),
        "batch_norm": (
            "import os; os.kill(os.getpid(), 9)",
            "its kernel died; where memory is short the system kills it",
        ),
        "enorm_bias": ("import time; time.sleep(1e6)", "a cell took longer than the timeout of 60 s"),
    }
    for variant in [*faults, "enorm"]:
        for path in (demo / "runs" / variant).glob("p01.*"):
            path.unlink()
    for variant, (code, _) in faults.items():
        notebook = checkout / "notebooks" / f"{variant}.ipynb"
        good = notebook.read_text()
        notebook.write_text(good.replace("from reproduction.evidence import figures", code))
        assert notebook.read_text() != good
    done = run_all(checkout, "demo", "--timeout", "60")
    assert done.returncode != 0
    for variant, (_, said) in faults.items():
        assert f"{variant}_p01.ipynb: {said}" in done.stderr
        assert f"missing: {variant}, p = 1: not run yet: seeds 0, 1" in done.stderr
        assert (demo / "notebooks" / f"{variant}_p01.ipynb").exists()
    assert "RuntimeError" in (demo / "notebooks" / "baseline_p01.ipynb").read_text()
    assert (demo / "runs" / "enorm" / "p01.csv").exists()
    report = (demo / "report.md").read_text()
    assert "9 of 12 cells are done" in report
    assert "not run yet" in report
