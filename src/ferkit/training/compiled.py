"""Training with the network compiled by torch.compile, where that pays.

Compiling takes minutes and changes no result but the last bits. It pays by what it takes off every batch: launching
kernels, and passes over memory between convolutions. The convolutions themselves it leaves to cuDNN, and they are
nearly all of the work of the larger networks; so only long runs get back what compiling costs.
"""

import os
import shutil
import time
from dataclasses import dataclass

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from ferkit.data.faces import SIDE
from ferkit.errors import UnknownNameError
from ferkit.evaluation.score import network_input

CHOICES = ("auto", "on", "off")
"""When to compile."""

PAYS_FROM = 2e17
"""FLOPs still to be done on a GPU from which ``auto`` compiles: ten minutes and more of a large one."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """The network was compiled, or could not be; or its batches could not be recorded."""

    seconds: float
    problem: str = ""
    """Why it could not be; empty if it was."""
    by: str = "torch.compile"
    """What did it, or failed."""

    def __str__(self) -> str:
        if self.problem:
            return f"{self.by} failed, training goes on without it: {self.problem}"
        return f"compiled in {self.seconds:.1f} s"


def check_choice(asked: str) -> None:
    """Raise an UnknownNameError unless ``asked`` is one of :data:`CHOICES`."""
    if asked not in CHOICES:
        raise UnknownNameError("choice of --compile", asked, CHOICES)


def choose_compile(asked: str, device: str, flops: float) -> tuple[bool, str]:
    """Return whether to compile, and why or why not.

    Args:
        asked: One of :data:`CHOICES`; ``auto`` compiles on a GPU from :data:`PAYS_FROM` on.
        device: ``cpu`` or ``cuda``.
        flops: Floating-point operations of this process until the end of the run.
    """
    if asked == "off":
        return False, "as asked"
    if asked == "auto" and device == "cpu":
        return False, "on a CPU"
    if asked == "auto" and flops < PAYS_FROM:
        return False, "too short a run for it to pay"
    missing = _missing(device)
    if missing:
        return False, f"torch.compile needs {missing}, which is not here"
    return True, "as asked" if asked == "on" else "a long run"


class SteadyBatches(nn.Module):
    """A network that is compiled for training batches of one size; all other calls run it as it is.

    So neither the smaller last batch of an epoch nor validation compiles it anew.
    """

    def __init__(self, model: nn.Module, faces: int, mode: str = "default") -> None:
        super().__init__()
        self.model = model
        self.faces = faces
        self.mode = mode
        self.ready = False

    def forward(self, x_B3HW: Tensor) -> Tensor:
        """Return what the network does."""
        if self.ready and self.training and len(x_B3HW) == self.faces:
            log_probs_BK: Tensor = self.model(x_B3HW)
        else:
            log_probs_BK = self.model.forward(x_B3HW)
        return log_probs_BK

    def warm_up(self, fabric: Fabric, wrapped: nn.Module) -> Compiled:
        """Compile forward and backward pass on a black batch, and leave weights, statistics and gradients as they were.

        Args:
            fabric: The run's.
            wrapped: This module as Fabric set it up.
        """
        kept = {name: value.clone() for name, value in self.model.named_buffers()}
        began, problem = time.perf_counter(), ""
        self.ready = True
        wrapped.train()
        try:
            self.model.compile(mode=self.mode, dynamic=False)
            black = torch.zeros(self.faces, SIDE, SIDE, dtype=torch.uint8, device=fabric.device)
            fabric.backward(wrapped(network_input(black)).sum())
        except Exception as error:  # torch.compile raises many kinds, and none is worth the run
            problem = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
            self.ready = False
        with torch.no_grad():
            for name, value in self.model.named_buffers():
                value.copy_(kept[name])
        self.model.zero_grad()
        return Compiled(time.perf_counter() - began, problem)


def _missing(device: str) -> str:
    """Return what torch.compile lacks on this machine; empty if nothing."""
    if device == "cuda":
        from torch.utils._triton import has_triton

        if not has_triton():
            return "triton and a GPU it supports"
        wanted = [os.environ["CC"]] if os.environ.get("CC") else ["gcc", "cc", "clang"]
        return "" if any(map(shutil.which, wanted)) else f"a C compiler ({' or '.join(wanted)})"
    wanted = [os.environ["CXX"]] if os.environ.get("CXX") else ["g++", "clang++"]
    return "" if any(map(shutil.which, wanted)) else f"a C++ compiler ({' or '.join(wanted)})"
