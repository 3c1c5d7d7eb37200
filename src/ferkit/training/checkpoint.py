"""Saves and restores a run in progress, whole or not at all.

A checkpoint holds plain values and tensors only and is loaded with ``weights_only=True``: reading one runs no code.
"""

import io
import json
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from ferkit.errors import RunError, TrainingError, UntrainableError
from ferkit.files import write_bytes
from ferkit.training.loop import reduced
from ferkit.training.state import Epoch, TrainState

SCHEMA = 1


def snapshot(fabric: Fabric, state: TrainState, identity: dict[str, Any]) -> dict[str, Any]:
    """Return all of ``state``; every process must call it.

    Args:
        fabric: The run's.
        state: At rest: between two batches.
        identity: What a run that goes on with it must share; see :func:`restore`.

    Raises:
        UntrainableError: The last batches broke the weights, which their losses do not show; from such a checkpoint no
            run could go on.
    """
    networks = (state.model, state.average) if state.average else (state.model,)
    if not all(bool(tensor.isfinite().all()) for network in networks for tensor in network.state_dict().values()):
        raise UntrainableError(
            f"weights are not finite after batch {state.step} of epoch {state.epoch + 1}, learning rate "
            f"{state.lr:.3g}; training stopped; a smaller lr may help"
        )
    counts = reduced(fabric, state.counts)
    return {
        "schema": SCHEMA,
        "identity": identity,
        "epoch": state.epoch,
        "step": state.step,
        "seconds": state.seconds,
        "threads": torch.get_num_threads(),
        "lr": state.lr,
        "history": [epoch.to_dict() for epoch in state.history],
        "loss_sum": counts.loss_sum,
        "confusion": counts.confusion,
        "model": state.model.state_dict(),
        "average": state.average.state_dict() if state.average else None,
        "optimizer": state.optimizer.state_dict(),
        "scheduler": state.scheduler.state_dict() if state.scheduler else None,
    }


def save(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint.

    Raises:
        TrainingError: The disk is full or cannot be written to; the file that was there before, if any, is intact.
    """
    buffer = io.BytesIO()  # torch hides the reason of a failed write; plain Python says it
    torch.save(content, buffer)
    try:
        with buffer.getbuffer() as view:  # an error would hold it, and Python 3.12.1 crashes on collecting that
            write_bytes(path, view)
    except OSError as error:
        raise TrainingError(f"could not write {path}: {error.strerror or error}") from None


def load(path: Path, helps: str = "delete it, and the run starts again from its beginning") -> dict[str, Any]:
    """Return the content of a checkpoint, or of the weights of an epoch, on the CPU.

    Args:
        path: The file.
        helps: What helps where it is missing or damaged, for the message.

    Raises:
        RunError: The file is missing, damaged or of another release of ferkit.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise RunError(f"{path}: no such checkpoint; {helps}") from None
    except Exception as error:  # torch raises many kinds here
        problem = f"not a checkpoint that can be read ({type(error).__name__})"
        raise RunError(f"{path}: {problem}; {helps}") from None
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise RunError(f"{path}: expected a checkpoint of schema {SCHEMA}, got another one")
    return content


def load_state(path: Path) -> dict[str, Any]:
    """Return the content of a checkpoint to go on from, on the CPU.

    Raises:
        RunError: As :func:`load` does; or these are the weights of an epoch alone.
    """
    content = load(path)
    if "identity" not in content:
        raise RunError(
            f"{path}: expected a checkpoint to go on from, got the weights of an epoch alone; delete it, and the run "
            "starts again from its beginning"
        )
    return content


def restore(content: dict[str, Any], state: TrainState, identity: dict[str, Any], path: Path, rank: int = 0) -> None:
    """Put the content of a checkpoint into ``state``, and set as many processor threads: sums depend on them.

    Args:
        content: Of :func:`load_state`.
        state: Fresh, for the same recipe.
        identity: Must equal that of the checkpoint.
        path: Where it was read, for messages.
        rank: Of this process; the first one carries the counts so far.

    Raises:
        RunError: It belongs to another run; the message says what differs.
    """
    before = content["identity"]
    for name, value in identity.items():
        if before.get(name) != value:
            raise RunError(f"{path}: cannot go on: {name} was {before.get(name)!r}, is now {value!r}")
    try:
        state.model.load_state_dict(content["model"])
    except RuntimeError as error:  # torch's way to say that names or shapes differ
        problem = str(error).partition("\n")[2].partition("\n")[0].strip()
        raise RunError(f"{path}: cannot go on: this version's network has other layers ({problem})") from None
    if state.average:
        state.average.load_state_dict(content["average"])
    state.optimizer.load_state_dict(content["optimizer"])
    if state.scheduler:
        state.scheduler.load_state_dict(content["scheduler"])
    if state.counts.device.type == "cpu":
        torch.set_num_threads(content["threads"])
    for name in ("epoch", "step", "seconds", "lr"):
        setattr(state, name, content[name])
    state.history = [Epoch.from_dict(values) for values in content["history"]]
    if rank == 0:
        state.counts.loss_sum.copy_(content["loss_sum"])
        state.counts.confusion.copy_(content["confusion"])


def kept_weights(content: dict[str, Any]) -> dict[str, Any]:
    """Return the weights a checkpoint would be evaluated with: the average where there is one."""
    average = content.get("average")
    if average is None:
        weights: dict[str, Any] = content["model"]
        return weights
    return {name.removeprefix("module."): value for name, value in average.items() if name != "n_averaged"}


def save_weights(path: Path, model: nn.Module, metadata: dict[str, Any]) -> None:
    """Write the weights alone, as safetensors.

    Args:
        path: Where to.
        model: Its parameters and buffers are written in the layout PyTorch documents, on the CPU.
        metadata: Plain values the file carries, as JSON under the one key ``ferkit``: safetensors writes several keys
            in no fixed order, and equal weights should be equal files.

    Raises:
        TrainingError: The disk is full or cannot be written to.
    """
    from safetensors.torch import save as to_bytes

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    try:
        write_bytes(path, to_bytes(tensors, {"ferkit": json.dumps(metadata)}))
    except OSError as error:
        raise TrainingError(f"could not write {path}: {error.strerror or error}") from None
