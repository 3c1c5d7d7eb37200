"""A network whose channels differ, as after training."""

import torch
from torch import nn

from ferkit.models import build_model


def uneven_network(name: str, **options) -> nn.Module:
    """Return a network drawn from seed 0 with norms as training leaves them, in evaluation mode."""
    torch.manual_seed(0)
    model = build_model(name, **options)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, std=0.3)
            nn.init.uniform_(layer.running_var, 0.5, 2.0)
            nn.init.normal_(layer.running_mean, std=0.1)
    return model.eval()
