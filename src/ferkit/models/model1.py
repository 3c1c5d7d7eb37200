"""Model 1 of the report: four convolutions and one hidden layer.

Source: the report, section 3.1 and Figure 9 (widths 32-64-128-256, kernel 5: 1,669,511 parameters).
The text says that the second block has no pooling; the figure shows that it is the third. The figure is built here.

Shape letters: B batch, C channels, H height, W width, D features, K classes.
"""

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from ferkit.labels import NUM_CLASSES
from ferkit.models.registry import register

Width = Annotated[int, Field(ge=1)]

HIDDEN = 64
"""Features of the hidden linear layer."""


class Model1(nn.Module):
    """Blocks of convolution, batch norm and ReLU; then a linear classifier."""

    def __init__(self, widths: tuple[int, int, int, int], kernel: int, dropout: float) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        c_in = 3
        for index, c_out in enumerate(widths):
            blocks += [nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2), nn.BatchNorm2d(c_out), nn.ReLU()]
            if index != 2:
                blocks.append(nn.MaxPool2d(2))
            c_in = c_out
        self.features = nn.Sequential(*blocks)
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(c_in * 6 * 6, HIDDEN),
            nn.BatchNorm1d(HIDDEN),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(HIDDEN, NUM_CLASSES),
        )
        self.log_softmax = nn.LogSoftmax(dim=1)

    def forward(self, x_B3HW: Tensor) -> Tensor:
        """Return log-probabilities ``(B, K)`` float32 for images ``(B, 3, 48, 48)`` in [0, 1]."""
        x_BCHW = self.features(x_B3HW)  # side 48 -> 24 -> 12 -> 12 -> 6
        logits_BK = self.classifier(x_BCHW)
        log_probs_BK: Tensor = self.log_softmax(logits_BK.float())
        return log_probs_BK


@register
def model1(
    *,
    widths: tuple[Width, Width, Width, Width] = (32, 64, 128, 256),
    kernel: Literal[3, 5] = 5,
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1,
) -> nn.Module:
    """Four convolutions with batch norm, one hidden layer (Figure 9)."""
    return Model1(widths, kernel, dropout)
