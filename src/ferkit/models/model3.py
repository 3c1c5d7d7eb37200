"""Model 3 of the report: nine bias-free convolutions and a 1 x 1 classifier.

Source: the report, section 3.2 and Figure 11 (20,582,432 parameters; doubled widths: 82,309,184).
The appendix speaks of transposed convolutions and a symmetric decoder; the figure has neither, nor skip connections.
The figure is built here: ReLU stands before batch norm, and the fifth convolution is 1 x 1 with padding 1 (24 -> 26).

Shape letters: B batch, C channels, H height, W width, K classes.
"""

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from ferkit.labels import NUM_CLASSES
from ferkit.models.registry import register

WIDTHS = (32, 64, 128, 256, 512, 1024, 1024, 512, 256)


class Model3(nn.Module):
    """A stack of convolutions ending in log-probabilities; also the base of the smaller networks of Table 7."""

    def __init__(self, features: list[nn.Module], width: int) -> None:
        super().__init__()
        self.features = nn.Sequential(*features)
        self.classifier = nn.Conv2d(width, NUM_CLASSES, 1, bias=False)
        self.flatten = nn.Flatten()
        self.log_softmax = nn.LogSoftmax(dim=1)

    def forward(self, x_B3HW: Tensor) -> Tensor:
        """Return log-probabilities ``(B, K)`` float32 for images ``(B, 3, 48, 48)`` in [0, 1]."""
        x_BC11 = self.features(x_B3HW)
        logits_BK = self.flatten(self.classifier(x_BC11))
        log_probs_BK: Tensor = self.log_softmax(logits_BK.float())
        return log_probs_BK


def conv_relu_norm(c_in: int, c_out: int, kernel: int = 3, padding: int = 1) -> list[nn.Module]:
    """Return the block of Figure 11: convolution without bias, ReLU, then batch norm."""
    return [nn.Conv2d(c_in, c_out, kernel, padding=padding, bias=False), nn.ReLU(), nn.BatchNorm2d(c_out)]


@register
def model3(*, width: Annotated[float, Field(gt=0, le=8)] = 1.0) -> nn.Module:
    """Nine bias-free convolutions, 1 x 1 classifier (Figure 11)."""
    w = [max(1, round(c * width)) for c in WIDTHS]
    features = [
        *conv_relu_norm(3, w[0]),
        *conv_relu_norm(w[0], w[1]),
        nn.MaxPool2d(2),  # 48 -> 24
        *conv_relu_norm(w[1], w[2]),
        *conv_relu_norm(w[2], w[3]),
        *conv_relu_norm(w[3], w[4], kernel=1),  # 24 -> 26
        nn.MaxPool2d(2),  # 26 -> 13
        *conv_relu_norm(w[4], w[5]),
        *conv_relu_norm(w[5], w[6]),
        nn.MaxPool2d(2),  # 13 -> 6
        *conv_relu_norm(w[6], w[7]),
        *conv_relu_norm(w[7], w[8], padding=0),  # 6 -> 4
        nn.AvgPool2d(4),
    ]
    return Model3(features, w[-1])
