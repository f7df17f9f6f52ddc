"""The protocol's numbers, typed out a second time, and the errors of wrong parameters."""

import math

import pytest

from reproduction.protocol.parameters import Parameters, check_parameters
from reproduction.protocol.variants import DEPTHS, IN_2019, VARIANTS, Variant
from reproduction.training import parts

pytestmark = pytest.mark.portable

# The 2019 report's Table 1, row by row: p, then baseline, BN, ENorm, ENorm + BN.
TABLE_1 = """
     1   0.1    0.1   0.05   0.1
     3   0.1    0.1   0.05   0.1
     5   0.1    0.1   0.05   0.1
     7   0.1    0.1   0.05   0.1
     9   0.05   0.1   0.05   0.1
    11   0.05   0.1   0.05   0.1
    13   0.05   0.1   0.05   0.1
    15   0.05   0.1   0.05   0.05
    17   0.05   0.1   0.01   0.05
    19   0.05   0.1   0.01   0.05
"""
TABLE_1 = {int(p): tuple(map(float, rates)) for p, *rates in map(str.split, TABLE_1.strip().splitlines())}
COLUMN = {
    "baseline": 0,
    "baseline_bias": 0,
    "batch_norm": 1,
    "enorm": 2,
    "enorm_bias": 2,
    "enorm_batch_norm": 3,
}


def given(**changes):
    return {"variant": "enorm", "p": 3} | changes


def error_of(**changes):
    with pytest.raises(ValueError) as error:
        check_parameters(given(**changes))
    return str(error.value)


# --- the protocol


def test_the_depths_are_those_of_figure_2():
    assert tuple(TABLE_1) == DEPTHS


@pytest.mark.parametrize("variant", IN_2019)
@pytest.mark.parametrize("p", TABLE_1)
def test_learning_rates_are_those_of_table_1(variant, p):
    rate = TABLE_1[p][COLUMN[variant]]
    assert VARIANTS[variant].learning_rate(p) == rate
    assert Parameters(variant=variant, p=p).initial_learning_rate == rate


@pytest.mark.parametrize("variant", IN_2019)
def test_depths_beside_the_table_take_the_rate_of_the_next_smaller_one(variant):
    column = COLUMN[variant]
    for p, row in [(0, 1), (2, 1), (8, 7), (10, 9), (14, 13), (16, 15), (18, 17), (25, 19)]:
        assert VARIANTS[variant].learning_rate(p) == TABLE_1[row][column]


@pytest.mark.parametrize(
    ("name", "batch_norm", "enorm", "biases"),
    [
        ("baseline", False, False, False),
        ("batch_norm", True, False, False),
        ("enorm", False, True, False),
        ("enorm_batch_norm", True, True, False),
        ("baseline_bias", False, False, True),
        ("enorm_bias", False, True, True),
    ],
)
def test_each_variant_is_what_its_name_says(name, batch_norm, enorm, biases):
    variant = VARIANTS[name]
    assert variant.name == name
    between, after_step = "batch_norm" if batch_norm else "relu", "enorm" if enorm else None
    assert (variant.between, variant.after_step, variant.biases) == (between, after_step, biases)
    assert (variant.layer, variant.update) == ("plain", "sgd")


def test_defaults_are_the_protocols():
    p = check_parameters(given())
    assert (p.epochs, p.batch_size, p.weight_decay) == (60, 256, 1e-3)
    assert (p.c, p.cycles, p.initialization, p.dataset) == (1.2, 1, "he_uniform", "cifar10")


def test_the_learning_rate_reaches_one_step_above_0_in_the_last_epoch():
    p = check_parameters(given(p=17, epochs=60))
    rates = [p.epoch_learning_rate(epoch) for epoch in range(1, 61)]
    assert rates == pytest.approx([0.01 * (1 - e / 60) for e in range(60)])


def test_a_learning_rate_given_replaces_table_1s():
    assert check_parameters(given(learning_rate=0.3)).initial_learning_rate == 0.3
    assert check_parameters(given(learning_rate=1)).initial_learning_rate == 1.0


def test_flops_count_each_product_of_training_and_evaluation():
    # p = 1, weights: 3072 x 500 + 500 x 500 + 500 x 10 = 1,536,000 + 250,000 + 5,000.
    # Training: 2 operations a weight forward, 2 for its gradient, 2 for its input's, which the first layer needs not.
    training = 2 * 1_791_000 + 2 * 1_791_000 + 2 * 255_000
    test = 2 * 1_791_000
    parameters = check_parameters(given(p=1, epochs=4, seeds=[0, 1, 2]))
    assert parameters.flops(50_000, 10_000) == 3 * 4 * (50_000 * training + 10_000 * test)


