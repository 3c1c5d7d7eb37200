"""Recipes: shipped ones, `--set`, TOML and the key."""

import dataclasses
import json
from pathlib import Path

import pydantic
import pytest
import torch
from torch import nn

from ferkit.data.splits import Protocol
from ferkit.errors import RecipeError, UnknownNameError
from ferkit.models import build_model, model_names, model_options, registry
from ferkit.training.recipe import Recipe, field_help, make_recipe
from ferkit.training.recipe_text import recipe_from_toml, with_settings
from ferkit.training.recipes import GROUPS, MADE_FOR, RECIPES, get_recipe

MODEL1 = Recipe(model="model1")

# ---------------------------------------------------------------------------------------------------- shipped recipes

SHIPPED = [pytest.param(recipe, id=name) for name, (_, recipe) in RECIPES.items()]

OURS = [
    "compact",
    "compact-2",
    "compact-3",
    "compact-4",
    "compact-5",
    "compact-6",
    "compact-7",
    "compact-8",
    "compact-9",
    "compact-10",
    "compact-11",
    "compact-12",
    "compact-13",
    "compact-14",
    "compact-votes",
    "teacher",
    "teacher-2",
    "teacher-3",
    "teacher-4",
    "short-narrow",
    "short-wide",
    "short",
    "champion",
    "ensemble",
    "speedrun",
]


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        pytest.param("model1", 393_479, id="version 1 with kernel 3"),
        pytest.param("model2", 1_643_079, id="Figure 10"),
        pytest.param("model3", 20_582_432, id="Figure 11"),
        pytest.param("layers", 6_312, id="4 layers"),
        pytest.param("final", 82_309_184, id="Figure 11 with doubled widths"),
        pytest.param("compact", 1_597_543, id="ours"),
        pytest.param("compact-2", 1_597_543, id="the same once more"),
        pytest.param("compact-3", 1_597_543, id="and a third time"),
        pytest.param("compact-4", 1_597_543, id="and on poor pictures"),
        pytest.param("compact-5", 822_727, id="narrower"),
        pytest.param("compact-6", 822_727, id="narrower once more"),
        pytest.param("compact-7", 822_727, id="narrower, taught by two"),
        pytest.param("compact-8", 822_727, id="once more"),
        pytest.param("compact-9", 1_597_543, id="wide again"),
        pytest.param("compact-10", 822_727, id="taught by the one twice as wide"),
        pytest.param("compact-11", 822_727, id="anti-aliased"),
        pytest.param("compact-12", 822_727, id="the shipped one"),
        pytest.param("compact-13", 822_727, id="at a lower rate"),
        pytest.param("compact-14", 1_210_135, id="half as wide again inside"),
        pytest.param("compact-votes", 822_727, id="the shipped one of votes"),
        pytest.param("teacher", 1_603_919, id="the one before it"),
        pytest.param("teacher-2", 3_589_783, id="half as wide again"),
        pytest.param("teacher-3", 1_603_919, id="with Muon"),
        pytest.param("teacher-4", 6_377_671, id="twice as wide"),
        pytest.param("short-narrow", 822_727, id="narrower, from fresh weights"),
        pytest.param("short-wide", 1_597_543, id="wide, from fresh weights"),
        pytest.param("short", 1_597_543, id="taught by those two"),
        pytest.param("champion", 11_171_271, id="large"),
        pytest.param("ensemble", 17_450_807, id="wider"),
        pytest.param("speedrun", 4_900_551, id="shallow"),
    ],
)
def test_a_shipped_recipe_builds_its_network(name, parameters):
    recipe = get_recipe(name)
    with torch.device("meta"):
        model = build_model(recipe.model, **recipe.options)
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_every_shipped_recipe_is_known_to_these_tests():
    assert set(RECIPES) == {"model1", "model2", "model3", "layers", "final"} | set(OURS)


def test_every_recipe_is_listed_once_with_those_of_its_purpose():
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(RECIPES)


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, (text, _) in RECIPES.items()])
def test_what_a_recipe_says_it_begins_with_and_learns_from_must_be_given(name, text):
    named = {option for option in ("--init RUN", "--teacher RUN", "--votes FILE") if f"({option})" in text}
    assert named <= set(MADE_FOR.get(name, ()))


