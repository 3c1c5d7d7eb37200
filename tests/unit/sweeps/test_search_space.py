import pytest

from ferkit.errors import RecipeError
from ferkit.sweeps.search_space import Choices, Range, apply, read_space
from ferkit.training.recipe import Recipe

RECIPE = Recipe(model="model1", options={"kernel": 3}, epochs=9)


def read(tmp_path, text, *, pruned=True):
    path = tmp_path / "space.toml"
    path.write_text(text)
    return read_space(path, RECIPE, pruned=pruned)


def test_a_table_is_a_range_of_numbers_of_the_setting_s_kind_or_a_list_of_choices(tmp_path):
    space = read(
        tmp_path,
        """
        [lr]
        low = 0.01
        high = 1
        log = true

        [batch_size]
        low = 16
        high = 64
        step = 16

        [weight_decay]
        low = 0
        high = 0.001

        [dropout]
        choices = [0.0, 0.2]

        [kernel]
        low = 3
        high = 5
        step = 2

        [widths]
        choices = [[8, 16, 32, 64], [16, 32, 64, 128]]
        """,
    )
    assert space == {
        "lr": Range(low=0.01, high=1.0, log=True),
        "batch_size": Range(low=16, high=64, step=16, whole=True),
        "weight_decay": Range(low=0.0, high=0.001),
        "dropout": Choices((0.0, 0.2)),
        "kernel": Range(low=3, high=5, step=2, whole=True),
        "widths": Choices(([8, 16, 32, 64], [16, 32, 64, 128])),
    }


def test_settings_go_to_the_recipe_or_to_its_network():
    changed = apply(RECIPE, {"lr": 0.1, "dropout": 0.3})
    assert (changed.lr, changed.options) == (0.1, {"dropout": 0.3, "kernel": 3})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a table for each setting to vary, such as [lr], got none"),
        ("[lr\n", "not TOML: "),
        pytest.param("[lr]\nlow = " + "9" * 5000, "not TOML: ", id="more digits than Python reads"),
        ("[lrr]\nlow = 1\nhigh = 2", "unknown recipe field or option of model1 'lrr'; did you mean 'lr'?"),
        ("[kernle]\nchoices = [3, 5]", "unknown recipe field or option of model1 'kernle'; did you mean 'kernel'?"),
        ("[lr]\nlo = 1\nhigh = 2", "unknown key of [lr] 'lo'; did you mean 'low'?"),
        ("lr = 0.1", "lr: expected a table with low and high, or with choices, got 0.1; --set lr=... fixes it"),
        ("[lr]\nlow = 0.1", "lr: high is missing; expected low and high, or choices"),
        ("[lr]\nlow = 0.3\nhigh = 0.1", "lr: low must be below high, got 0.3 and 0.1"),
        ("[lr]\nlow = 0.0\nhigh = 0.1\nlog = true", "lr: low must be above 0 where log is true, got 0.0"),
        ("[lr]\nlow = 0.1\nhigh = 0.5\nlog = 1", "lr: log: expected true or false, got 1"),
        ("[lr]\nlow = 0.1\nhigh = 0.5\nstep = 0.1\nlog = true", "lr: step and log = true exclude each other"),
        ("[lr]\nlow = 0.1\nhigh = 0.5\nstep = 0.3", "lr: step: expected a part of the way from 0.1 to 0.5, got 0.3"),
        ("[lr]\nlow = 0.1\nhigh = inf", "lr: high: expected a number, got inf"),
        ("[lr]\nlow = -0.1\nhigh = 0.5", "lr: low: input should be greater than 0, got -0.1"),
        ("[batch_size]\nlow = 0.5\nhigh = 64", "batch_size: low: expected a whole number, got 0.5"),
        ("[batch_size]\nlow = 1\nhigh = 64", "batch_size: low: input should be greater than or equal to 2, got 1"),
        ("[kernel]\nlow = 3\nhigh = 4", "kernel: high: model1: "),
        ("[kernel]\nlow = 3\nhigh = 5", "kernel: the value 4 between low and high: model1: "),
        (f"[batch_size]\nlow = 2\nhigh = {'9' * 400}", "batch_size: high: expected a whole number, got 999"),
        ("[lr]\nlow = 1e-300\nhigh = 0.1\nstep = 1e-300", "lr: step: expected a part of the way from 1e-300 to 0.1"),
        ("[optimizer]\nlow = 1\nhigh = 2", "optimizer: is no number; expected choices = [...], got low, high"),
        ("[optimizer]\nchoices = ['sgd', 'adan']", "optimizer: choices[1]: input should be 'sgd', "),
        ("[optimizer]\nchoices = ['sgd']", "optimizer: choices: expected a list of at least two values, got ['sgd']"),
        ("[mixup]\nchoices = [0.2, 0.2]", "mixup: choices: expected different values, got [0.2, 0.2]"),
        ("[mixup]\nchoices = [0, 1]\nlow = 1", "mixup: expected choices or low and high, got choices and low"),
        ("[protocol]\nchoices = ['standard', 'report']", "protocol: does not vary: a search chooses by PublicTest"),
        ("[seed]\nlow = 0\nhigh = 9", "seed: does not vary: that would choose luck, not settings; "),
        (
            "[epochs]\nlow = 3\nhigh = 10",
            "epochs: high: a pruner compares trials of at most the recipe's 9 epochs, got 10;",
        ),
    ],
)
def test_what_cannot_be_is_named_by_file_and_key(tmp_path, text, message):
    with pytest.raises(RecipeError) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path / 'space.toml'}: {message}")
    assert "\n" not in str(caught.value)


def test_a_byte_order_mark_is_passed_over(tmp_path):
    (tmp_path / "space.toml").write_text("[lr]\nlow = 0.01\nhigh = 0.1\n", encoding="utf-8-sig")
    assert set(read_space(tmp_path / "space.toml", RECIPE, pruned=False)) == {"lr"}


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(RecipeError, match=r"none\.toml: cannot be read \(No such file or directory\)"):
        read_space(tmp_path / "none.toml", RECIPE, pruned=True)


def test_epochs_may_grow_where_nothing_prunes_and_shrink_anywhere(tmp_path):
    assert read(tmp_path, "[epochs]\nlow = 3\nhigh = 9")["epochs"].high == 9
    assert read(tmp_path, "[epochs]\nlow = 3\nhigh = 30", pruned=False)["epochs"].high == 30
