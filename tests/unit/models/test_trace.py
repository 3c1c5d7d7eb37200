import pytest
import torch
from torch import nn
from torchinfo import summary

from ferkit.models import build_model
from ferkit.models.blocks import Block, blocks
from ferkit.models.trace import Place, convolutions, trace

HEADS = ("Conv2d", "MaxPool2d", "AvgPool2d", "Linear")


def ones(*layers):
    """Return layers in a row, with all weights 1 and no bias, so that a gradient is 0 only outside what a cell sees."""
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)


def seen_by(model, cell):
    """Return first and last row of the image that a cell on the diagonal of the last map depends on."""
    x = torch.ones(1, 3, 48, 48, requires_grad=True)
    model(x)[0, 0, cell, cell].backward()
    rows = x.grad[0, 0].abs().sum(dim=1).nonzero()
    return rows.min().item(), rows.max().item()


STACKS = {
    "padded": lambda: ones(nn.Conv2d(3, 2, 3, padding=1), nn.ReLU(), nn.Conv2d(2, 2, 5, padding=2)),
    "unpadded": lambda: ones(nn.Conv2d(3, 2, 3), nn.AvgPool2d(2, 1), nn.Conv2d(2, 2, 3), nn.AvgPool2d(2, 2)),
    "padding larger than the kernel": lambda: ones(nn.AvgPool2d(2), nn.Conv2d(3, 2, 1, padding=1), nn.AvgPool2d(2)),
    "stride and dilation": lambda: ones(nn.Conv2d(3, 2, 3, stride=2), nn.Conv2d(2, 2, 3, dilation=2)),
    "same": lambda: ones(nn.AvgPool2d(2), nn.Conv2d(3, 2, 3, padding="same"), nn.Conv2d(2, 2, 3, padding="valid")),
}


@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("cell", [3, 5])
def test_the_place_of_a_cell_is_the_middle_of_what_it_sees(name, cell):
    model = STACKS[name]()
    place = trace(model)[-1].place
    low, high = seen_by(model, cell)
    assert place.first + cell * place.step == (low + high) / 2


def test_the_last_map_of_model_3_looks_at_the_middle_of_the_face():
    last = [each for each in convolutions(trace(build_model("model3"))) if each.is_map][-1]
    assert last.activated.shape == (256, 4, 4)
    assert last.activated.place == Place(9.5, 8.0)


def test_a_map_that_comes_from_two_sides_has_no_known_place():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3)

        def forward(self, x):
            return self.second(x + self.first(x))

    first, second = trace(Residual())
    assert first.place == Place(0, 1)
    assert second.place is None


def test_windows_that_are_not_square_have_no_known_place():
    assert trace(nn.Sequential(nn.Conv2d(3, 1, (3, 5))))[0].place is None


@pytest.mark.parametrize("name", ["layers", "model1", "model2", "model3"])
def test_the_trace_and_the_blocks_have_the_shapes_that_torchinfo_finds(name):
    model = build_model(name)
    found = summary(model, (1, 3, 48, 48), verbose=0, device="cpu").summary_list
    leaves = [(layer.class_name, tuple(layer.output_size[1:])) for layer in found if layer.is_leaf_layer]
    assert [(type(layer.module).__name__, layer.shape) for layer in trace(model)] == leaves
    assert [block.shape for block in blocks(model)[1:]] == [shape for kind, shape in leaves if kind in HEADS]


def test_a_convolution_is_shown_by_the_activation_that_follows_it():
    found = convolutions(trace(build_model("model1")))
    assert [(each.name, each.layer.name, each.activated.name) for each in found][:2] == [
        ("convolution 1", "features.0", "features.2"),
        ("convolution 2", "features.4", "features.6"),
    ]
    assert [type(each.activated.module) for each in found] == [nn.ReLU] * 4


def test_an_activation_behind_a_linear_layer_or_of_several_convolutions_is_not_taken():
    flat = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(2 * 46 * 46, 4), nn.ReLU())
    (only,) = convolutions(trace(flat))
    assert only.activated is only.layer
    relu = nn.ReLU()
    shared = nn.Sequential(nn.Conv2d(3, 2, 3), relu, nn.Conv2d(2, 2, 3), relu)
    assert all(each.activated is each.layer for each in convolutions(trace(shared)))


def test_the_classifier_of_model_3_is_a_convolution_without_a_map():
    found = convolutions(trace(build_model("model3")))
    assert len(found) == 10
    assert [each.is_map for each in found] == [True] * 9 + [False]


def test_tracing_leaves_no_hook_behind():
    model = build_model("layers")
    trace(model)
    assert not any(module._forward_hooks for module in model.modules())


def test_blocks_say_kind_window_and_what_follows():
    found = blocks(build_model("model2", dropout=0.25))
    assert found[0] == Block(kind="input", shape=(3, 48, 48))
    assert found[1] == Block(
        kind="convolution", size="3 × 3", then=("batch norm", "ReLU", "dropout 0.25"), shape=(8, 46, 46)
    )
    assert found[2] == Block(kind="max pooling", size="2 × 2, stride 1", shape=(8, 45, 45))
    assert found[-1] == Block(kind="linear", then=("log-softmax",), shape=(7,))


def test_dropout_that_drops_nothing_is_not_mentioned():
    assert blocks(build_model("model2"))[1].then == ("batch norm", "ReLU")


def test_a_part_with_a_shortcut_is_one_block_and_the_rest_a_row():
    found = [(block.kind, block.shape) for block in blocks(build_model("compact", depths=(1, 2, 1, 1)))]
    assert found == [
        ("input", (3, 48, 48)),
        ("convolution", (32, 24, 24)),
        ("block of 2 convolutions, branching", (32, 24, 24)),
        ("block of 3 convolutions, branching", (64, 12, 12)),
        ("block of 2 convolutions, branching", (64, 12, 12)),
        ("block of 3 convolutions, branching", (128, 6, 6)),
        ("block of 3 convolutions, branching", (256, 3, 3)),
        ("mean over the picture", (256,)),
        ("linear", (7,)),
    ]


def test_a_network_that_branches_at_its_top_is_one_block():
    class Skip(nn.Module):
        def __init__(self):
            super().__init__()
            self.down, self.up = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
            self.beside = nn.Conv2d(3, 3, 1)

        def forward(self, x):
            return self.up(self.down(x)) + self.beside(x)

    assert [block.kind for block in blocks(Skip())] == ["input", "skip of 3 convolutions, branching"]


def test_a_layer_of_an_unknown_kind_is_a_block_under_its_own_name():
    found = blocks(nn.Sequential(nn.PixelUnshuffle(2), nn.ReLU()))
    assert found[1:] == [Block(kind="PixelUnshuffle", then=("ReLU",), shape=(12, 24, 24))]