@pytest.mark.parametrize("recipe", [param for param in SHIPPED if param.id not in OURS])
def test_a_recipe_of_the_report_follows_it_and_keeps_the_last_epoch(recipe):
    assert (recipe.protocol, recipe.keep, recipe.augmentation) == (Protocol.REPORT, "last", "report")
    assert (recipe.optimizer, recipe.decay, recipe.scheduler) == ("sgd", 0.0009, "onecycle")


KEEP_LAST = {*(f"compact-{n}" for n in range(6, 12)), "compact-votes", "short-narrow", "short-wide", "short"}


@pytest.mark.parametrize("name", OURS)
def test_our_own_recipes_select_on_public_test(name):
    recipe = get_recipe(name)
    assert (recipe.protocol, recipe.keep) == (
        Protocol.STANDARD,
        "last" if name in KEEP_LAST else "best",
    )


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        pytest.param("model1", {"lr": 0.002, "loss": "nll", "epochs": 10, "batch_size": 64}, id="model1, Table 2"),
        pytest.param("model2", {"lr": 0.002, "loss": "nll", "epochs": 10, "batch_size": 64}, id="model2, Table 2"),
        pytest.param("model3", {"lr": 0.002, "loss": "nll", "epochs": 10, "batch_size": 64}, id="model3, Table 2"),
        pytest.param(
            "final", {"lr": 0.02, "loss": "cross_entropy", "epochs": 15, "batch_size": 128}, id="final, section 4.1"
        ),
    ],
)
def test_a_shipped_recipe_has_the_settings_of_its_source(name, settings):
    recipe = get_recipe(name)
    assert {field: getattr(recipe, field) for field in settings} == settings


@pytest.mark.parametrize("recipe", SHIPPED)
def test_a_shipped_recipe_survives_toml(recipe):
    read = recipe_from_toml(recipe.to_toml(), "recipe.toml")
    assert read == recipe
    assert read.key() == recipe.key()


@pytest.mark.parametrize("recipe", SHIPPED)
def test_a_shipped_recipe_passes_the_check_of_settings(recipe):
    assert make_recipe(recipe.to_dict()) == recipe


def test_a_misspelt_recipe_gets_a_near_match():
    with pytest.raises(UnknownNameError, match=r"^unknown recipe 'modell1'; did you mean 'model1'\?$"):
        get_recipe("modell1")


# --------------------------------------------------------------------------------------------------------------- TOML


def test_a_name_that_ends_in_toml_is_a_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('model = "model3"\nlr = 0.01\n[options]\nwidth = 0.5\n')
    assert get_recipe(str(path)) == Recipe(model="model3", lr=0.01, options={"width": 0.5})


def test_a_byte_order_mark_before_the_toml_is_read(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(get_recipe("model1").to_toml(), encoding="utf-8-sig")
    assert get_recipe(str(path)) == get_recipe("model1")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, r"mine\.toml: cannot be read \(No such file or directory\)", id="missing"),
        pytest.param(b"\xff\xfe", r"mine\.toml: cannot be read \(.*utf-8", id="not text"),
        pytest.param(b"model = ", r"mine\.toml: not TOML: ", id="not TOML"),
        pytest.param(b"lr = " + b"9" * 5000, r"mine\.toml: not TOML: ", id="more digits than Python reads"),
        pytest.param(b"lr = " + b"[" * 5000, r"mine\.toml: not TOML: ", id="brackets beyond Python's depth"),
        pytest.param(b'model = "model1"\nlr = 0', r"mine\.toml: lr: .* greater than 0, got 0$", id="value"),
        pytest.param(b'model = "model1"\noptions.kernel = 4', r"mine\.toml: model1: kernel: .* got 4$", id="option"),
        pytest.param(b'model = "model1"\noptions = 3', r"mine\.toml: options: .*, got 3$", id="options not a table"),
        pytest.param(b"lr = 1.0", r"mine\.toml: model: field required$", id="no model"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused_by_name(tmp_path, content, message):
    path = tmp_path / "mine.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecipeError, match=message):
        get_recipe(str(path))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param(
            {"model": "model1", "epoch": 3}, r"unknown recipe field 'epoch'; did you mean 'epochs'\?", id="field"
        ),
        pytest.param({"model": "modle1"}, r"unknown model 'modle1'; did you mean 'model1'\?", id="model"),
        pytest.param(
            {"model": "model1", "options": {"kernal": 3}},
            r"unknown option of model1 'kernal'; did you mean 'kernel'\?",
            id="option",
        ),
    ],
)
def test_an_unknown_name_among_settings_gets_a_near_match(settings, message):
    with pytest.raises(UnknownNameError, match=message):
        make_recipe(settings)


