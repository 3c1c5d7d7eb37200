"""Muon: momentum, made orthogonal, for the matrices of a network.

Source: Jordan et al., 2024, https://kellerjordan.github.io/posts/muon/; the factor that makes one rate do for all
shapes: Liu et al., 2025, https://arxiv.org/abs/2502.16982. PyTorch's own takes matrices only; here a convolution counts
as the matrix of its filters, ``(C', C * h * w)``.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic iteration; it brings singular values near 1, not to it."""

STEPS = 5

NOTHING = 1e-25
"""Momentum below it is 0. That of filters which get no gradient any more would soon be smaller than float32 can say
exactly, and processors are many times slower with such numbers."""


class Muon(torch.optim.Optimizer):
    """Orthogonalised updates for convolutions; SGD with Nesterov's momentum for the rest: biases, norms, linear layers.

    An update of a convolution has entries of about 0.2 times the rate, whatever its shape and its gradients' size;
    weight decay is decoupled there.
    """

    def __init__(self, params: Iterable[nn.Parameter], lr: float, weight_decay: float, momentum: float) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient; a closure is not called.

        What can be done to many weights at once is: on a GPU every operation is launched by the host, which may take
        longer than the GPU needs for it.
        """
        del closure
        for group in self.param_groups:
            lr, decay, momentum = group["lr"], group["weight_decay"], group["momentum"]
            kinds: dict[torch.Size | None, list[tuple[Tensor, Tensor]]] = defaultdict(list)
            for weight in group["params"]:
                if weight.grad is not None:
                    kinds[weight.shape if weight.ndim == 4 else None].append((weight, weight.grad))
            for shape, pairs in kinds.items():
                weights, gradients = ([pair[place] for pair in pairs] for place in (0, 1))
                if shape is None:
                    decayed = torch._foreach_add(gradients, weights, alpha=decay)
                    updates = self._with_momentum(weights, decayed, momentum)
                else:
                    torch._foreach_mul_(weights, 1 - lr * decay)
                    moving = torch.stack(self._with_momentum(weights, gradients, momentum)).flatten(2)
                    moving = orthogonal(moving) * (0.2 * max(moving.shape[1:]) ** 0.5)
                    updates = moving.view(-1, *shape).unbind()
                torch._foreach_add_(weights, updates, alpha=-lr)

    def _with_momentum(
        self, weights: Sequence[Tensor], gradients: Sequence[Tensor], momentum: float
    ) -> tuple[Tensor, ...]:
        """Return what Nesterov's momentum makes of the gradients, and remember them."""
        for weight in weights:
            if "momentum_buffer" not in self.state[weight]:
                self.state[weight]["momentum_buffer"] = torch.zeros_like(weight)
        gathered = [self.state[weight]["momentum_buffer"] for weight in weights]
        torch._foreach_mul_(gathered, momentum)
        torch._foreach_add_(gathered, list(gradients))
        for each in gathered:
            if not each.is_cuda:  # a GPU is no slower with small numbers
                torch.hardshrink(each, NOTHING, out=each)
        return torch._foreach_add(list(gradients), gathered, alpha=momentum)


def orthogonal(matrix: Tensor) -> Tensor:
    """Return a matrix with its singular values brought near 1, by Newton and Schulz's iteration; or each of a batch.

    In float32 the iteration runs on the Gram matrix, which is small where a matrix is wide, as those of convolutions
    are; all its factors are polynomials of it and commute. That does not bear the rounding of bf16.

    Args:
        matrix: ``(..., R, C)``; on a GPU computed in bf16.
    """
    x = matrix.to(torch.bfloat16) if matrix.is_cuda else matrix.float()
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / (torch.linalg.vector_norm(x, dim=(-2, -1), keepdim=True) + 1e-7)
    if matrix.is_cuda:
        for _ in range(STEPS):
            x = _factor(x @ x.mT) @ x
    else:
        gram = x @ x.mT
        product = factor = _factor(gram)
        for _ in range(STEPS - 1):
            gram = factor @ gram @ factor
            factor = _factor(gram)
            product = factor @ product
        x = product @ x
    found: Tensor = (x.mT if tall else x).to(matrix.dtype)
    return found


def _factor(gram: Tensor) -> Tensor:
    """Return what a step multiplies a matrix by whose Gram matrix is ``gram``."""
    a, b, c = COEFFICIENTS
    squared = torch.baddbmm if gram.ndim == 3 else torch.addmm
    factor = squared(gram, gram, gram, beta=b, alpha=c)
    factor.diagonal(dim1=-2, dim2=-1).add_(a)
    return factor
