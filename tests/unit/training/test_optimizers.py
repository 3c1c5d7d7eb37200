"""Optimizers as the recipe names them."""

import pytest
import torch
from torch import nn

from ferkit.training.muon import Muon
from ferkit.training.optimizers import build_optimizer
from ferkit.training.recipe import Recipe


def recipe_with(**settings):
    return Recipe(**{"model": "model1", "lr": 0.02, "epochs": 4, **settings})


def network():
    return nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))


@pytest.mark.parametrize(
    ("settings", "kind", "expected"),
    [
        pytest.param(
            {"optimizer": "sgd"},
            torch.optim.SGD,
            {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.0009, "nesterov": False, "dampening": 0},
            id="sgd",
        ),
        pytest.param(
            {"optimizer": "adam"},
            torch.optim.Adam,
            {"lr": 0.02, "betas": (0.9, 0.999), "weight_decay": 0.0, "amsgrad": False},
            id="adam",
        ),
        pytest.param(
            {"optimizer": "adam", "weight_decay": 0.1}, torch.optim.Adam, {"weight_decay": 0.1}, id="adam with decay"
        ),
        pytest.param({"weight_decay": 0.0}, torch.optim.SGD, {"weight_decay": 0.0}, id="sgd without decay"),
        pytest.param({"optimizer": "nesterov"}, torch.optim.SGD, {"nesterov": True, "momentum": 0.9}, id="nesterov"),
        pytest.param({"optimizer": "adamw"}, torch.optim.AdamW, {"lr": 0.02}, id="adamw"),
        pytest.param(
            {"optimizer": "muon", "weight_decay": 0.01}, Muon, {"lr": 0.02, "weight_decay": 0.01}, id="muon with decay"
        ),
    ],
)
def test_an_optimizer_has_the_settings_of_the_recipe(settings, kind, expected):
    optimizer = build_optimizer(network(), recipe_with(**settings))
    assert type(optimizer) is kind
    (group,) = optimizer.param_groups
    assert {name: group[name] for name in expected} == expected


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_an_optimizer_moves_every_parameter(name):
    model = network()
    (group,) = build_optimizer(model, recipe_with(optimizer=name)).param_groups
    assert [id(p) for p in group["params"]] == [id(p) for p in model.parameters()]