# -------------------------------------------------------------------------------------------------------------- --set


@pytest.mark.parametrize(
    ("settings", "changed"),
    [
        pytest.param([], {}, id="nothing"),
        pytest.param(["lr=0.01"], {"lr": 0.01}, id="number"),
        pytest.param(["lr=1e-3"], {"lr": 0.001}, id="number with an exponent"),
        pytest.param(["epochs=3", "seed=1_000"], {"epochs": 3, "seed": 1000}, id="two whole numbers"),
        pytest.param(["optimizer=adam"], {"optimizer": "adam"}, id="word"),
        pytest.param(["optimizer='adam'"], {"optimizer": "adam"}, id="word in quotation marks"),
        pytest.param([" lr = 0.5 "], {"lr": 0.5}, id="spaces"),
        pytest.param(["lr=1", "lr=2"], {"lr": 2.0}, id="the last of two"),
        pytest.param(["protocol=report"], {"protocol": Protocol.REPORT}, id="protocol"),
        pytest.param(["weight_decay=0"], {"weight_decay": 0.0}, id="weight decay"),
        pytest.param(["kernel=3"], {"options": {"kernel": 3}}, id="option of the network"),
        pytest.param(["widths=16,32,64,128"], {"options": {"widths": (16, 32, 64, 128)}}, id="tuple"),
        pytest.param(["widths=[16, 32, 64, 128]"], {"options": {"widths": (16, 32, 64, 128)}}, id="tuple in brackets"),
        pytest.param(["model=model3"], {"model": "model3"}, id="another network"),
    ],
)
def test_a_setting_changes_its_field_and_no_other(settings, changed):
    assert with_settings(MODEL1, settings) == dataclasses.replace(MODEL1, **changed)


def test_options_are_added_to_those_the_recipe_has():
    recipe = with_settings(Recipe(model="model1", options={"kernel": 3, "dropout": 0.2}), ["dropout=0"])
    assert recipe.options == {"kernel": 3, "dropout": 0}


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        pytest.param(["model=model2"], {}, id="dropped, even one of the same name"),
        pytest.param(["model=model2", "dropout=0.3"], {"dropout": 0.3}, id="those of the new network stay"),
        pytest.param(["dropout=0.3", "model=model2"], {"dropout": 0.3}, id="in any order"),
        pytest.param(["model=model1"], {"dropout": 0.2}, id="kept where the network stays the same"),
    ],
)
def test_another_network_drops_the_options_of_the_old_one(settings, options):
    recipe = Recipe(model="model1", options={"dropout": 0.2})
    assert with_settings(recipe, settings).options == options


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        pytest.param(
            "epoch=3", r"unknown recipe field or option of model1 'epoch'; did you mean 'epochs'\?", id="field"
        ),
        pytest.param("kernal=3", r"option of model1 'kernal'; did you mean 'kernel'\?", id="option"),
        pytest.param("width=2", r"option of model1 'width'; did you mean 'widths'\?", id="option of another network"),
        pytest.param("model=modle1", r"unknown model 'modle1'; did you mean 'model1'\?", id="model"),
        pytest.param(
            "options=3", r"option of model1 'options'; known: augment_backend, augmentation,", id="options as a whole"
        ),
    ],
)
def test_an_unknown_setting_gets_a_near_match(setting, message):
    with pytest.raises(UnknownNameError, match=message):
        with_settings(MODEL1, [setting])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        pytest.param("lr", r"^--set expects field=value, got 'lr'$", id="no equals sign"),
        pytest.param("=3", r"^--set expects field=value, got '=3'$", id="no field"),
        pytest.param("lr=fast", r"^lr: .* valid number.*, got 'fast'$", id="word for a number"),
        pytest.param("lr=true", r"^lr: .* valid number, got True$", id="a switch for a number"),
        pytest.param("sam=true", r"^sam: .* valid number, got True$", id="a switch for a radius"),
        pytest.param("lr='0.1'", r"^lr: .* valid number, got '0.1'$", id="text for a number"),
        pytest.param("dropout=true", r"dropout: expected a number, got True", id="a switch for an option"),
        pytest.param("lr=0", r"^lr: .* greater than 0, got 0$", id="rate of zero"),
        pytest.param("lr=1e39", r"^lr: .* less than or equal to \d+, got 1e\+39$", id="rate no float32 holds"),
        pytest.param("weight_decay=1e39", r"^weight_decay: .* less than or equal to", id="decay no float32 holds"),
        pytest.param(
            f"epochs=1{'0' * 20}", r"^epochs: .* less than or equal to 1000000, got", id="epochs no one counts"
        ),
        pytest.param("lr=nan", r"^lr: .*, got nan$", id="rate that is no number"),
        pytest.param("lr=inf", r"^lr: .* finite number, got inf$", id="endless rate"),
        pytest.param("weight_decay=-1", r"^weight_decay: .* equal to 0, got -1$", id="negative decay"),
        pytest.param("weight_decay=inf", r"^weight_decay: .* finite number, got inf$", id="endless decay"),
        pytest.param("epochs=0", r"^epochs: .* equal to 1, got 0$", id="no epochs"),
        pytest.param("epochs=1.5", r"^epochs: .*, got 1\.5$", id="half an epoch"),
        pytest.param("batch_size=1", r"^batch_size: .* equal to 2, got 1$", id="batch of one"),
        pytest.param("seed=-1", r"^seed: .* equal to 0, got -1$", id="negative seed"),
        pytest.param("seed=2147483648", r"^seed: .* less than 2147483648, got", id="seed of 32 bits"),
        pytest.param("optimizer=lion", r"^optimizer: .*'adamw' or 'muon', got 'lion'$", id="optimizer"),
        pytest.param("loss=mse", r"^loss: .*'nll', 'cross_entropy' or 'gce', got 'mse'$", id="loss"),
        pytest.param(
            "scheduler=step", r"^scheduler: .*'onecycle', 'warmup', 'cosine' or 'none', got 'step'$", id="scheduler"
        ),
        pytest.param("precision=fp16", r"^precision: .*'auto', 'float32' or 'bf16', got 'fp16'$", id="precision"),
        pytest.param("protocol=mine", r"^protocol: .*'standard' or 'report', got 'mine'$", id="protocol"),
        pytest.param("kernel=4", r"^model1: kernel: .* 3 or 5, got 4$", id="option"),
        pytest.param("widths=16,32", r"^model1: widths\.\d: ", id="two widths"),
    ],
)
def test_a_bad_setting_is_refused_by_the_name_of_its_field(setting, message):
    with pytest.raises(RecipeError, match=message):
        with_settings(MODEL1, [setting])


