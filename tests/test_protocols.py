"""Accuracies of one protocol beside those of another and the published ones."""

import numpy as np
import pandas as pd
import pytest

from reproduction.evidence import protocols, published

pytestmark = pytest.mark.portable


def published_runs(source, more):
    """Runs as accurate as a source's, but for so many points."""
    frame = published.accuracies()
    own = frame[frame["source"] == source][["variant", "p", "test_accuracy"]]
    return own.assign(test_accuracy=own["test_accuracy"] + more / 100, seed=0, fate="trained")


def test_each_protocol_is_so_far_from_the_paper_as_its_runs_are():
    table = protocols.by_protocol(published_runs("paper_2019", 0.2), published_runs("paper_2019", 1.0))
    assert len(table) == 7 and set(table["depths"]) == {10}
    assert (table["here"] - table["paper_2019"]).to_numpy() == pytest.approx(0.2)
    assert (table["protocol_2019"] - table["paper_2019"]).to_numpy() == pytest.approx(1.0)
    methods_of_2019 = table.set_index("variant").loc[["baseline", "batch_norm", "enorm", "enorm_batch_norm"]]
    assert methods_of_2019["report_2019"].notna().all() and table["report_2019"].isna().sum() == 3
    assert "7 methods that all have, these runs are +0.2 ± 0.0 points from" in protocols.words(table)
    assert "(+0.2)" in protocols.markdown(table) and "(+1.0)" in protocols.markdown(table)


def test_means_are_over_the_depths_that_all_have():
    here = published_runs("paper_2019", 0)
    here = here[here["p"].isin([1, 9, 19])]
    here.loc[(here["variant"] == "enorm") & (here["p"] == 19), ["fate", "test_accuracy"]] = ["diverged", np.nan]
    table = protocols.by_protocol(here, None).set_index("variant")
    assert table["depths"].to_dict()["baseline"] == 3 and table["depths"].to_dict()["enorm"] == 2
    curve = published.curve("paper_2019", "enorm")
    assert table.loc["enorm", "here"] == pytest.approx(50 * (curve[1] + curve[9]))


def test_without_runs_of_the_other_protocol_there_is_nothing_to_say():
    table = protocols.by_protocol(published_runs("paper_2019", 0.2), None)
    assert table["protocol_2019"].isna().all() and protocols.words(table) == ""
    assert protocols.by_protocol(pd.DataFrame(columns=["variant", "p", "test_accuracy", "fate"]), None).empty
