"""Networks built by hand, whose answer rests on a known place, must be explained by that place."""

import numpy as np
import pytest
import torch
from torch import nn

from ferkit.errors import DataError
from ferkit.evaluation import predict
from ferkit.evaluation.saliency import grad_cam, occlusion
from ferkit.models import build_model, model_names

GREY = 128


class BrightOrDark(nn.Module):
    """Class 0 rests on what is brighter than grey, class 1 on what is darker, wherever it stands."""

    def __init__(self):
        super().__init__()
        self.look = nn.Conv2d(3, 2, 1)
        self.relu = nn.ReLU()
        self.log_softmax = nn.LogSoftmax(dim=1)
        with torch.no_grad():
            self.look.weight[0], self.look.weight[1] = 1 / 3, -1 / 3
            self.look.bias[:] = torch.tensor([-GREY / 255, GREY / 255])

    def forward(self, x):
        return self.log_softmax(self.relu(self.look(x)).mean(dim=(2, 3)))


class Patch(nn.Module):
    """Class 1 rests on the brightness of one patch of the image, and on nothing else."""

    def __init__(self, rows, columns):
        super().__init__()
        self.rows, self.columns = slice(*rows), slice(*columns)

    def forward(self, x):
        brightness = x[:, 0, self.rows, self.columns].mean(dim=(1, 2))
        return torch.log_softmax(torch.stack([torch.zeros_like(brightness), 4 * brightness], dim=1), dim=1)


def image_with(*patches):
    """Return a grey image with patches ``(row, column, level)``, 8 pixels a side."""
    image = np.full((48, 48), GREY, np.uint8)
    for row, column, level in patches:
        image[row : row + 8, column : column + 8] = level
    return image


def centre(map_HW):
    rows, columns = np.indices(map_HW.shape)
    return (rows * map_HW).sum() / map_HW.sum(), (columns * map_HW).sum() / map_HW.sum()


def test_grad_cam_lights_up_the_patch_that_speaks_for_each_class():
    image = image_with((4, 8, 255), (32, 20, 0))
    bright, dark = grad_cam(BrightOrDark(), np.stack([image, image]), [0, 1])
    inside = np.zeros((48, 48), bool)
    inside[4:12, 8:16] = True
    assert bright[inside].tolist() == pytest.approx([1] * 64)
    assert bright[~inside].max() == pytest.approx(0, abs=1e-6)
    inside[:], inside[32:40, 20:28] = False, True
    assert dark[inside].tolist() == pytest.approx([1] * 64)
    assert dark[~inside].max() == pytest.approx(0, abs=1e-6)


def test_grad_cam_is_nothing_where_nothing_speaks_for_the_class():
    (found,) = grad_cam(BrightOrDark(), image_with((4, 8, 255))[None], 1)
    assert found.max() == 0


def like_model_3():
    """Return a bright-spot detector whose maps shrink, grow and shrink as those of Model 3 do."""
    layers = [
        nn.AvgPool2d(2),
        nn.Conv2d(3, 1, 1, padding=1, bias=False),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.AvgPool2d(2),
        nn.Conv2d(1, 1, 3, bias=False),
        nn.ReLU(),
        nn.AvgPool2d(4),
        nn.Flatten(),
        nn.Linear(1, 2, bias=False),
        nn.LogSoftmax(dim=1),
    ]
    with torch.no_grad():
        layers[1].weight[:] = 1
        layers[5].weight[:] = 0.01
        layers[5].weight[0, 0, 1, 1] = 1
        layers[9].weight[:] = torch.tensor([[0.0], [1.0]])
    return nn.Sequential(*layers)


@pytest.mark.parametrize("corner", [(6, 6), (6, 30), (30, 6), (30, 30), (14, 22)])
def test_grad_cam_is_laid_where_the_cells_look_and_not_stretched(corner):
    image = np.zeros((48, 48), np.uint8)
    row, column = corner
    image[row : row + 8, column : column + 8] = 255
    (found,) = grad_cam(like_model_3(), image[None], 1)
    # Beyond the outermost cells a value holds for half a step, 4 pixels; stretching would put the last cell 8 off.
    assert np.argwhere(found > 0.99).mean(axis=0) == pytest.approx((row + 3.5, column + 3.5), abs=2.5)


@pytest.mark.parametrize("name", model_names())
def test_grad_cam_of_every_network_is_whole_and_leaves_the_network_as_it_was(name):
    torch.manual_seed(0)
    model = build_model(name, **({"width": 0.1} if name == "model3" else {}))
    images = np.random.default_rng(0).integers(0, 256, (2, 48, 48), dtype=np.uint8)
    before = predict(model, images)
    found = np.concatenate([grad_cam(model, images, target) for target in range(7)])
    assert found.shape == (14, 48, 48)
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert set(found.max(axis=(1, 2)).round(5).tolist()) <= {0.0, 1.0}
    assert found.max() == pytest.approx(1)
    assert np.array_equal(predict(model, images), before)
    assert not any(module._forward_hooks or module._backward_hooks for module in model.modules())


