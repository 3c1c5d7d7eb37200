"""Model 2 of the report: seven unpadded convolutions and three linear layers.

Source: the report, appendix A.2.2 and Figure 10 (1,643,079 parameters).
The text of section 3.2 gives the linear layers batch norm; figure and appendix have none. The figure is built here.

Shape letters: B batch, C channels, H height, W width, K classes.
"""

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from ferkit.labels import NUM_CLASSES
from ferkit.models.registry import register

WIDTHS = (8, 16, 32, 64, 128, 256, 256)
POOL_STRIDES = (1, 1, 1, 1, 2, 2, 2)


class Model2(nn.Module):
    """Blocks of convolution, batch norm, ReLU, dropout and pooling; then three linear layers."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        c_in = 3
        for c_out, stride in zip(WIDTHS, POOL_STRIDES, strict=True):
            blocks += [
                nn.Conv2d(c_in, c_out, 3),
                nn.BatchNorm2d(c_out),
                nn.ReLU(),
                nn.Dropout(dropout),
                nn.MaxPool2d(2, stride),
            ]
            c_in = c_out
        self.features = nn.Sequential(*blocks)
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(c_in * 2 * 2, 512),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(512, 256),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(256, NUM_CLASSES),
        )
        self.log_softmax = nn.LogSoftmax(dim=1)

    def forward(self, x_B3HW: Tensor) -> Tensor:
        """Return log-probabilities ``(B, K)`` float32 for images ``(B, 3, 48, 48)`` in [0, 1]."""
        x_BCHW = self.features(x_B3HW)  # side 48 -> 45 -> 42 -> 39 -> 36 -> 17 -> 7 -> 2
        logits_BK = self.classifier(x_BCHW)
        log_probs_BK: Tensor = self.log_softmax(logits_BK.float())
        return log_probs_BK


@register
def model2(*, dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0) -> nn.Module:
    """Seven unpadded convolutions, three linear layers (Figure 10)."""
    return Model2(dropout)