def test_a_setting_never_changes_the_recipe_it_starts_from():
    recipe = Recipe(model="model1", options={"kernel": 3})
    with_settings(recipe, ["kernel=5", "lr=1"])
    assert recipe == Recipe(model="model1", options={"kernel": 3})


@pytest.mark.parametrize("name", model_names())
def test_no_option_of_a_network_has_the_name_of_a_field(name):
    assert not set(model_options(name)) & set(field_help())


# ------------------------------------------------------------------------------------------------- fields and the key

OTHERS = {
    "model": "model2",
    "options": {"kernel": 3},
    "optimizer": "adam",
    "lr": 0.003,
    "weight_decay": 0.1,
    "loss": "cross_entropy",
    "label_smoothing": 0.1,
    "mixup": 0.2,
    "cutmix": 1.0,
    "sam": 0.05,
    "balance": 0.5,
    "drop_copies": True,
    "init": "0123456789abcdef",
    "teachers": ("0123456789abcdef",),
    "votes": "0123456789abcdef",
    "lessons": "every_batch",
    "distill": 0.7,
    "average": 0.9,
    "scheduler": "cosine",
    "batch_size": 65,
    "epochs": 11,
    "augmentation": "faces",
    "mirror": "alternating",
    "augment_backend": "batched",
    "protocol": Protocol.REPORT,
    "keep": "last",
    "seed": 1,
    "precision": "float32",
    "device": "cpu",
}
"""For each field a value that is not the default."""


def test_a_network_that_does_not_say_what_it_should_is_refused(monkeypatch):
    def eight(*, width: int = 8) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(3 * 48 * 48, width), nn.LogSoftmax(1))

    monkeypatch.setitem(registry._BUILDERS, "eight", eight)
    with pytest.raises(RecipeError, match=r"^eight: expected log-probabilities \(B, 7\), got \(1, 8\) for a face$"):
        make_recipe({"model": "eight"})
    assert make_recipe({"model": "eight", "options": {"width": 7}}).options == {"width": 7}


