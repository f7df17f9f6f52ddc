"""What a report holds: its tables and figures, made of the results of a profile."""

import pandas as pd
from matplotlib.figure import Figure

from reproduction.evidence import (
    answers,
    claims,
    claims_figure,
    comparisons,
    depth_figure,
    figures,
    further_runs,
    protocols,
    published,
    spread,
    tables,
)
from reproduction.evidence.tables import Grid
from reproduction.protocol.profiles import Profile


def variants(profile: Profile, *, biases: bool) -> list[str]:
    """The variants of `profile` without biases (Figure 2) or with (Figure 3), in the order of the registry."""
    return [name for name in figures.variants_with(biases=biases) if name in profile.repeats]


def follows_protocol(grid: Grid) -> bool:
    """Whether the profile is one that the claims of the 2019 report can be held against."""
    profile = grid.profile
    own = profile.learning_rate is None and not profile.learning_rates and set(profile.parameters) <= {"draws"}
    return profile.dataset == "cifar10" and profile.epochs == 60 and own


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
        further = further_runs.table(grid, answers.OUTPUTS)
        evidence = claims.Evidence(runs, frames["status"], frames["cost"], further, answers.OUTPUTS)
        frames["further_runs"] = further
        frames["published_differences"] = published.differences(runs)
        frames["published_levels"] = published.levels(runs)
        frames["claims"] = claims.judge(evidence, grid.profile.repeats)
    elif protocols.differs(grid):
        of_2019 = pd.read_csv(protocols.OF_2019) if protocols.OF_2019.exists() else None
        frames["protocols"] = protocols.by_protocol(runs, of_2019)
    return frames


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
    figure = figures.curves_over_epochs(tables.epochs(grid), column, label, variants(grid.profile, biases=biases))
    if figure and column == "train_loss":
        # Losses fall from about 2, or 25 in a bad first epoch, to less than 0.01: one scale shows both.
        figure.axes[0].set_yscale("log")
    return figure


def all_figures(grid: Grid, frames: dict[str, pd.DataFrame]) -> dict[str, Figure]:
    """Every figure there is data for, by the name of its files; `frames` as `all_tables` gives them."""
    drawn = {}
    for biases, name, suffix in ((False, "figure_2", ""), (True, "figure_3", "_biases")):
        drawn[name] = accuracy_figure(grid, frames, biases=biases)
        for column in ("train_loss", "test_accuracy"):
            drawn[f"curves_{column}{suffix}"] = curves_figure(grid, column, biases=biases)
    if "claims" in frames and frames["claims"]["estimate"].notna().any():
        drawn["claims"] = claims_figure.forest(frames["claims"])
    return {name: figure for name, figure in drawn.items() if figure is not None}
