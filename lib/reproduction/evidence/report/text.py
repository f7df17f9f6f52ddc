"""The report's two texts: the page, and the appendix with everything else. Templates are in evidence/templates."""

from pathlib import Path

import jinja2
import pandas as pd

from reproduction.evidence import answers, claims, comparisons, figures, protocols, published, spread
from reproduction.evidence.claims.claim import Claim
from reproduction.evidence.claims.elsewhere import HOURS_IN_2019, RUNS_IN_2019
from reproduction.evidence.report import markdown, sentences
from reproduction.evidence.report.contents import follows_protocol, variants
from reproduction.evidence.results import Result
from reproduction.evidence.tables import Grid
from reproduction.protocol.data_sets import DATA_SETS
from reproduction.protocol.profiles import Profile
from reproduction.protocol.variants import IN_2019, VARIANTS

TEMPLATES = Path(__file__).parents[1] / "templates"

FINDINGS = ("norms_or_rates", "rates", "biases")
"""The studies whose finding is on the page, where they have one; all are in the appendix."""

HEADLINES = ("norms_or_rates", "rates", "biases", "small_batches")
"""Those whose finding's first sentence is among the first lines of the page."""


def page(
    grid: Grid,
    frames: dict[str, pd.DataFrame],
    base: str = "",
    root: str = "../../",
    more: str | None = None,
    folder: str = "",
) -> str:
    """The report in Markdown, made of `frames` as `all_tables` gives them; links to its tables, figures and notebooks
    start with `base`, others with `root`. `more` is where the appendix is; `folder` where the runs are, for who is in
    the repository's folder (default: the profile's own)."""
    return _render("page.md.j2", grid, frames, base, root, more or f"{base}appendix.md", folder)


def appendix(
    grid: Grid, frames: dict[str, pd.DataFrame], base: str = "", root: str = "../../", folder: str = ""
) -> str:
    """What is behind the page, likewise."""
    return _render("appendix.md.j2", grid, frames, base, root, "", folder)


def _render(
    template: str, grid: Grid, frames: dict[str, pd.DataFrame], base: str, root: str, more: str, folder: str
) -> str:
    own = f"outputs/{grid.profile.name}"
    command = f"./run_all.sh {grid.profile.name}" + f" --outputs {folder}" * (folder not in ("", own))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(
        base=base,
        root=root,
        more=more,
        folder=folder or own,
        command=command,
        base_of_studies=f"{root}outputs/studies/",
        titles={name: variant.title for name, variant in VARIANTS.items()},
        **_about_the_protocol(grid),
        **_about_the_runs(grid, frames),
        **_about_the_claims(frames),
        **_about_the_studies(grid),
        **_about_the_cost(grid, frames["cost"]),
    )


def status_sentence(grid: Grid) -> str:
    """How much of the profile there is, and on what data, in a few sentences of Markdown."""
    cells, missing = len(grid.profile.cells()), len({**grid.missing, **grid.problems})
    runs = sum(_asked_runs(result) for result in grid.results.values())
    sentence = f"**{cells - missing} of {cells} cells are done** ({runs} of {_total_runs(grid)} runs)."
    if missing:
        sentence += f" {missing} are not, and shown as such."
    data = sorted({result.data for result in grid.results.values()})
    return sentence + (f" Data: {'; '.join(data)}." if data else "")


def _total_runs(grid: Grid) -> int:
    return sum(len(cell.seeds) for cell in grid.profile.cells())


def _asked_runs(result: Result) -> int:
    """How many of the runs that were asked for a cell has, without the further ones where all diverged."""
    return len(set(result.parameters.seeds) & {run["seed"] for run in result.runs})


def _about_the_protocol(grid: Grid) -> dict[str, object]:
    profile = grid.profile
    return {
        "profile": profile,
        "data_set": DATA_SETS[profile.dataset],
        "learning_rate": profile.learning_rate or DATA_SETS[profile.dataset].learning_rate,  # else Table 1's
        "rates_table": markdown.rates(grid),
        "rates_from": _rates_from(profile),
        "changes": [f"`{name} = {value}`" for name, value in profile.parameters.items()],
        "precisions": _precisions(profile),
        "other_parts": _other_parts(profile),
        "follows_protocol": follows_protocol(grid),
        "as_in_2019": set(profile.repeats) <= set(IN_2019) and not profile.parameters,
        "more_methods": not set(profile.repeats) <= set(IN_2019),
        "code_of_2019": published.CODE_OF_2019,
        "shared_draws": profile.parameters.get("draws") != "independent",
        "repeats": _repeats(profile),
        "cs": sorted({cell.c for cell in profile.cells() if "enorm" in VARIANTS[cell.variant].parts}),
    }


def _repeats(profile: Profile) -> str:
    """How many seeds cells have, in words."""
    if len(set(profile.repeats.values())) == 1:
        return f"{min(profile.repeats.values())} for each variant"
    return ", ".join(f"{runs} for {VARIANTS[name].title}" for name, runs in profile.repeats.items())


def _rates_from(profile: Profile) -> dict[str, list[str]]:
    """Where the variants' initial learning rates are from: titles by "table_1", "profile" or "registry"."""

    def source(name: str) -> str:
        if name in profile.learning_rates:
            return "profile"
        return "table_1" if name in IN_2019 else "registry"

    found = {name: source(name) for name in profile.repeats}
    return {
        kind: [VARIANTS[name].title for name, own in found.items() if own == kind]
        for kind in ("table_1", "profile", "registry")
    }