# --- wrong parameters


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("variant", "enrom", "'enrom'"),
        ("variant", 3, "3"),
        ("p", -1, "-1"),
        ("p", "eight", "'eight'"),
        ("p", 2.5, "2.5"),
        ("p", True, "True"),
        ("p", None, "None"),
        ("p", 1001, "1001"),
        ("epochs", 0, "0"),
        ("epochs", "60", "'60'"),
        ("seeds", [1, 1], "1"),
        ("seeds", [-1], "-1"),
        ("seeds", ["a"], "'a'"),
        ("seeds", [2**31], "2147483648"),
        ("learning_rate", math.nan, "NaN"),
        ("learning_rate", math.inf, "inf"),
        ("learning_rate", 0, "0"),
        ("learning_rate", -1, "-1"),
        ("learning_rate", 1e9, "1000000000.0"),
        ("batch_size", 0, "0"),
        ("batch_size", 256.0, "256.0"),
        ("weight_decay", -0.1, "-0.1"),
        ("c", 0, "0"),
        ("c", math.nan, "NaN"),
        ("cycles", 0, "0"),
        ("initialization", "xavier", "'xavier'"),
        ("dataset", "mnist", "'mnist'"),
        ("precision", "float16", "'float16'"),
    ],
)
def test_a_wrong_value_is_answered_with_its_name_and_itself(name, value, shown):
    message = error_of(**{name: value})
    assert message.startswith(name)
    assert shown in message
    assert "pydantic" not in message


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("learning_rate", "1e-3", "1.0e-3 or 0.001"),
        ("epochs", "1e3", "1000"),
        ("learning_rate", "fast", None),
        ("learning_rate", "nan", None),
        ("variant", "1e-3", None),
    ],
)
def test_a_number_that_came_as_text_is_answered_with_how_yaml_has_it(name, value, hint):
    message = error_of(**{name: value})
    assert message.endswith(f"(in YAML write {hint}, without quotes)") == (hint is not None)
    assert ("YAML" in message) == (hint is not None)


@pytest.mark.parametrize("value", [[-1], [True], [2**31]])
def test_one_wrong_seed_is_one_fault(value):
    assert len(error_of(seeds=value).splitlines()) == 1


def test_no_seeds_is_answered_with_the_parameters_name():
    assert error_of(seeds=[]).startswith("seeds")


def test_an_unknown_variant_is_answered_with_the_nearest_and_all():
    message = error_of(variant="batchnorm")
    assert "did you mean 'batch_norm'?" in message
    assert all(name in message for name in VARIANTS)


def test_an_unknown_parameter_is_answered_with_the_nearest():
    message = error_of(lerning_rate=0.1)
    assert "unknown parameter 'lerning_rate'" in message
    assert "did you mean 'learning_rate'?" in message


def test_a_value_far_from_all_names_gets_no_suggestion():
    assert "did you mean" not in error_of(variant="xyzzy")


def test_each_fault_has_its_line():
    message = error_of(p=-1, epochs=0, c=0)
    assert [line.split(" ")[0] for line in message.splitlines()] == ["p", "epochs", "c"]


def test_missing_parameters_are_named():
    with pytest.raises(ValueError, match="variant is missing\np is missing"):
        check_parameters({})


def test_a_very_long_value_is_shortened():
    assert len(error_of(dataset="x" * 10_000)) < 200


def test_parameters_do_not_change():
    parameters = check_parameters(given())
    with pytest.raises(ValueError):
        parameters.p = 5


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"variant": "baseline", "c": 1.3}, "c = 1.3 needs a variant with enorm; baseline is made of relu, plain, sgd"),
        ({"variant": "baseline", "groups": 5}, "groups = 5 needs a variant with group_norm; baseline is made of relu"),
        ({"variant": "group_norm", "groups": 7}, "groups = 7: allowed are divisors of the width, 1, 2, 4, 5, 10"),
        ({"variant": "path_sgd", "rate_c": 1.1}, "rate_c = 1.1: Path-SGD has steps of its own for each weight"),
        ({"variant": "enorm", "path_ratio": "none"}, "path_ratio = 'none' needs a variant with path_sgd"),
        ({"variant": "weight_norm_batch_norm", "initial_cycles": 3}, "initial_cycles = 3 needs a variant with plain"),
        (
            {"variant": "enorm", "epochs": 2, "warmup": 3},
            "warmup = 3: allowed are at most the 2 epochs of the training",
        ),
    ],
)
def test_what_a_variant_cannot_use_is_refused_in_one_sentence(changed, message):
    assert message in error_of(**changed)


@pytest.mark.parametrize("parts", [{"biases": True}, {"between": "batch_norm"}])
def test_path_sgd_refuses_biases_and_batch_norm(parts):
    with pytest.raises(ValueError, match="Path-SGD is for networks without biases"):
        Variant("mine", "Mine", (0.1,) * 10, update="path_sgd", **parts)


def test_a_part_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"part 'layer_norm': there is no parts/layer_norm.py"):
        parts.find("layer_norm", "between")
    with pytest.raises(ValueError, match=r"part 'relu': relu.py has no function layer"):
        parts.find("relu", "layer")


def test_a_mistake_in_a_part_is_shown_as_it_is(monkeypatch, tmp_path):
    (tmp_path / "mine.py").write_text("import nothing_of_this_name\n")
    monkeypatch.setattr(parts, "__path__", [*parts.__path__, str(tmp_path)])
    with pytest.raises(ModuleNotFoundError, match="nothing_of_this_name"):
        parts.find("mine", "between")
