"""Sharpness-aware minimisation: the gradient is taken where the loss is worst nearby.

Source: Foret et al., 2021, https://arxiv.org/abs/2010.01412.
"""

import torch
from torch import Tensor, nn


class Sharpness:
    """Moves a network up its gradient and back again."""

    def __init__(self, model: nn.Module, radius: float) -> None:
        """Remember the weights of ``model`` and how far to climb, ``radius`` > 0."""
        self.radius = radius
        self._weights = [weight for weight in model.parameters() if weight.requires_grad]
        self._buffers = list(model.buffers())
        self._moves: list[Tensor] = []
        self._moved: list[Tensor] = []
        self._before: list[Tensor] = []

    @torch.no_grad()
    def climb(self) -> None:
        """Move the weights ``radius`` up their gradient, which is dropped."""
        self._moved = [weight for weight in self._weights if weight.grad is not None]
        gradients = [weight.grad for weight in self._moved if weight.grad is not None]
        length = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        self._moves = [gradient * (self.radius / (length + 1e-12)) for gradient in gradients]
        self._before = [buffer.clone() for buffer in self._buffers]
        torch._foreach_add_(self._moved, self._moves)
        for weight in self._weights:
            weight.grad = None

    @torch.no_grad()
    def descend(self) -> None:
        """Move the weights back, to the last bit but for rounding; their gradient up there stays.

        The statistics of batch norm are put back too: they belong to the weights down here.
        """
        torch._foreach_sub_(self._moved, self._moves)
        for buffer, before in zip(self._buffers, self._before, strict=True):
            buffer.copy_(before)
        self._moves, self._before = [], []
