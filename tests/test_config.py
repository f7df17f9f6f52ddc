"""Profiles and the launcher's answers to bad input."""

import os
import subprocess

import pytest
from checkouts import copy_checkout, run_all

from reproduction.checkout import REPOSITORY
from reproduction.protocol.profiles import load_profile

pytestmark = pytest.mark.portable

GOOD = """
title: a test
dataset: digits
epochs: 1
depths: [1]
repeats: {baseline: 1}
"""


def write(folder, text):
    (folder / "mine.yaml").write_text(text)
    return lambda: load_profile("mine", folder)


def test_paper_profile_is_the_80_runs_of_the_2019_report():
    cells = load_profile("paper").cells()
    assert len(cells) == 60
    assert sum(len(cell.seeds) for cell in cells) == 80
    assert {cell.epochs for cell in cells} == {60}
    assert {cell.dataset for cell in cells} == {"cifar10"}
    assert {cell.p for cell in cells} == set(range(1, 20, 2))
    assert {cell.variant for cell in cells if len(cell.seeds) == 2} == {"baseline", "enorm"}


def test_full_profile_has_550_runs_of_eleven_variants_with_draws_of_their_own_at_each_depth():
    cells = load_profile("full").cells()
    assert sum(len(cell.seeds) for cell in cells) == 550
    assert len({cell.variant for cell in cells}) == 11  # a variant of your own is none of them
    assert {cell.draws for cell in cells} == {"independent"}


def test_cells_are_trained_in_the_steps_that_a_profile_names_and_the_cheap_ones_first_in_each(tmp_path):
    text = GOOD.replace("[1]", "[1, 3, 5]").replace("{baseline: 1}", "{baseline: 1, enorm: 1, batch_norm: 2}")
    profile = write(tmp_path, text + "first:\n  - {batch_norm: 5}\n  - {enorm: 3}\n")()
    order = [(cell.variant, cell.p) for cell in profile.in_order()]
    assert order[:5] == [("batch_norm", 1), ("batch_norm", 3), ("batch_norm", 5), ("enorm", 1), ("enorm", 3)]
    assert order[5:] == [("baseline", 1), ("baseline", 3), ("baseline", 5), ("enorm", 5)]
    unordered = write(tmp_path, text)()
    assert unordered.in_order() == unordered.cells()


def test_full_trains_first_what_claims_need():
    cells = [(cell.variant, cell.p) for cell in load_profile("full").in_order()]
    assert {variant for variant, _ in cells[:20]} == {"batch_norm", "enorm_batch_norm"}
    assert {(variant[-4:], p <= 9) for variant, p in cells[20:35]} == {("bias", True)}
    assert {variant for variant, _ in cells[35:75]}.isdisjoint({"baseline", "enorm"})


@pytest.mark.parametrize("name", [path.stem for path in (REPOSITORY / "config").glob("*.yaml")])
def test_every_profile_is_valid(name):
    assert load_profile(name).name == name


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("epochs: 1", "epoch: 1", "unknown parameter 'epoch' (did you mean 'epochs'?)"),
        ("epochs: 1", "epochs: 0", "epochs = 0"),
        ("epochs: 1", "epochs: .nan", "epochs = NaN"),
        ("epochs: 1", "epochs: eight", "epochs = 'eight'"),
        ("depths: [1]", "depths: [-1]", "p = -1"),
        ("depths: [1]", "depths: [1, 1]", "holds 1 more than once"),
        ("depths: [1]", "depths: [eight]", "'eight'"),
        ("depths: [1]", "depths: []", "depths = []"),
        ("{baseline: 1}", "{base_line: 1}", "unknown variant 'base_line' (did you mean 'baseline'?)"),
        ("{baseline: 1}", "{baseline: 0}", "repeats.baseline = 0"),
        ("dataset: digits", "dataset: cifar100", "dataset = 'cifar100'"),
        ("dataset: digits", "dataset: digits\nlearning_rate: -0.1", "learning_rate = -0.1"),
        ("title: a test", "title: [", "not YAML"),
        ("epochs: 1", "", "epochs is missing"),
        ("title: a test", "title: a test\nname: paper", "unknown parameter 'name'"),  # whose results it would take
        ("depths: [1]", "depths: [\"__import__('os').system('touch pwned')\"]", "__import__"),
        (
            "title: a test",
            "title: a test\nparameters: {warm_up: 1}",
            "'warm_up' (did you mean 'warmup'?)",
        ),
        ("title: a test", "title: a test\nparameters: {epochs: 2}", "parameters: holds epochs; that is said by"),
        ("title: a test", "title: a test\nparameters: {learning_rate: 0.1}", "own key learning_rate"),
        ("title: a test", "title: a test\nparameters: {variant: enorm}", "own key repeats"),
        ("title: a test", "title: a test\nparameters: {p: 3}", "own key depths"),
        ("title: a test", "title: a test\nparameters: {seeds: [7]}", "own key repeats"),
        ("title: a test", "title: a test\nlearning_rates: {baseline: [0.1, 0.2]}", "learning_rates: baseline has 2"),
        ("title: a test", "title: a test\nlearning_rates: {enorm: [0.1]}", "learning_rates: enorm is not in repeats"),
        ("title: a test", "title: a test\nprecisions: {enorm: float32}", "precisions: enorm is not in repeats"),
        ("title: a test", "title: a test\nprecisions: {baseline: half}", "precision = 'half'"),
        ("title: a test", "title: a test\nfirst: [{enorm: 9}]", "first: enorm is not in repeats"),
        ("title: a test", "title: a test\nfirst: {baseline: 9}", "first = "),
        ("title: a test", "title: !!python/object/apply:os.system ['touch pwned']", "not YAML"),
    ],
)
def test_bad_profile_is_named_and_nothing_in_it_is_run(tmp_path, monkeypatch, old, new, said):
    monkeypatch.chdir(tmp_path)
    assert old in GOOD
    with pytest.raises(ValueError) as error:
        write(tmp_path, GOOD.replace(old, new))()
    assert said in str(error.value)
    assert "mine.yaml" in str(error.value)
    assert not (tmp_path / "pwned").exists()


