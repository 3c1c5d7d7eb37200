"""A network over faces, in batches."""

import numpy as np
import pytest
import torch
from torch import nn

from ferkit.evaluation import predict, score
from ferkit.models import build_model


class FirstPixel(nn.Module):
    """Repeats the first pixel of each face seven times, and remembers what it was asked."""

    def __init__(self):
        super().__init__()
        self.sizes = []
        self.gradients = []

    def forward(self, x):
        self.sizes.append(len(x))
        self.gradients.append(torch.is_grad_enabled())
        return x[:, :1, 0, 0].expand(-1, 7)


def some_images(n):
    images = np.zeros((n, 48, 48), np.uint8)
    images[:, 0, 0] = np.arange(n)
    return images


@pytest.mark.parametrize(
    ("faces", "sizes"),
    [
        pytest.param(1, [1], id="one face"),
        pytest.param(4, [4], id="one full batch"),
        pytest.param(10, [4, 4, 2], id="a smaller last batch"),
    ],
)
def test_every_face_is_predicted_once_in_order(monkeypatch, faces, sizes):
    monkeypatch.setattr(score, "BATCH", 4)
    model = FirstPixel()
    log_probs = predict(model, some_images(faces))
    assert model.sizes == sizes
    np.testing.assert_array_equal(log_probs, np.repeat(np.arange(faces, dtype=np.float32)[:, None] / 255, 7, axis=1))


def test_the_size_of_the_batches_does_not_change_results(monkeypatch):
    torch.manual_seed(0)
    model = build_model("model1", widths=(2, 3, 4, 5), kernel=3, dropout=0.5)
    images = np.random.default_rng(0).integers(0, 256, (10, 48, 48), dtype=np.uint8)
    whole = predict(model, images)
    monkeypatch.setattr(score, "BATCH", 3)
    np.testing.assert_allclose(predict(model, images), whole, rtol=1e-5)
    assert whole.std(axis=0).min() > 0


def test_the_network_is_left_in_evaluation_mode_and_unchanged():
    model = build_model("model1", widths=(2, 3, 4, 5), kernel=3, dropout=0.5)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    predict(model, some_images(5))
    assert not any(module.training for module in model.modules())
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)


def test_prediction_keeps_no_gradients():
    model = FirstPixel()
    predict(model, some_images(3))
    assert model.gradients == [False]


def test_results_are_float32_whatever_the_network_computes_in():
    class Half(FirstPixel):
        def forward(self, x):
            return super().forward(x).bfloat16()

    assert predict(Half(), some_images(2)).dtype == np.float32
