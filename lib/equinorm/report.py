"""Tables, figures and report of a profile, written from its results: every number in the report comes from a table."""

import os
from pathlib import Path
from typing import get_args

import jinja2
import pandas as pd
from matplotlib.figure import Figure

from equinorm import claims, comparisons, figures, html, statistics, studies, tables
from equinorm.config import REPOSITORY
from equinorm.experiments import VARIANTS
from equinorm.files import atomically
from equinorm.tables import Grid

MAIN_VARIANTS = figures.variants_with(biases=False)
BIAS_VARIANTS = figures.variants_with(biases=True)


def status_sentence(grid: Grid) -> str:
    """How much of the profile there is, and on what data, in a few sentences of Markdown."""
    cells, done = len(grid.profile.cells()), len(grid.results)
    runs = sum(len(result.parameters.seeds) for result in grid.results.values())
    sentence = f"**{done} of {cells} cells are done** ({runs} of {total_runs(grid)} runs)."
    if grid.problems:
        sentence += f" {cells - done} are missing and shown as such."
    data = sorted({result.metadata["data"]["description"] for result in grid.results.values()})
    return sentence + (f" Data: {'; '.join(data)}." if data else "")


def total_runs(grid: Grid) -> int:
    """How many runs the whole profile has."""
    return sum(len(cell.seeds) for cell in grid.profile.cells())


def write(grid: Grid, outputs: Path) -> pd.DataFrame:
    """Write tables/*.csv, figures/*.svg and .png, report.md and report.html under `outputs`; returns what was written.

    The report of the `paper` profile is written to the repository's report.md too.
    """
    frames = all_tables(grid)
    written = [_write_table(frame, outputs / "tables" / f"{name}.csv") for name, frame in frames.items()]
    for name, figure in all_figures(grid, frames).items():
        written += figures.write(figure, outputs / "figures" / name)
    report = render(grid, frames, base="")
    written.append(_write_text(report, outputs / "report.md"))
    written.append(_write_text(html.page(report, outputs), outputs / "report.html"))
    if grid.profile.name == "paper" and outputs.resolve() == REPOSITORY / "outputs" / "paper":
        written.append(_write_text(render(grid, frames, base="outputs/paper/", root=""), REPOSITORY / "report.md"))
    _write_text(tables.inputs_digest(grid) + "\n", outputs / "tables" / "inputs.sha256")
    return pd.DataFrame({"file": [os.path.relpath(path, REPOSITORY) for path in written]})


def all_tables(grid: Grid) -> dict[str, pd.DataFrame]:
    """Every table, by the name of its file."""
    frames = {
        "runs": tables.final_runs(grid),
        "status": tables.status(grid),
        "accuracy": tables.accuracy(grid),
        "cost": tables.cost(grid),
    }
    if follows_protocol(grid):
        frames["comparisons"] = comparisons.table(frames["runs"])
        frames["claims"] = claims.judge(claims.Evidence(frames["runs"], frames["status"], frames["cost"]))
    return frames


def follows_protocol(grid: Grid) -> bool:
    """Whether the profile is one that the claims of the 2019 report can be held against."""
    profile = grid.profile
    return profile.dataset == "cifar10" and profile.epochs == 60 and profile.learning_rate is None


def all_figures(grid: Grid, frames: dict[str, pd.DataFrame]) -> dict[str, Figure]:
    """Every figure there is data for, by the name of its files; `frames` as `all_tables` gives them."""
    runs, status, epochs = frames["runs"], frames["status"], tables.epochs(grid)
    drawn = {}
    for name, variants in (("figure_2", MAIN_VARIANTS), ("figure_3", BIAS_VARIANTS)):
        drawn[name] = figures.accuracy_over_depth(runs, status, [v for v in variants if v in grid.profile.repeats])
    for column, label in (("train_loss", "training loss"), ("test_accuracy", "test accuracy")):
        drawn[f"curves_{column}"] = figures.curves_over_epochs(epochs, column, label, MAIN_VARIANTS)
        drawn[f"curves_{column}_biases"] = figures.curves_over_epochs(epochs, column, label, BIAS_VARIANTS)
    return {name: figure for name, figure in drawn.items() if figure is not None}