def test_good_profile_is_accepted(tmp_path):
    assert [cell.variant for cell in write(tmp_path, GOOD)().cells()] == ["baseline"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["demmo"], "unknown profile 'demmo' (did you mean 'demo'?)"),
        (["sites"], "unknown profile 'sites' (did you mean 'site'?)"),
        (["demo", "--device", "tpu"], "device = 'tpu'"),
        (["demo", "--jobs", "0"], "is '0'; allowed are whole numbers from 1"),
        (["demo", "--threads", "two"], "is 'two'"),
        (["demo", "--epochs", "3"], "--epochs"),
    ],
)
def test_launcher_refuses_bad_arguments_before_anything_starts(tmp_path, arguments, said):
    command = ["bash", str(REPOSITORY / "run_all.sh"), *arguments, "--outputs", str(tmp_path / "outputs")]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    assert done.returncode != 0
    assert said in done.stderr
    assert not (tmp_path / "outputs").exists()


def test_launcher_names_damaged_data_before_anything_starts(tmp_path):
    damaged = tmp_path / "cifar-10-batches-bin" / "data_batch_1.bin"
    damaged.parent.mkdir()
    damaged.write_bytes(b"half a download")
    command = ["bash", str(REPOSITORY / "run_all.sh"), "quick", "--outputs", str(tmp_path / "outputs")]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"CIFAR10_ROOT": str(tmp_path)})
    assert done.returncode == 1
    assert done.stderr == f"{damaged}: has 15 bytes instead of 30,730,000; fetch the file again\n"
    assert not list(tmp_path.glob("outputs/notebooks/*"))


def dry_run_with_data_in(folder, profile, tmp_path):
    command = ["bash", str(REPOSITORY / "run_all.sh"), profile, "-n", "--outputs", str(tmp_path / "outputs")]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | {"CIFAR10_ROOT": str(folder)})


def test_a_dry_run_says_what_data_is_missing_and_fetches_none(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    done = dry_run_with_data_in(folder, "rates", tmp_path)
    assert done.returncode == 0
    assert done.stdout.endswith(f"{folder}: CIFAR-10 is not there; it would be unpacked there, or downloaded first\n")
    assert not list(folder.iterdir())


def test_a_dry_run_says_where_the_data_could_not_be_had(tmp_path):
    done = dry_run_with_data_in(tmp_path / "typo", "quick", tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"{tmp_path / 'typo'}: there is no such folder" in done.stderr


def test_a_variant_that_cannot_be_is_named_in_a_sentence(tmp_path):
    checkout = copy_checkout(tmp_path / "copy")
    registry = checkout / "lib" / "reproduction" / "protocol" / "variants.py"
    text = registry.read_text(encoding="utf-8")
    registry.write_text(text.replace('"BN", (0.1,) * 10', '"BN", (0.1,) * 9'), encoding="utf-8")
    done = run_all(checkout, "demo", "-n")
    assert done.returncode == 1
    assert done.stderr == "variant batch_norm: 9 learning rates, needed are 10\n"


def test_launcher_is_quiet_where_its_reader_has_seen_enough(tmp_path):
    command = f"'{REPOSITORY / 'run_all.sh'}' demo -n --outputs '{tmp_path}' | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=os.environ)
    assert done.stdout.startswith("demo: ")
    assert done.stderr == ""


def test_parameters_of_a_profile_go_to_the_cells_that_know_them():
    cells = {(cell.variant, cell.p): cell for cell in load_profile("authors").cells()}
    baseline, enorm = cells["baseline", 5], cells["enorm_batch_norm", 19]
    assert baseline.differences() == {
        "training_images": 40960, "initialization": "he_normal", "precision": "bfloat16",
    }  # fmt: skip
    assert (enorm.balance_last_pair, enorm.norms, enorm.learning_rate) == (False, "simultaneous", 0.1)
    assert enorm.precision == "float32"