def _precisions(profile: Profile) -> str:
    """The precision of matrix products, in words; empty where all are in float32."""
    own = [f"in {precision} for {VARIANTS[name].title}" for name, precision in profile.precisions.items()]
    return "" if profile.precision == "float32" and not own else ", ".join([f"in {profile.precision}", *own])


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
        "main_table": markdown.accuracy(grid, accuracy, main),
        "bias_table": markdown.accuracy(grid, accuracy, biased),
        "single": _single_runs(accuracy),
        "curves": _any_curve(grid, main),
        "bias_curves": _any_curve(grid, biased),
        "panels": figures.PANELS if len(grid.profile.depths) > figures.PANELS else None,
    }


def _about_the_claims(frames: dict[str, pd.DataFrame]) -> dict[str, object]:
    judged, compared = frames.get("claims"), frames["comparisons"]
    return {
        "claims": judged,
        "unjudged": _unjudged(judged),
        "followed": _followed(judged, compared),
        "claims_table": markdown.table_or_none(markdown.claims, judged),
        "found": sentences.found(frames),
        "rules": {} if judged is None else judged.groupby("rule", sort=False)["name"].agg(list).to_dict(),
        "compared": markdown.table_or_none(comparisons.markdown, compared),
        "published_differences": markdown.table_or_none(
            published.differences_markdown, frames.get("published_differences")
        ),
        "published_levels": markdown.table_or_none(published.levels_markdown, frames.get("published_levels")),
        "by_the_authors": _by_the_authors(),
        "protocols": markdown.table_or_none(protocols.markdown, frames.get("protocols")),
        "protocols_words": protocols.words(frames["protocols"]) if "protocols" in frames else "",
    }


def _unjudged(judged: pd.DataFrame | None) -> list[str]:
    """The claims that are left out of a table of claims, by name."""
    return [] if judged is None else [claim.name for claim in claims.CLAIMS if claim.name not in set(judged["name"])]


def _followed(judged: pd.DataFrame | None, compared: pd.DataFrame) -> Claim | None:
    """The claim whose difference a reader is shown how to find in the tables: the first that has one here."""
    if judged is None:
        return None
    there = set(compared.loc[compared["depths"] > 0, ["variant", "against"]].itertuples(index=False, name=None))
    return next((claim for claim in claims.CLAIMS if claim.pair in there), None)


def _by_the_authors() -> str:
    """How far the protocol of the authors' code is from the paper here, where it has been run."""
    if not protocols.OF_AUTHORS.exists():
        return ""
    return protocols.words(pd.read_csv(protocols.OF_AUTHORS), "runs by the protocol of the authors' published code")


def _about_the_studies(grid: Grid) -> dict[str, object]:
    answered = {answer.name: answer for answer in answers.answers(answers.OUTPUTS)} if follows_protocol(grid) else {}
    told = {name: answer for name, answer in answered.items() if answer.finding}
    return {
        "answers": list(answered.values()),
        "findings": [told[name] for name in FINDINGS if name in told],
        "headlines": {name: sentences.first(told[name].finding) for name in HEADLINES if name in told},
        "unanswered": [title for name, title in answers.STUDIES.items() if name not in answered],
    }


def _about_the_cost(grid: Grid, cost: pd.DataFrame) -> dict[str, object]:
    """Time, and what the runs were made with."""
    results, runs = grid.results.values(), int(cost["runs"].sum())
    devices = [device for result in results for device in result.devices]
    return {
        "cost_table": markdown.cost(cost),
        "duration": _duration(cost["seconds"].sum()),
        "runs_done": runs,
        "restarts": runs - sum(map(_asked_runs, results)),
        "runs_total": _total_runs(grid),
        "hours": cost["seconds"].sum() / 3600,
        "hours_in_2019": HOURS_IN_2019,
        "runs_in_2019": RUNS_IN_2019,
        "devices": sorted({_device(device) for device in devices}),
        "one_core_each": all(device.get("threads") == 1 for device in devices),
        "versions": sorted({_versions(run["versions"]) for result in results for run in result.runs}),
        "commits": sorted({run["git_commit"] for result in results for run in result.runs}),
    }


def _other_parts(profile: Profile) -> list[str]:
    """What stands between linear layers and is no ReLU, alone or after a normalization, and in which variants."""
    between = {VARIANTS[name].title: VARIANTS[name].between for name in profile.repeats}
    with_relu = ("relu", "batch_norm", "group_norm")
    return [f"`{part}` in {title}" for title, part in between.items() if part not in with_relu]


def _grey(grid: Grid, names: list[str]) -> list[str]:
    """Whose curves are behind those of the variants `names` in a figure."""
    if not follows_protocol(grid):
        return []
    drawn = published.behind(names, grid.profile.depths)
    return [f"the {title}" for source, title in published.SOURCES.items() if source in set(drawn["source"])]


def _any_curve(grid: Grid, names: list[str]) -> bool:
    """Whether one of these variants has an epoch to draw."""
    return any(name in names and not result.frame["diverged"].all() for (name, _), result in grid.results.items())


def _single_runs(accuracy: pd.DataFrame) -> str:
    """Of which variants all cells, of those where any run trained, have a single one that did, and of which some;
    empty where none has."""
    share = (accuracy[accuracy["n"] > 0].set_index("variant")["n"] == 1).groupby("variant", sort=False).mean()
    every = [VARIANTS[name].title for name in share.index[share == 1]]
    some = [VARIANTS[name].title for name in share.index[(share > 0) & (share < 1)]]
    return "; ".join(f"{how} of {', '.join(titles)}" for how, titles in (("all", every), ("some", some)) if titles)


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds / 60:.1f} minutes"


def _device(device: dict) -> str:
    return device["name"] + (f" ({device['threads']} of {device['cores']} cores)" if "threads" in device else "")


def _versions(versions: dict) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())
