"""The smaller networks of Table 7: Model 3 cut down to 4, 5, 6 or 7 layers.

Source: the report, appendix A.3, Table 7, which gives only the number of layers and the largest width.
The reading is ours: 4/32, 5/64, 6/128 and 7/256 fit widths 8, 16, 32, ... doubling up to the largest, plus the 1 x 1
convolution to the classes as the last layer. Blocks, pooling (after the second and the fifth convolution) and the
1 x 1 fifth convolution are those of Figure 11; what is left of the picture is averaged, as there.
The table's "10 layers, 2048" is ``model3(width=2)``.
"""

from typing import Literal

from torch import nn

from ferkit.models.model3 import Model3, conv_relu_norm
from ferkit.models.registry import register

SIDES = {4: 24, 5: 24, 6: 13, 7: 13}
"""Pixels a side that are left for the average, by number of layers."""


@register
def layers(*, depth: Literal[4, 5, 6, 7] = 4) -> nn.Module:
    """Three to six narrow convolutions in the manner of Model 3 (Table 7)."""
    features: list[nn.Module] = []
    c_in = 3
    for number in range(1, depth):
        c_out = 4 * 2**number
        features += conv_relu_norm(c_in, c_out, kernel=1 if number == 5 else 3)
        if number in (2, 5):
            features.append(nn.MaxPool2d(2))  # 48 -> 24, 26 -> 13
        c_in = c_out
    features.append(nn.AvgPool2d(SIDES[depth]))
    return Model3(features, c_in)