def render(grid: Grid, frames: dict[str, pd.DataFrame], base: str, root: str = "../../") -> str:
    """The report in Markdown, made of `frames` as `all_tables` gives them; links to its tables, figures and notebooks
    start with `base`, others with `root`."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("equinorm"), undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.get_template("report.md.j2")
    status, accuracy, cost = frames["status"], frames["accuracy"], frames["cost"]
    results = grid.results.values()
    answers = studies.answers(studies.OUTPUTS) if grid.profile.name == "paper" else []
    studied = [answer.name for answer in answers]
    return template.render(
        base=base,
        root=root,
        base_of_studies=f"{root}outputs/studies/",
        folder=f"outputs/{grid.profile.name}",
        profile=grid.profile,
        claims=frames.get("claims"),
        verdicts=_verdicts(frames.get("claims")),
        rules=_rules(frames.get("claims")),
        comparisons=comparisons.markdown(frames["comparisons"]) if "comparisons" in frames else None,
        enorm_trend=_against_baseline(frames.get("comparisons")),
        answers=answers,
        studied=studied,
        unanswered=[title for name, title in studies.STUDIES.items() if name not in studied],
        spread=statistics.pooled_deviation(accuracy["n"], accuracy["sd"]).deviation,
        status_sentence=status_sentence(grid),
        data="; ".join(sorted({result.metadata["data"]["description"] for result in results})) or "none yet",
        repeats=", ".join(f"{runs} for {VARIANTS[name].title}" for name, runs in grid.profile.repeats.items()),
        missing=status[status["status"] == "missing"],
        cs=sorted({cell.c for cell in grid.profile.cells() if VARIANTS[cell.variant].enorm}),
        rates_table=rates_table(grid),
        main_table=accuracy_table(grid, accuracy, MAIN_VARIANTS),
        bias_table=accuracy_table(grid, accuracy, BIAS_VARIANTS),
        single=_with_single_runs(accuracy),
        curves=any(
            variant in MAIN_VARIANTS and not r.frame["diverged"].all() for (variant, _), r in grid.results.items()
        ),
        bias_curves=any(
            variant in BIAS_VARIANTS and not r.frame["diverged"].all() for (variant, _), r in grid.results.items()
        ),
        panels=figures.PANELS if len(grid.profile.depths) > figures.PANELS else None,
        untrained=frames["runs"][frames["runs"]["fate"] != "trained"],
        cost_table=cost_table(cost),
        duration=_duration(cost["seconds"].sum()),
        runs_done=int(cost["runs"].sum()),
        restarts=int(cost["runs"].sum()) - sum(len(result.parameters.seeds) for result in results),
        runs_total=total_runs(grid),
        hours=cost["seconds"].sum() / 3600,
        minutes_per_run=cost["seconds_per_run"].mean() / 60,
        hours_in_2019=claims.HOURS_IN_2019,
        runs_in_2019=claims.RUNS_IN_2019,
        devices=sorted({_device(result.metadata["device"]) for result in results}),
        versions=sorted({_versions(result.metadata["versions"]) for result in results}),
        commits=sorted({result.metadata["git_commit"] for result in results}),
        titles={name: variant.title for name, variant in VARIANTS.items()},
    )


def accuracy_table(grid: Grid, accuracy: pd.DataFrame, variants: list[str]) -> str:
    """A Markdown table: a row for each p, a column for each variant; mean ± half the 95 % interval in %, (n)."""
    cells = accuracy.set_index(["variant", "p"])
    rows = []
    for p in grid.profile.depths:
        row = {"p": p}
        for variant in variants:
            if (variant, p) in cells.index:
                row[VARIANTS[variant].title] = _accuracy_text(cells.loc[(variant, p)])
            else:
                row[VARIANTS[variant].title] = "not run yet" if variant in grid.profile.repeats else "–"
        rows.append(row)
    return pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True)


def rates_table(grid: Grid) -> str:
    """A Markdown table: the initial learning rate, a row for each variant, a column for each p."""
    names = list(grid.profile.repeats)
    rates = {p: [VARIANTS[name].learning_rate(p) for name in names] for p in grid.profile.depths}
    titles = [VARIANTS[name].title for name in names]
    return pd.DataFrame({"p": titles, **rates}).to_markdown(index=False, disable_numparse=True)


def cost_table(cost: pd.DataFrame) -> str:
    """A Markdown table: seconds per run, a row for each p, a column for each variant."""
    if cost.empty:
        return "No cell has been run yet."
    order = [name for name in VARIANTS if name in set(cost["variant"])]
    wide = cost.pivot(index="p", columns="variant", values="seconds_per_run")[order]
    wide = wide.map(lambda s: "–" if pd.isna(s) else f"{s:,.0f}" if s >= 10 else f"{s:.1f}")
    wide.columns = [VARIANTS[name].title for name in wide.columns]
    return wide.reset_index().to_markdown(index=False, disable_numparse=True)


def _accuracy_text(cell: pd.Series) -> str:
    parts = []
    if cell["n"]:
        interval = "" if pd.isna(cell["ci95"]) else f" ± {100 * cell['ci95']:.1f}"
        parts.append(f"{100 * cell['mean']:.1f}{interval} ({cell['n']:.0f})")
    parts += [f"{cell[fate]:.0f} {fate}" for fate in ("diverged", "stuck") if cell[fate]]
    return ", ".join(parts)


def _verdicts(judged: pd.DataFrame | None) -> dict[str, list[int]]:
    """The numbers of the claims with each verdict, for those verdicts that there are."""
    if judged is None:
        return {}
    found = {
        verdict: judged.loc[judged["verdict"] == verdict, "number"].tolist() for verdict in get_args(claims.Verdict)
    }
    return {verdict: numbers for verdict, numbers in found.items() if numbers}


def _against_baseline(compared: pd.DataFrame | None) -> pd.Series | None:
    """The row of ENorm against the baseline, of `comparisons.table`."""
    if compared is None:
        return None
    return compared[(compared["variant"] == "enorm") & (compared["against"] == "baseline")].iloc[0]


def _rules(judged: pd.DataFrame | None) -> dict[str, list[int]]:
    """What claims ask for -> the numbers of those that do."""
    return {} if judged is None else judged.groupby("rule", sort=False)["number"].agg(list).to_dict()


def _with_single_runs(accuracy: pd.DataFrame) -> list[str]:
    """The variants that have cells with a single run that trained, by title."""
    own = set(accuracy.loc[accuracy["n"] == 1, "variant"])
    return [variant.title for name, variant in VARIANTS.items() if name in own]


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds / 60:.1f} minutes"


def _device(device: dict) -> str:
    return device["name"] + (f" ({device['threads']} of {device['cores']} cores)" if "threads" in device else "")


def _versions(versions: dict) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _write_table(frame: pd.DataFrame, path: Path) -> Path:
    with atomically(path) as temporary:
        frame.to_csv(temporary, index=False)
    return path


def _write_text(text: str, path: Path) -> Path:
    with atomically(path) as temporary:
        temporary.write_text(text)
    return path