def test_grad_cam_uses_the_score_before_the_softmax():
    sure = BrightOrDark()
    with torch.no_grad():
        sure.look.weight *= 5000
        sure.look.bias *= 5000
    image = image_with((4, 8, 255))
    assert np.exp(predict(sure, image[None])).max() == 1  # so the softmax has no gradient left
    assert grad_cam(sure, image[None], 0).max() == pytest.approx(1)


class Hidden(BrightOrDark):
    """Looks at squares of 8 pixels, behind a sum, so that nobody can tell where its cells look."""

    def forward(self, x):
        pooled = nn.functional.avg_pool2d(x, 8)
        return super().forward(pooled + torch.zeros_like(pooled))


def test_cells_of_which_nobody_can_tell_where_they_look_share_the_face():
    (found,) = grad_cam(Hidden(), image_with((8, 16, 255))[None], 0)
    assert centre(found) == pytest.approx((11.5, 19.5), abs=0.01)
    assert found[11:13, 19:21].min() > 0.9


def test_grad_cam_is_of_the_last_convolution_not_of_one_before():
    layers = [nn.Conv2d(3, 1, 1), nn.ReLU(), nn.Conv2d(1, 1, 1), nn.ReLU(), nn.AvgPool2d(48), nn.Flatten()]
    model = nn.Sequential(*layers, nn.Linear(1, 2, bias=False), nn.LogSoftmax(dim=1))
    with torch.no_grad():
        for layer, weight, bias in ((layers[0], 1 / 3, -GREY / 255), (layers[2], 1, -0.3)):
            layer.weight[:], layer.bias[:] = weight, bias
        model[6].weight[:] = torch.tensor([[0.0], [1.0]])
    (found,) = grad_cam(model, image_with((4, 8, 180), (32, 20, 255))[None], 1)
    assert found[32:40, 20:28].min() == pytest.approx(1)
    assert found[:20].max() == 0, "what the last one drops speaks for nothing"


def test_grad_cam_of_a_network_without_maps_is_refused():
    flat = nn.Sequential(nn.Flatten(), nn.Linear(3 * 48 * 48, 7), nn.LogSoftmax(dim=1))
    with pytest.raises(DataError, match="the network has none"):
        grad_cam(flat, image_with()[None], 0)


def by_hand(model, image, target, window, step):
    """Return the occlusion map as its docstring defines it, one square at a time."""
    chance = np.exp(predict(model, image[None])[0, target])
    total, count = np.zeros(image.shape), np.zeros(image.shape)
    for row in range(0, 48 - window + 1, step):
        for column in range(0, 48 - window + 1, step):
            hidden = image.copy()
            place = slice(row, row + window), slice(column, column + window)
            hidden[place] = image.mean()
            total[place] += chance - np.exp(predict(model, hidden[None])[0, target])
            count[place] += 1
    return total / count


@pytest.mark.parametrize(("window", "step"), [(12, 4), (8, 8)])
def test_occlusion_is_the_mean_loss_of_the_squares_that_hide_a_pixel(window, step):
    model, image = Patch((16, 24), (28, 36)), np.full((48, 48), 100, np.uint8)
    image[16:24, 28:36], image[0:8, 0:8] = 180, 20  # so the mean stays a whole number
    (found,) = occlusion(model, image[None], 1, window=window, step=step)
    assert found == pytest.approx(by_hand(model, image, 1, window, step), abs=1e-5)
    row, column = centre(found)
    assert (row, column) == pytest.approx((19.5, 31.5), abs=0.5)
    assert found[:4].max() == 0
    assert found[18:22, 30:34].min() > 0.04


def test_an_image_is_hidden_by_its_own_mean_in_squares_of_twelve_pixels_four_apart():
    model = Patch((16, 24), (28, 36))
    images = np.stack([np.full((48, 48), level, np.uint8) for level in (60, 200)])
    images[:, 16:24, 28:36], images[:, 0:8, 0:8] = (
        np.array([90, 230]).reshape(2, 1, 1),
        np.array([30, 170]).reshape(2, 1, 1),
    )
    for image, found in zip(images, occlusion(model, images, 1), strict=True):
        assert found == pytest.approx(by_hand(model, image, 1, 12, 4), abs=1e-5)


def test_occlusion_explains_each_image_by_its_own_class():
    model, image = Patch((16, 24), (28, 36)), image_with((16, 28, 255))
    for_one, against = occlusion(model, np.stack([image, image]), np.array([1, 0]))
    assert for_one == pytest.approx(-against, abs=1e-6)
    assert for_one.max() > 0


def test_occlusion_at_once_and_in_many_passes_is_the_same(monkeypatch):
    model = build_model("layers")
    images = np.random.default_rng(0).integers(0, 256, (3, 48, 48), dtype=np.uint8)
    at_once = occlusion(model, images, [0, 3, 6])
    monkeypatch.setattr("ferkit.evaluation.saliency._AT_ONCE", 1)
    assert occlusion(model, images, [0, 3, 6]) == pytest.approx(at_once, abs=1e-6)
    assert np.ptp(at_once) > 0
