"""The gradients of one batch: what the network sees, what it should say, how far off it is.

Shape letters: B batch, H height, W width, K classes.
"""

from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from ferkit.evaluation.score import network_input
from ferkit.training.batches import Batch
from ferkit.training.convolutions import quick_convolutions
from ferkit.training.losses import build_criterion, soft_cross_entropy
from ferkit.training.mixing import Mix
from ferkit.training.recipe import Recipe

if TYPE_CHECKING:
    from ferkit.training.recorded import Recorded


class Descent:
    """Replaces the gradients of a network by those of a batch.

    On one GPU a batch of the usual size is recorded and then launched as a whole (:mod:`ferkit.training.recorded`).
    Nobody else should drop the gradients between a call and the step of the optimizer.
    """

    def __init__(
        self,
        fabric: Fabric,
        model: nn.Module,
        recipe: Recipe,
        teachers: nn.Module | None,
        record: int = 0,
        *,
        quick: bool = True,
    ) -> None:
        """Remember what a batch needs.

        Args:
            fabric: The run's.
            model: The network, as Fabric set it up.
            recipe: The run's settings.
            teachers: Asked about every batch, if any.
            record: Faces of the batches to record, on a GPU; 0 to record none.
            quick: Compute convolutions as :mod:`ferkit.training.convolutions` does where that is quicker; not of a
                network that torch.compile takes apart.
        """
        self.fabric, self.model, self.recipe, self.teachers = fabric, model, recipe, teachers
        self.criterion = build_criterion(recipe)
        self._quickly = quick_convolutions(model, fabric.device) if quick else nullcontext()
        self._weights = [weight for weight in model.parameters() if weight.requires_grad]
        self._faces = record
        self._fixed: Batch | None = None
        self._share = torch.ones((), device=fabric.device)
        self._recorded: Recorded[tuple[Tensor, Tensor]] | None = None
        self._gradients: list[Tensor | None] = []
        self._told = False
        self._seen: tuple[Batch, tuple[Tensor, Tensor | None]] | None = None

    def __call__(self, batch: Batch, mix: Mix, seed: int) -> tuple[Tensor, Tensor]:
        """Return loss and log-probabilities ``(B, K)`` of ``batch``, whose gradients the weights have now.

        Args:
            batch: Faces with their labels, and what teachers said of them before the run.
            mix: How they are mixed.
            seed: Of the network's own randomness.
        """
        torch.manual_seed(seed)
        if len(batch.labels) != self._faces or mix.box is not None:
            return self.gradients(batch, mix)
        return self._steadily(batch, mix)

    def new_problem(self) -> str:
        """Return why batches could not be recorded, once; empty if nothing failed."""
        if self._recorded is None or not self._recorded.problem or self._told:
            return ""
        self._told = True
        return self._recorded.problem

    def gradients(self, batch: Batch, mix: Mix) -> tuple[Tensor, Tensor]:
        """Do what a call does, kernel by kernel."""
        for weight in self._weights:
            weight.grad = None
        if self._seen is None or self._seen[0] is not batch:
            self._seen = batch, self._input(batch, mix)
        x_B3HW, said_BK = self._seen[1]
        if self.recipe.sam == 0:  # which alone asks again about the same batch
            self._seen = None
        with self._quickly:
            log_probs_BK = self.model(x_B3HW)
        loss = mix.loss(self.criterion, log_probs_BK, batch.labels)
        if said_BK is not None:
            loss = loss.lerp(soft_cross_entropy(log_probs_BK, said_BK), self.recipe.distill)
        if batch.taught is not None:
            loss = loss.lerp(mix.loss(soft_cross_entropy, log_probs_BK, batch.taught), self.recipe.distill)
        # Processes average their gradients; this weight makes it the mean over the faces of the whole batch.
        self.fabric.backward(loss * (len(batch.labels) * self.fabric.world_size / batch.total))
        return loss.detach(), log_probs_BK.detach()

    def _steadily(self, batch: Batch, mix: Mix) -> tuple[Tensor, Tensor]:
        """Do what a call does, in the same memory every time."""
        if self._fixed is None:
            from ferkit.training.recorded import Recorded

            taught = None if batch.taught is None else batch.taught.clone()
            self._fixed = Batch(batch.images.clone(), batch.labels.clone(), batch.total, taught)
            self._recorded = Recorded()
        assert self._recorded is not None
        self._fixed.images.copy_(batch.images)
        self._fixed.labels.copy_(batch.labels)
        if self._fixed.taught is not None and batch.taught is not None:
            self._fixed.taught.copy_(batch.taught)
        self._share.fill_(mix.share)
        for weight, gradient in zip(self._weights, self._gradients, strict=False):
            weight.grad = gradient  # a batch of another size may have been between
        fixed, how = self._fixed, Mix(self._share) if self.recipe.mixup > 0 else Mix(1.0)
        loss, log_probs_BK = self._recorded(lambda: self.gradients(fixed, how))
        if self._recorded.ready and not self._gradients:
            self._gradients = [weight.grad for weight in self._weights]
        return loss.clone(), log_probs_BK  # the loss is looked at later, when it will have been written over

    @torch.no_grad()
    def _input(self, batch: Batch, mix: Mix) -> tuple[Tensor, Tensor | None]:
        """Return what the network sees of a batch, and what teachers, if any, say of that: ``(B, K)``."""
        x_B3HW = mix.faces(network_input(batch.images))
        if self.teachers is None:
            return x_B3HW, None
        with self.fabric.autocast():
            return x_B3HW, self.teachers(x_B3HW)
