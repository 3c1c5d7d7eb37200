"""The networks against the report's layer tables: Figures 9 to 11, Table 7.

The numbers are transcribed from the report, not computed. Its text layer prints many zeros of Figure 10 as "e", "6" or
"9"; such a cell is a zero, since its layer has no parameters. Flatten is a function in the report and stands in none of
its figures; the LogSoftmax of Model 3 stands outside Figure 11.

A row is: type of the layer, output shape without the batch, parameters.
"""

import pytest
import torch
from torch import nn

from ferkit.models import build_model

FIGURE_9 = [
    ("Conv2d", (32, 48, 48), 2_432),
    ("BatchNorm2d", (32, 48, 48), 64),
    ("ReLU", (32, 48, 48), 0),
    ("MaxPool2d", (32, 24, 24), 0),
    ("Conv2d", (64, 24, 24), 51_264),
    ("BatchNorm2d", (64, 24, 24), 128),
    ("ReLU", (64, 24, 24), 0),
    ("MaxPool2d", (64, 12, 12), 0),
    ("Conv2d", (128, 12, 12), 204_928),
    ("BatchNorm2d", (128, 12, 12), 256),
    ("ReLU", (128, 12, 12), 0),
    ("Conv2d", (256, 12, 12), 819_456),
    ("BatchNorm2d", (256, 12, 12), 512),
    ("ReLU", (256, 12, 12), 0),
    ("MaxPool2d", (256, 6, 6), 0),
    ("Linear", (64,), 589_888),
    ("BatchNorm1d", (64,), 128),
    ("ReLU", (64,), 0),
    ("Dropout", (64,), 0),
    ("Linear", (7,), 455),
    ("LogSoftmax", (7,), 0),
]

FIGURE_10 = [
    ("Conv2d", (8, 46, 46), 224),
    ("BatchNorm2d", (8, 46, 46), 16),
    ("ReLU", (8, 46, 46), 0),
    ("Dropout", (8, 46, 46), 0),
    ("MaxPool2d", (8, 45, 45), 0),
    ("Conv2d", (16, 43, 43), 1_168),
    ("BatchNorm2d", (16, 43, 43), 32),
    ("ReLU", (16, 43, 43), 0),
    ("Dropout", (16, 43, 43), 0),
    ("MaxPool2d", (16, 42, 42), 0),
    ("Conv2d", (32, 40, 40), 4_640),
    ("BatchNorm2d", (32, 40, 40), 64),
    ("ReLU", (32, 40, 40), 0),
    ("Dropout", (32, 40, 40), 0),
    ("MaxPool2d", (32, 39, 39), 0),
    ("Conv2d", (64, 37, 37), 18_496),
    ("BatchNorm2d", (64, 37, 37), 128),
    ("ReLU", (64, 37, 37), 0),
    ("Dropout", (64, 37, 37), 0),
    ("MaxPool2d", (64, 36, 36), 0),
    ("Conv2d", (128, 34, 34), 73_856),
    ("BatchNorm2d", (128, 34, 34), 256),
    ("ReLU", (128, 34, 34), 0),
    ("Dropout", (128, 34, 34), 0),
    ("MaxPool2d", (128, 17, 17), 0),
    ("Conv2d", (256, 15, 15), 295_168),
    ("BatchNorm2d", (256, 15, 15), 512),
    ("ReLU", (256, 15, 15), 0),
    ("Dropout", (256, 15, 15), 0),
    ("MaxPool2d", (256, 7, 7), 0),
    ("Conv2d", (256, 5, 5), 590_080),
    ("BatchNorm2d", (256, 5, 5), 512),
    ("ReLU", (256, 5, 5), 0),
    ("Dropout", (256, 5, 5), 0),
    ("MaxPool2d", (256, 2, 2), 0),
    ("Linear", (512,), 524_800),
    ("ReLU", (512,), 0),
    ("Dropout", (512,), 0),
    ("Linear", (256,), 131_328),
    ("ReLU", (256,), 0),
    ("Dropout", (256,), 0),
    ("Linear", (7,), 1_799),
    ("LogSoftmax", (7,), 0),
]

