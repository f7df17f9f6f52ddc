"""Tables, figures and report of a profile, written from its results: every number in the report comes from a table."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import jinja2
import pandas as pd
from matplotlib.figure import Figure

from reproduction import up_to_date
from reproduction.checkout import REPOSITORY
from reproduction.evidence import (
    answers,
    claims,
    comparisons,
    depth_figure,
    figures,
    further_runs,
    html,
    published,
    spread,
    tables,
)
from reproduction.evidence.results import Result
from reproduction.evidence.tables import Grid
from reproduction.files import atomically
from reproduction.protocol.data_sets import DATA_SETS
from reproduction.protocol.profiles import Profile
from reproduction.protocol.variants import VARIANTS


def variants(profile: Profile, *, biases: bool) -> list[str]:
    """The variants of `profile` without biases (Figure 2) or with (Figure 3), in the order of the registry."""
    return [name for name in figures.variants_with(biases=biases) if name in profile.repeats]


def status_sentence(grid: Grid) -> str:
    """How much of the profile there is, and on what data, in a few sentences of Markdown."""
    cells, missing = len(grid.profile.cells()), len({**grid.missing, **grid.problems})
    runs = sum(asked_runs(result) for result in grid.results.values())
    sentence = f"**{cells - missing} of {cells} cells are done** ({runs} of {total_runs(grid)} runs)."
    if missing:
        sentence += f" {missing} are not, and shown as such."
    data = sorted({result.data for result in grid.results.values()})
    return sentence + (f" Data: {'; '.join(data)}." if data else "")


def total_runs(grid: Grid) -> int:
    """How many runs the whole profile has."""
    return sum(len(cell.seeds) for cell in grid.profile.cells())


def asked_runs(result: Result) -> int:
    """How many of the runs that were asked for a cell has, without the further ones where all diverged."""
    return len(set(result.parameters.seeds) & {run["seed"] for run in result.runs})


def write(grid: Grid, outputs: Path) -> pd.DataFrame:
    """Write tables/*.csv, figures/*.svg and .png, report.md and report.html under `outputs`; returns what was written.

    The report of the `paper` profile is written to the repository's report.md too. Raises ValueError where there is no
    usable run but a report of earlier ones, which then stays as it is.
    """
    if not grid.results and (outputs / "report.md").exists():
        raise ValueError(f"{outputs}: no run there can be used; {outputs / 'report.md'} stays as it is")
    frames = all_tables(grid)
    written = [_write_table(frame, outputs / "tables" / f"{name}.csv") for name, frame in frames.items()]
    for name, figure in all_figures(grid, frames).items():
        written += figures.write(figure, outputs / "figures" / name)
    report = render(grid, frames, base="", root=f"{os.path.relpath(REPOSITORY, outputs)}/")
    written.append(_write_text(report, outputs / "report.md"))
    written.append(_write_text(html.page(report, outputs), outputs / "report.html"))
    if grid.profile.name == "paper" and outputs.resolve() == REPOSITORY / "outputs" / "paper":
        written.append(_write_text(render(grid, frames, base="outputs/paper/", root=""), REPOSITORY / "report.md"))
    _write_text(inputs_digest(grid) + "\n", outputs / "tables" / "inputs.sha256")
    return pd.DataFrame({"file": [os.path.relpath(path, REPOSITORY) for path in written]})


def inputs_digest(grid: Grid) -> str:
    """What the summary of `grid` is made of (see `up_to_date`): besides its runs what is missing, what the profile and
    its variants are called, the report's template, and for the paper's grid what the studies found and trained."""
    profile, template = grid.profile, Path(__file__).parent / "templates" / "report.md.j2"
    return up_to_date.digest(
        REPOSITORY / "notebooks" / "summary.ipynb",
        (result.digest() for result in grid.results.values()),
        profile.model_dump(mode="json"),
        [dataclasses.asdict(VARIANTS[name]) for name in profile.repeats],
        sorted(grid.reason(key) for key in {**grid.missing, **grid.problems}),
        template.read_text(encoding="utf-8"),
        published.FILE.read_text(encoding="utf-8"),
        repr(answers.answers(answers.OUTPUTS)) if profile.name == "paper" else "",
        further_runs.table(grid, answers.OUTPUTS).to_csv() if follows_protocol(grid) else "",
    )


def summary_is_current(grid: Grid, outputs: Path) -> bool:
    """Whether the tables, figures and report under `outputs` are those of `grid`."""
    try:
        return (outputs / "tables" / "inputs.sha256").read_text(encoding="utf-8").strip() == inputs_digest(grid)
    except OSError:
        return False


def all_tables(grid: Grid) -> dict[str, pd.DataFrame]:
    """Every table, by the name of its file."""
    runs, accuracy = tables.final_runs(grid), tables.accuracy(grid)
    frames = {
        "runs": runs,
        "status": tables.status(grid),
        "accuracy": accuracy,
        "seed_spread": spread.by_depth(accuracy),
        "cost": tables.cost(grid),
        "comparisons": comparisons.table(runs, grid.profile.repeats),
    }
    if follows_protocol(grid):
        names, further = grid.profile.repeats, further_runs.table(grid, answers.OUTPUTS)
        frames["further_runs"] = further
        frames["published_differences"] = published.differences(runs)
        frames["published_levels"] = published.levels(runs)
        frames["claims"] = claims.judge(claims.Evidence(runs, frames["status"], frames["cost"], further), names)
    return frames


def follows_protocol(grid: Grid) -> bool:
    """Whether the profile is one that the claims of the 2019 report can be held against."""
    profile = grid.profile
    own = profile.learning_rate is None and not profile.learning_rates and set(profile.parameters) <= {"draws"}
    return profile.dataset == "cifar10" and profile.epochs == 60 and own


def accuracy_figure(grid: Grid, frames: dict[str, pd.DataFrame], *, biases: bool) -> Figure | None:
    """Figure 2 of the 2019 report, or Figure 3 (`biases`); None where the profile has no such variants."""
    shown = variants(grid.profile, biases=biases)
    if not shown:
        return None
    curves = published.behind(shown, grid.profile.depths) if follows_protocol(grid) else None
    return depth_figure.accuracy_over_depth(frames["runs"], frames["status"], shown, frames["seed_spread"], curves)


def curves_figure(grid: Grid, column: str, *, biases: bool) -> Figure | None:
    """Training curves: "train_loss" or "test_accuracy" over epochs; None where there are none."""
    label = {"train_loss": "training loss", "test_accuracy": "test accuracy"}[column]
    return figures.curves_over_epochs(tables.epochs(grid), column, label, variants(grid.profile, biases=biases))


def all_figures(grid: Grid, frames: dict[str, pd.DataFrame]) -> dict[str, Figure]:
    """Every figure there is data for, by the name of its files; `frames` as `all_tables` gives them."""
    drawn = {}
    for biases, name, suffix in ((False, "figure_2", ""), (True, "figure_3", "_biases")):
        drawn[name] = accuracy_figure(grid, frames, biases=biases)
        for column in ("train_loss", "test_accuracy"):
            drawn[f"curves_{column}{suffix}"] = curves_figure(grid, column, biases=biases)
    return {name: figure for name, figure in drawn.items() if figure is not None}


def render(grid: Grid, frames: dict[str, pd.DataFrame], base: str, root: str = "../../") -> str:
    """The report in Markdown, made of `frames` as `all_tables` gives them; links to its tables, figures and notebooks
    start with `base`, others with `root`."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("reproduction.evidence"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.md.j2").render(
        base=base,
        root=root,
        base_of_studies=f"{root}outputs/studies/",
        titles={name: variant.title for name, variant in VARIANTS.items()},
        **_about_the_protocol(grid),
        **_about_the_runs(grid, frames),
        **_about_the_claims(frames),
        **_about_the_studies(grid),
        **_about_the_cost(grid, frames["cost"]),
    )


def _about_the_protocol(grid: Grid) -> dict[str, object]:
    return {
        "folder": f"outputs/{grid.profile.name}",
        "profile": grid.profile,
        "learning_rate": grid.profile.learning_rate or DATA_SETS[grid.profile.dataset].learning_rate,  # else Table 1's
        "rates_table": rates_table(grid),
        "other_parts": _other_parts(grid.profile),
        "follows_protocol": follows_protocol(grid),
        "repeats": ", ".join(f"{runs} for {VARIANTS[name].title}" for name, runs in grid.profile.repeats.items()),
        "cs": sorted({cell.c for cell in grid.profile.cells() if "enorm" in VARIANTS[cell.variant].parts}),
    }


def _about_the_runs(grid: Grid, frames: dict[str, pd.DataFrame]) -> dict[str, object]:
    """Accuracies, figures, and what is missing or did not train."""
    runs, status, accuracy = frames["runs"], frames["status"], frames["accuracy"]
    main, biased = (variants(grid.profile, biases=biases) for biases in (False, True))
    return {
        "status_sentence": status_sentence(grid),
        "data": "; ".join(sorted({result.data for result in grid.results.values()})) or "none yet",
        "missing": status[status["status"] != "done"],
        "untrained": runs[runs["fate"] != "trained"],
        "seed_spread": spread.in_words(frames["seed_spread"]),
        "seed_noise": spread.noise_in_words(frames["seed_spread"]),
        "main": [VARIANTS[name].title for name in main],
        "biased": [VARIANTS[name].title for name in biased],
        "main_grey": _grey(grid, main),
        "biased_grey": _grey(grid, biased),
        "main_table": accuracy_table(grid, accuracy, main),
        "bias_table": accuracy_table(grid, accuracy, biased),
        "single": _with_single_runs(accuracy),
        "curves": _any_curve(grid, main),
        "bias_curves": _any_curve(grid, biased),
        "panels": figures.PANELS if len(grid.profile.depths) > figures.PANELS else None,
    }


def _about_the_claims(frames: dict[str, pd.DataFrame]) -> dict[str, object]:
    judged, compared = frames.get("claims"), frames.get("comparisons")
    return {
        "claims": judged,
        "claims_in_2019": len(claims.CLAIMS),
        "about_single_depths": _about_single_depths(judged),
        "verdicts": _verdicts(judged),
        "rules": _rules(judged),
        "comparisons": _markdown(comparisons.markdown, compared),
        "enorm_trend": _against_baseline(compared),
        "published_differences": _markdown(published.differences_markdown, frames.get("published_differences")),
        "published_levels": _markdown(published.levels_markdown, frames.get("published_levels")),
    }


def _about_the_studies(grid: Grid) -> dict[str, object]:
    found = answers.answers(answers.OUTPUTS) if grid.profile.name == "paper" else []
    studied = [answer.name for answer in found]
    unanswered = [title for name, title in answers.STUDIES.items() if name not in studied]
    return {"answers": found, "studied": studied, "unanswered": unanswered}


def _about_the_cost(grid: Grid, cost: pd.DataFrame) -> dict[str, object]:
    """Time, and what the runs were made with."""
    results, runs = grid.results.values(), int(cost["runs"].sum())
    return {
        "cost_table": cost_table(cost),
        "duration": _duration(cost["seconds"].sum()),
        "runs_done": runs,
        "restarts": runs - sum(map(asked_runs, results)),
        "runs_total": total_runs(grid),
        "hours": cost["seconds"].sum() / 3600,
        "minutes_per_run": cost["seconds_per_run"].mean() / 60,
        "hours_in_2019": claims.HOURS_IN_2019,
        "runs_in_2019": claims.RUNS_IN_2019,
        "devices": sorted({_device(device) for result in results for device in result.devices}),
        "versions": sorted({_versions(run["versions"]) for result in results for run in result.runs}),
        "commits": sorted({run["git_commit"] for result in results for run in result.runs}),
    }


def _other_parts(profile: Profile) -> list[str]:
    """What stands between linear layers and is no ReLU, alone or after a normalization, and in which variants."""
    between = {VARIANTS[name].title: VARIANTS[name].between for name in profile.repeats}
    with_relu = ("relu", "batch_norm", "group_norm")
    return [f"`{part}` in {title}" for title, part in between.items() if part not in with_relu]


def accuracy_table(grid: Grid, accuracy: pd.DataFrame, variants: list[str]) -> str:
    """A Markdown table: a row for each p, a column for each of the profile's `variants`; mean in %, (n)."""
    cells = accuracy.set_index(["variant", "p"])
    rows = []
    for p in grid.profile.depths:
        row = {"p": p}
        for variant in variants:
            done = (variant, p) in cells.index
            row[VARIANTS[variant].title] = _accuracy_text(cells.loc[(variant, p)]) if done else "not run yet"
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
        parts.append(f"{100 * cell['mean']:.1f} ({cell['n']:.0f})")
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


def _markdown(write: Callable[[pd.DataFrame], str], table: pd.DataFrame | None) -> str | None:
    """A table for a reader; None for one that is not there or has no rows."""
    return None if table is None or table.empty else write(table)


def _against_baseline(compared: pd.DataFrame | None) -> pd.Series | None:
    """The row of ENorm against the baseline, of `comparisons.table`."""
    if compared is None:
        return None
    rows = compared[(compared["variant"] == "enorm") & (compared["against"] == "baseline")]
    return None if rows.empty else rows.iloc[0]


def _about_single_depths(judged: pd.DataFrame | None) -> list[int]:
    """The numbers of the claims about single depths, those of them that are judged."""
    return [] if judged is None else [n for n in claims.ABOUT_SINGLE_DEPTHS if n in set(judged["number"])]


def _grey(grid: Grid, names: list[str]) -> list[str]:
    """Whose curves are behind those of the variants `names` in a figure."""
    if not follows_protocol(grid):
        return []
    drawn = published.behind(names, grid.profile.depths)
    return [f"the {title}" for source, title in published.SOURCES.items() if source in set(drawn["source"])]


def _any_curve(grid: Grid, names: list[str]) -> bool:
    """Whether one of these variants has an epoch to draw."""
    return any(name in names and not result.frame["diverged"].all() for (name, _), result in grid.results.items())


def _rules(judged: pd.DataFrame | None) -> dict[str, list[int]]:
    """What claims ask for -> the numbers of those that do."""
    return {} if judged is None or judged.empty else judged.groupby("rule", sort=False)["number"].agg(list).to_dict()


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
        temporary.write_text(text, encoding="utf-8")
    return path
