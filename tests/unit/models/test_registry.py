"""Architectures by name: what is built, and what is refused in which words."""

import pytest

from ferkit.errors import RecipeError, UnknownNameError
from ferkit.models import build_model, model_names, model_options, model_summary
from ferkit.models.registry import register


def test_the_names_are_sorted_and_complete():
    assert model_names() == ["compact", "convnext", "layers", "model1", "model2", "model3", "residual"]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        pytest.param("model1", {"widths": (32, 64, 128, 256), "kernel": 5, "dropout": 0.1}, id="model1"),
        pytest.param("model2", {"dropout": 0.0}, id="model2"),
        pytest.param("model3", {"width": 1.0}, id="model3"),
        pytest.param("layers", {"depth": 4}, id="layers"),
    ],
)
def test_the_options_of_a_model_come_with_their_defaults(name, options):
    assert model_options(name) == options


@pytest.mark.parametrize("name", model_names())
def test_every_model_sums_itself_up_in_one_sentence(name):
    assert model_summary(name).endswith(".")


@pytest.mark.parametrize("ask", [build_model, model_options, model_summary])
def test_a_misspelt_model_gets_a_near_match(ask):
    with pytest.raises(UnknownNameError, match=r"^unknown model 'modle1'; did you mean 'model1'\?$"):
        ask("modle1")


def test_a_model_like_no_other_gets_the_list_of_models():
    with pytest.raises(
        UnknownNameError,
        match=r"unknown model 'vgg'; known: compact, convnext, layers, model1, model2, model3, residual$",
    ):
        build_model("vgg")


def test_a_misspelt_option_gets_a_near_match():
    with pytest.raises(UnknownNameError, match=r"^unknown option of model1 'kernal'; did you mean 'kernel'\?$"):
        build_model("model1", kernal=3)


def test_an_option_of_another_model_gets_the_list_of_options():
    with pytest.raises(UnknownNameError, match=r"unknown option of model3 'kernel'; known: width$"):
        build_model("model3", kernel=3)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        pytest.param("model1", {"kernel": 4}, r"model1: kernel: .* 3 or 5, got 4", id="even kernel"),
        pytest.param("model1", {"kernel": "3"}, r"model1: kernel: .* 3 or 5, got '3'", id="kernel as text"),
        pytest.param("model1", {"dropout": 1.5}, r"model1: dropout: .* less than 1, got 1\.5", id="dropout above 1"),
        pytest.param("model1", {"dropout": 1}, r"model1: dropout: .* less than 1, got 1", id="dropout of everything"),
        pytest.param("model1", {"dropout": -0.1}, r"model1: dropout: .* equal to 0, got -0\.1", id="negative dropout"),
        pytest.param("model1", {"widths": (16, 32, 64)}, r"model1: widths\.3: .*got \(16, 32, 64\)", id="three widths"),
        pytest.param("model1", {"widths": (1, 2, 3, 4, 5)}, r"model1: widths: .* at most 4 items", id="five widths"),
        pytest.param(
            "model1", {"widths": (16, 32, 64, 0)}, r"model1: widths\.3: .* equal to 1, got 0", id="no channels"
        ),
        pytest.param("model2", {"dropout": 2}, r"model2: dropout: .* less than 1, got 2", id="dropout of model2"),
        pytest.param("model3", {"width": 0}, r"model3: width: .* greater than 0, got 0", id="no width"),
        pytest.param("model3", {"width": 9}, r"model3: width: .* equal to 8, got 9", id="too wide"),
        pytest.param("model3", {"width": float("nan")}, r"model3: width: .*got nan", id="width is no number"),
        pytest.param("layers", {"depth": 8}, r"layers: depth: .* 4, 5, 6 or 7, got 8", id="too deep"),
    ],
)
def test_a_value_no_model_can_take_is_refused_with_option_and_value(name, options, message):
    with pytest.raises(RecipeError, match=message):
        build_model(name, **options)


def test_the_same_name_cannot_be_registered_twice():
    def model1():
        raise AssertionError("never built")

    with pytest.raises(RuntimeError, match=r"model 'model1' is registered twice"):
        register(model1)
    assert model_options("model1"), "the first one stays"