def test_every_field_is_explained_and_has_another_value_here():
    names = [field.name for field in dataclasses.fields(Recipe)]
    assert list(field_help()) == list(OTHERS) == names
    assert all(len(text) > 10 for text in field_help().values())


@pytest.mark.parametrize("name", OTHERS)
def test_the_key_tells_all_settings_apart_that_change_what_is_trained(name):
    start = dataclasses.replace(MODEL1, augmentation="faces") if name == "mirror" else MODEL1
    other = dataclasses.replace(start, **{name: OTHERS[name]})
    assert (other.key() == start.key()) == (name in {"seed", "device", "augment_backend", "loss"})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param({"options": {}}, {"options": {"width": 1}}, id="an option at its default"),
        pytest.param({"options": {"width": 2}}, {"options": {"width": 2.0}}, id="a whole number as an option"),
        pytest.param({}, {"weight_decay": 9e-4}, id="the weight decay written out"),
        pytest.param({"loss": "nll"}, {"loss": "cross_entropy"}, id="the same function by another name"),
    ],
)
def test_the_key_is_the_same_for_the_same_training(one, other):
    assert Recipe(model="model3", **one).key() == Recipe(model="model3", **other).key()


def test_the_key_is_the_same_for_widths_as_a_list_and_at_their_default():
    default = model_options("model1")["widths"]
    assert Recipe(model="model1").key() == Recipe(model="model1", options={"widths": list(default)}).key()


@pytest.mark.parametrize(
    ("model", "typed", "meant"),
    [
        ("model1", "kernel=3.0", {"kernel": 3}),
        ("model1", "widths=16.0,32,64,128", {"widths": (16, 32, 64, 128)}),
        ("residual", "squeeze=yes", {"squeeze": True}),
        ("residual", "squeeze=1.0", {"squeeze": True}),
        ("residual", "side=64.0", {"side": 64}),
        ("residual", 'side="64"', {"side": 64}),
        ("residual", 'width="1"', {"width": 1.0}),
    ],
    ids=str,
)
def test_an_option_is_the_value_the_network_takes_however_it_is_typed(model, typed, meant):
    recipe = with_settings(Recipe(model=model), [typed])
    assert {name: (type(value), value) for name, value in recipe.options.items()} == {
        name: (type(value), value) for name, value in meant.items()
    }
    assert recipe.key() == Recipe(model=model, options=meant).key()


def test_no_result_that_was_published_has_lost_its_key():
    paths = sorted((Path(__file__).parents[3] / "results").rglob("seed-*.json"))
    assert len(paths) > 40
    for path in paths:
        content = json.loads(path.read_text())
        assert make_recipe(content["recipe"]).key() == content["key"], path


@pytest.mark.parametrize("name", ["epochs", "batch_size", "seed"])
def test_yes_is_not_a_number(name):
    with pytest.raises(RecipeError, match=f"{name}: .*valid integer"):
        with_settings(Recipe(model="model1"), [f"{name}=true"])


def test_neither_the_key_nor_the_toml_depends_on_the_order_of_the_options():
    there = Recipe(model="model1", options={"kernel": 3, "dropout": 0.2})
    back = Recipe(model="model1", options={"dropout": 0.2, "kernel": 3})
    assert there.key() == back.key()
    assert there.to_toml() == back.to_toml()
    assert len(there.key()) == 16


def test_a_recipe_with_every_field_changed_survives_toml():
    recipe = Recipe(**{**OTHERS, "options": {"dropout": 0.5}, "votes": ""})
    assert recipe_from_toml(recipe.to_toml(), "recipe.toml") == recipe


@pytest.mark.parametrize(
    ("settings", "decay"),
    [
        pytest.param({"optimizer": "sgd"}, 0.0009, id="sgd"),
        pytest.param({"optimizer": "adam"}, 0.0, id="adam"),
        pytest.param({"optimizer": "sgd", "weight_decay": 0.0}, 0.0, id="sgd, none asked for"),
        pytest.param({"optimizer": "adam", "weight_decay": 0.01}, 0.01, id="adam, some asked for"),
    ],
)
def test_the_weight_decay_follows_the_optimizer_unless_it_is_given(settings, decay):
    assert Recipe(model="model1", **settings).decay == decay


def test_a_recipe_cannot_be_changed_or_given_other_fields():
    with pytest.raises(dataclasses.FrozenInstanceError):
        MODEL1.lr = 1.0
    with pytest.raises(pydantic.ValidationError):
        Recipe(model="model1", epoch=3)