FIGURE_11 = [
    ("Conv2d", (32, 48, 48), 864),
    ("ReLU", (32, 48, 48), 0),
    ("BatchNorm2d", (32, 48, 48), 64),
    ("Conv2d", (64, 48, 48), 18_432),
    ("ReLU", (64, 48, 48), 0),
    ("BatchNorm2d", (64, 48, 48), 128),
    ("MaxPool2d", (64, 24, 24), 0),
    ("Conv2d", (128, 24, 24), 73_728),
    ("ReLU", (128, 24, 24), 0),
    ("BatchNorm2d", (128, 24, 24), 256),
    ("Conv2d", (256, 24, 24), 294_912),
    ("ReLU", (256, 24, 24), 0),
    ("BatchNorm2d", (256, 24, 24), 512),
    ("Conv2d", (512, 26, 26), 131_072),
    ("ReLU", (512, 26, 26), 0),
    ("BatchNorm2d", (512, 26, 26), 1_024),
    ("MaxPool2d", (512, 13, 13), 0),
    ("Conv2d", (1024, 13, 13), 4_718_592),
    ("ReLU", (1024, 13, 13), 0),
    ("BatchNorm2d", (1024, 13, 13), 2_048),
    ("Conv2d", (1024, 13, 13), 9_437_184),
    ("ReLU", (1024, 13, 13), 0),
    ("BatchNorm2d", (1024, 13, 13), 2_048),
    ("MaxPool2d", (1024, 6, 6), 0),
    ("Conv2d", (512, 6, 6), 4_718_592),
    ("ReLU", (512, 6, 6), 0),
    ("BatchNorm2d", (512, 6, 6), 1_024),
    ("Conv2d", (256, 4, 4), 1_179_648),
    ("ReLU", (256, 4, 4), 0),
    ("BatchNorm2d", (256, 4, 4), 512),
    ("AvgPool2d", (256, 1, 1), 0),
    ("Conv2d", (7, 1, 1), 1_792),
]


def build_on_meta(name, **options):
    """Return a network without memory for its weights."""
    with torch.device("meta"):
        return build_model(name, **options)


def count_parameters(model):
    return sum(p.numel() for p in model.parameters())


def called_layers(model):
    """Return a row for each leaf module, in the order in which a forward pass calls them."""
    rows = []

    def note(module, _, output):
        rows.append((type(module).__name__, tuple(output.shape[1:]), count_parameters(module)))

    for module in model.modules():
        if not list(module.children()):
            module.register_forward_hook(note)
    model(torch.empty(2, 3, 48, 48, device="meta"))
    return rows


@pytest.mark.parametrize(
    ("name", "figure", "outside"),
    [
        pytest.param("model1", FIGURE_9, [], id="Model 1, Figure 9"),
        pytest.param("model2", FIGURE_10, [], id="Model 2, Figure 10"),
        pytest.param("model3", FIGURE_11, [("LogSoftmax", (7,), 0)], id="Model 3, Figure 11"),
    ],
)
def test_a_network_calls_the_layers_of_its_figure_in_order(name, figure, outside):
    called = [row for row in called_layers(build_on_meta(name)) if row[0] != "Flatten"]
    assert called == figure + outside


@pytest.mark.parametrize(
    ("name", "index", "shape"),
    [
        pytest.param("model1", 15, (256 * 6 * 6,), id="Model 1, before the first linear layer"),
        pytest.param("model2", 35, (256 * 2 * 2,), id="Model 2, before the first linear layer"),
        pytest.param("model3", 32, (7,), id="Model 3, after the last convolution"),
    ],
)
def test_a_network_flattens_once(name, index, shape):
    called = called_layers(build_on_meta(name))
    assert [(i, row) for i, row in enumerate(called) if row[0] == "Flatten"] == [(index, ("Flatten", shape, 0))]


