"""python -m benchmarks.many_cells N ...: what a grid of N cells costs besides training, on synthetic results.

Results of N cells with 60 epochs each are written to a temporary folder in their real format; then every part of what
`./run_all.sh` does with them is timed once. Each N has a process of its own.
"""

import argparse
import functools
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from equinorm import config, experiments, provenance, results
from equinorm.results import CellFiles
from equinorm.training import History

_EPOCHS = 60
_SYNTHETIC = {
    "device": {"type": "cpu", "name": "none: synthetic", "threads": 1, "cores": 1},
    "data": {"name": "cifar10", "description": "none: synthetic", "fingerprint": "0" * 64, "canonical": False},
    "finished": "2020-01-01T00:00:00Z",
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.many_cells", description=__doc__.splitlines()[0])
    parser.add_argument("sizes", type=int, nargs="+", metavar="N", help="numbers of cells")
    parser.add_argument("--skip", action="append", default=[], metavar="PART", help="leave this part out")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.here:
        print(json.dumps(measure(arguments.sizes[0], arguments.skip)))
        return
    columns = {}
    for size in arguments.sizes:
        command = [sys.executable, "-m", "benchmarks.many_cells", "--here", str(size)]
        command += [f"--skip={part}" for part in arguments.skip]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        columns[f"{size:,} cells"] = json.loads(done.stdout.splitlines()[-1])
    print(pd.DataFrame(columns).to_markdown(disable_numparse=True))


def measure(size: int, skip: list[str]) -> dict[str, str]:
    """Seconds of each part, and the largest memory this process has had when it ended."""
    variants, depths = shape(size)
    register(variants)
    with tempfile.TemporaryDirectory(prefix="many-cells-") as name:
        folder = Path(name)
        profile = write_profile(folder, variants, depths)
        write_results(profile, folder / "outputs")
        return Parts(profile, folder, skip).measured


def shape(size: int) -> tuple[list[str], list[int]]:
    """Names of variants (those there are first) and depths, about as many of either, `size` cells together."""
    count = next(n for n in range(int(size**0.5), 0, -1) if size % n == 0)
    names = list(experiments.VARIANTS) + [f"enorm_{number}" for number in range(count)]
    return names[:count], list(range(1, size // count + 1))


def register(names: list[str]) -> None:
    """Make each name that is not yet that of a variant a copy of ENorm; to be done before `figures` is imported."""
    enorm = experiments.VARIANTS["enorm"]
    for name in names:
        if name not in experiments.VARIANTS:
            experiments.VARIANTS[name] = experiments.Variant(
                name, name.replace("_", " "), enorm.learning_rates, enorm=True
            )


def write_profile(folder: Path, variants: list[str], depths: list[int]) -> config.Profile:
    content = {"title": "synthetic", "dataset": "cifar10", "epochs": _EPOCHS, "depths": depths}
    (folder / "many.yaml").write_text(yaml.safe_dump(content | {"repeats": dict.fromkeys(variants, 1)}))
    return config.load_profile("many", folder)


def write_results(profile: config.Profile, outputs: Path) -> None:
    """A plausible result for every cell: noise around a curve that rises."""
    provenance.git_commit = functools.cache(provenance.git_commit)  # two processes for each cell, else
    random = np.random.default_rng(0)
    epochs = np.arange(1, _EPOCHS + 1)
    for cell in profile.cells():
        loss = 2.3 * np.exp(-epochs / 30) + 0.01 * random.standard_normal(_EPOCHS)
        frame = pd.DataFrame(
            {
                "variant": cell.variant, "p": cell.p, "seed": 0, "epoch": epochs, "step": 196 * epochs,
                "learning_rate": cell.schedule(), "train_loss": loss, "test_loss": loss + 0.1,
                "test_accuracy": 0.6 - 0.1 * loss, "weight_norm": 100 / epochs, "diverged": False,
            }
        )  # fmt: skip
        history = History(frame.to_dict("records"), [1.0] * _EPOCHS)
        results.write(CellFiles(outputs / "runs", cell.variant, cell.p), cell, history, _SYNTHETIC)


class Parts:
    """Does one part of the work after the other; `measured` says what each took."""

    def __init__(self, profile: config.Profile, folder: Path, skip: list[str]) -> None:
        from equinorm import claims, html, report, tables

        sys.path.insert(0, str(config.REPOSITORY / "workflow"))
        from watch import Watcher

        outputs = folder / "outputs"
        self.measured, self.skip = {}, skip
        self.part("Snakemake, dry run", lambda: dry_run(profile, folder))
        watcher = Watcher(profile, outputs, profile.cells())
        self.part("one look of the watcher", watcher.look)
        grid = self.part("results read and checked", lambda: tables.collect(profile, outputs))
        self.part("digest of the results", lambda: tables.inputs_digest(grid))
        frames = self.part("tables", lambda: report.all_tables(grid))
        self.part(
            "of which claims", lambda: claims.judge(claims.Evidence(frames["runs"], frames["status"], frames["cost"]))
        )
        self.part("report.md", lambda: report.render(grid, frames, base=""))
        self.part("figures", lambda: report.all_figures(grid, frames))
        self.part("all that the summary writes", lambda: report.write(grid, outputs))
        self.part("report.html", lambda: html.page((outputs / "report.md").read_text(), outputs))
        written = [path.stat().st_size for path in outputs.rglob("*") if path.is_file() and "runs" not in path.parts]
        self.measured["size of tables, figures and report"] = f"{sum(written) / 1e6:.1f} MB"

    def part(self, name: str, work: Callable[[], object]) -> object:
        if name in self.skip:
            return None
        print(f"{name} ...", end=" ", file=sys.stderr, flush=True)
        start = used()
        done = work()
        seconds = used() - start
        kib = done if name == "Snakemake, dry run" else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.measured[name] = f"{seconds:.2f} s, {kib / 2**20:.2f} GiB"
        print(self.measured[name], file=sys.stderr)
        return done


def used() -> float:
    """Seconds of processor time of this process and those it waited for; what else the machine does counts less."""
    return sum(os.times()[:4])


def dry_run(profile: config.Profile, folder: Path) -> int:
    """Snakemake's plan for a grid without results, in a process of its own; the largest memory of it in KiB."""
    (folder / "none").mkdir()
    targets = [f"runs/{cell.variant}/p{cell.p:02d}.csv" for cell in profile.cells()]
    (folder / "none" / ".needed").write_text("\n".join(targets))
    arguments = [
        "--snakefile", str(config.REPOSITORY / "workflow" / "Snakefile"), "--directory", str(folder / "none"),
        "--dry-run", "--cores", "2", "--nolock", "--rerun-triggers", "mtime", "--quiet", "all",
        "--config", f"profile={folder / 'many'}", f"outputs={folder / 'none'}", "device=cpu", "timeout=0", "threads=1",
        f"python={sys.executable}", "--", "needed",
    ]  # fmt: skip
    pid = os.fork()
    if pid == 0:
        from snakemake.cli import main as snakemake

        try:
            snakemake(arguments)
        except SystemExit as ended:
            os._exit(ended.code or 0)
    _, status, used = os.wait4(pid, 0)
    if status:
        raise RuntimeError(f"Snakemake's dry run ended with status {os.waitstatus_to_exitcode(status)}")
    return used.ru_maxrss


if __name__ == "__main__":
    main()
