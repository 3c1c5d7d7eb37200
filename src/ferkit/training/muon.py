"""Muon: momentum, made orthogonal, for the matrices of a network.

Source: Jordan et al., 2024, https://kellerjordan.github.io/posts/muon/; the factor that makes one rate do for all
shapes: Liu et al., 2025, https://arxiv.org/abs/2502.16982. PyTorch's own takes matrices only; here a convolution counts
as the matrix of its filters, ``(C', C * h * w)``.
"""

from collections.abc import Callable, Iterable
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
        """Update every parameter that has a gradient; a closure is not called."""
        del closure
        for group in self.param_groups:
            lr, decay, momentum = group["lr"], group["weight_decay"], group["momentum"]
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                gradient = weight.grad if weight.ndim == 4 else weight.grad.add(weight, alpha=decay)
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(weight)
                gathered = state["momentum_buffer"].mul_(momentum).add_(gradient)
                torch.hardshrink(gathered, NOTHING, out=gathered)
                update = gradient.add(gathered, alpha=momentum)
                if weight.ndim == 4:
                    weight.mul_(1 - lr * decay)
                    update = orthogonal(update.flatten(1)).view(weight.shape)
                    update *= 0.2 * max(update.flatten(1).shape) ** 0.5
                weight.add_(update, alpha=-lr)


def orthogonal(matrix: Tensor) -> Tensor:
    """Return the matrix with its singular values brought near 1, by Newton and Schulz's iteration.

    In float32 the iteration runs on the Gram matrix, which is small where a matrix is wide, as those of convolutions
    are; all its factors are polynomials of it and commute. That does not bear the rounding of bf16.

    Args:
        matrix: ``(R, C)``; on a GPU computed in bf16.
    """
    x = matrix.to(torch.bfloat16) if matrix.is_cuda else matrix.float()
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (x.norm() + 1e-7)
    if matrix.is_cuda:
        for _ in range(STEPS):
            x = _factor(x @ x.T) @ x
    else:
        gram = x @ x.T
        product = factor = _factor(gram)
        for _ in range(STEPS - 1):
            gram = factor @ gram @ factor
            factor = _factor(gram)
            product = factor @ product
        x = product @ x
    found: Tensor = (x.T if tall else x).to(matrix.dtype)
    return found


def _factor(gram: Tensor) -> Tensor:
    """Return what a step multiplies a matrix by whose Gram matrix is ``gram``."""
    a, b, c = COEFFICIENTS
    factor = torch.addmm(gram, gram, gram, beta=b, alpha=c)
    factor.diagonal().add_(a)
    return factor