@pytest.mark.parametrize(
    ("name", "options", "parameters"),
    [
        pytest.param("model1", {}, 1_669_511, id="Model 1, Figure 9"),
        pytest.param("model2", {}, 1_643_079, id="Model 2, Figure 10"),
        pytest.param("model3", {}, 20_582_432, id="Model 3, Figure 11"),
        pytest.param("model3", {"width": 2}, 82_309_184, id="Model 3 with doubled widths"),
    ],
)
def test_a_network_has_as_many_parameters_as_the_report_says_all_of_them_trainable(name, options, parameters):
    model = build_on_meta(name, **options)
    assert count_parameters(model) == parameters
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize(
    "widths",
    [
        pytest.param((16, 32, 64, 128), id="version 1"),
        pytest.param((32, 64, 128, 256), id="version 2"),
        pytest.param((64, 128, 256, 512), id="version 3"),
    ],
)
def test_the_versions_of_model_1_differ_in_widths_and_kernel_alone(widths, kernel):
    convolutions = [
        (type_, shape, parameters)
        for type_, shape, parameters in called_layers(build_on_meta("model1", widths=widths, kernel=kernel))
        if type_ == "Conv2d"
    ]
    sides = (48, 24, 12, 12)
    inputs = (3, *widths)
    assert convolutions == [
        ("Conv2d", (c, side, side), c * (c_in * kernel * kernel + 1))
        for c_in, c, side in zip(inputs, widths, sides, strict=False)
    ]


def test_doubling_the_width_of_model_3_doubles_every_channel_but_the_seven_classes():
    double = [shape for type_, shape, _ in called_layers(build_on_meta("model3", width=2)) if type_ == "Conv2d"]
    single = [shape for type_, shape, _ in FIGURE_11 if type_ == "Conv2d"]
    assert double == [(c if c == 7 else 2 * c, side, side) for c, side, _ in single]


@pytest.mark.parametrize("name", ["model1", "model2", "model3", "layers"])
def test_every_maximum_is_over_two_by_two_pixels(name):
    windows = {m.kernel_size for m in build_on_meta(name).modules() if isinstance(m, nn.MaxPool2d)}
    assert windows == {2}


def test_dropout_has_the_probability_that_was_asked_for():
    for name in ("model1", "model2"):
        found = {m.p for m in build_on_meta(name, dropout=0.25).modules() if isinstance(m, nn.Dropout)}
        assert found == {0.25}


TABLE_7 = [pytest.param(4, 32), pytest.param(5, 64), pytest.param(6, 128), pytest.param(7, 256)]
"""Number of layers and largest channel size, as the report prints them."""


@pytest.mark.parametrize(("depth", "widest"), TABLE_7)
def test_a_network_of_table_7_has_as_many_convolutions_and_channels_as_the_table_says(depth, widest):
    channels = [
        shape[0] for type_, shape, _ in called_layers(build_on_meta("layers", depth=depth)) if type_ == "Conv2d"
    ]
    assert len(channels) == depth
    assert channels == [*(8 * 2**i for i in range(depth - 1)), 7]
    assert max(channels) == widest


@pytest.mark.parametrize(
    ("depth", "order"),
    [
        pytest.param(4, "conv48 conv48 max24 conv24 avg1 conv1", id="4 layers"),
        pytest.param(5, "conv48 conv48 max24 conv24 conv24 avg1 conv1", id="5 layers"),
        pytest.param(6, "conv48 conv48 max24 conv24 conv24 conv26 max13 avg1 conv1", id="6 layers"),
        pytest.param(7, "conv48 conv48 max24 conv24 conv24 conv26 max13 conv13 avg1 conv1", id="7 layers"),
    ],
)
def test_a_network_of_table_7_pools_where_model_3_does(depth, order):
    short = {"Conv2d": "conv", "MaxPool2d": "max", "AvgPool2d": "avg"}
    called = called_layers(build_on_meta("layers", depth=depth))
    assert " ".join(f"{short[type_]}{shape[1]}" for type_, shape, _ in called if type_ in short) == order


@pytest.mark.parametrize("depth", [4, 5, 6, 7])
def test_a_network_of_table_7_is_made_of_the_blocks_of_model_3(depth):
    types = [type_ for type_, _, _ in called_layers(build_on_meta("layers", depth=depth))]
    blocks = " ".join(t for t in types if t != "MaxPool2d")
    assert blocks == "Conv2d ReLU BatchNorm2d " * (depth - 1) + "AvgPool2d Conv2d Flatten LogSoftmax"
    assert all(m.bias is None for m in build_on_meta("layers", depth=depth).modules() if isinstance(m, nn.Conv2d))
