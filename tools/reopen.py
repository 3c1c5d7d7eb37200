"""An exported `compact` network back into a run folder, so that training can go on from it and learn from it.

Run:      python tools/reopen.py FILE.onnx --data fer2013.csv --out runs/reopened
          ferkit train --recipe compact-2 --data fer2013.csv --init runs/reopened --teacher runs/reopened --out runs/on
Expected: the printed accuracy on PublicTest is that of the file's card, to a few tenths: the file's weights are 8-bit
          integers with the batch norms folded in, its activations are 8-bit too, those of the run folder are not.

A batch norm is put back behind each convolution: with the mean and variance its input has on Training faces, and the
scale and shift that undo them, so the network as a whole stays the function it was. The folder goes by the name of the
network the file was exported from, so runs that begin with it or learn from it find their row. What its result says of
the validation split is measured here; the test split, which was read for the file's card, is left alone. `ferkit
evaluate`, `export` and `explain` read it; it has no page and no place in a table.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from ferkit.data import Split, read_fer2013
from ferkit.errors import FerkitError, ModelError
from ferkit.evaluation import network_input
from ferkit.files import write_json
from ferkit.inference.session import Session
from ferkit.models import build_model
from ferkit.models.one_plane import PooledConv
from ferkit.training.checkpoint import save_weights
from ferkit.training.evaluate import evaluate_splits
from ferkit.training.folder import RunFolder
from ferkit.training.recipe import make_recipe
from ferkit.training.recipe_text import with_settings
from ferkit.training.result import SCHEMA

FACES = 4096
"""Training faces that give the batch norms their means and variances."""

Layer = tuple[NDArray[np.float32], NDArray[np.float32]]


def read_layers(file: Path) -> dict[str, Layer]:
    """Return weight and bias, as float32, of every convolution and linear layer, by the name of its weight."""
    graph = onnx.load(str(file)).graph
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in values:
            whole, scale = values[node.input[0]], values[node.input[1]]
            shape = (-1,) + (1,) * (whole.ndim - 1)
            values[node.output[0]] = whole.astype(np.float32) * (scale.reshape(shape) if scale.ndim else scale)
    layers = [node for node in graph.node if node.op_type in {"Conv", "Gemm"}]
    return {node.input[1]: (values[node.input[1]], values[node.input[2]]) for node in layers}


def restore(model: nn.Module, layers: dict[str, Layer], faces_NHW: Tensor) -> None:
    """Give ``model`` the weights of ``layers``, which have no batch norms of their own."""
    left = dict(layers)
    norms = [name for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)]
    for name in norms:
        parent, _, place = name.rpartition(".")
        conv = model.get_submodule(f"{parent}.{int(place) - 1}")
        assert isinstance(conv, nn.Conv2d)
        weight, bias = _taken(left, f"{parent}.{int(place) - 1}.weight", conv)
        norm: Any = model.get_submodule(name)
        conv.weight.data.copy_(weight.sum((2, 3), keepdim=True) if isinstance(conv, PooledConv) else weight)
        norm.bias.data.copy_(bias)
        norm.running_var.fill_(1 - norm.eps)
    classifier = model.get_submodule("classifier")
    assert isinstance(classifier, nn.Linear)
    weight, bias = _taken(left, "classifier.weight", classifier)
    classifier.weight.data.copy_(weight)
    classifier.bias.data.copy_(bias)
    assert not left, f"layers without a place: {sorted(left)}"
    _normalise(model, [model.get_submodule(name) for name in norms], faces_NHW)


def _taken(left: dict[str, Layer], name: str, module: nn.Conv2d | nn.Linear) -> tuple[Tensor, Tensor]:
    """Remove and return the layer of this name, else the only one of the module's shape that has none."""
    c_out, c_in, *_ = module.weight.shape
    pooled = [key for key, (layer, _) in left.items() if layer.shape[:2] == (c_out, c_in) and layer.shape[2:] <= (2, 2)]
    found = [key for key in left if name in key] or (pooled if isinstance(module, PooledConv) else [])
    if len(found) != 1:
        raise SystemExit(f"expected one layer for {name} in the file, got {len(found)}: only `compact` can be reopened")
    weight, bias = left.pop(found[0])
    return torch.tensor(weight), torch.tensor(bias)


@torch.inference_mode()
def _normalise(model: nn.Module, norms: list[Any], faces_NHW: Tensor) -> None:
    seen: dict[int, Tensor] = {}

    def look(module: nn.Module, inputs: tuple[Tensor]) -> None:
        seen[id(module)] = inputs[0].transpose(0, 1).flatten(1).double()

    handles = [norm.register_forward_pre_hook(look) for norm in norms]
    model.eval()(network_input(faces_NHW, 1))
    for norm, handle in zip(norms, handles, strict=True):
        handle.remove()
        var, mean = torch.var_mean(seen[id(norm)], dim=1)
        norm.bias.add_(mean)
        norm.weight.copy_((var + norm.eps).sqrt())
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(var)


def main() -> None:
    """Read the file, write the run folder, print what it reads of PublicTest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[], help="a setting that has another default since")
    args = parser.parse_args()
    data = read_fer2013(args.data)
    card = Session(args.file).card
    if card.recipe.get("model") != "compact":
        raise ModelError(f"{args.file}: expected a compact network, got {card.recipe.get('model', 'one of no recipe')}")
    recipe = with_settings(make_recipe(card.recipe), args.set)
    model = build_model(recipe.model, **recipe.options)
    some = np.sort(np.random.default_rng(0).permutation(len(data.split(Split.TRAINING)))[:FACES])
    restore(model, read_layers(args.file), torch.tensor(data.split(Split.TRAINING).images[some]))
    folder = RunFolder(args.out)
    folder.check(recipe, resume=False)
    folder.prepare(recipe)
    save_weights(folder.weights, model, {"recipe": recipe.to_dict(), "epoch": 0})
    evaluation, log_probs = evaluate_splits(model, recipe, data.without(recipe.protocol.test))
    folder.write_predictions(log_probs)
    result = {
        "schema": SCHEMA,
        "reopened": True,
        "key": recipe.key(),
        "seed": recipe.seed,
        "protocol": recipe.protocol.value,
        "recipe": recipe.to_dict(),
        "parameters": card.parameters,
        "evaluation": evaluation,
        "data": {"md5": data.md5, "training": len(data.split(Split.TRAINING))},
        "weights_sha256": card.weights_sha256,
    }
    write_json(folder.result, result)
    accuracy = evaluation["validation"]["accuracy"]
    carded = card.metrics[recipe.protocol.validation.value]["accuracy"]
    print(f"{args.out}: {accuracy:.2%} of {recipe.protocol.validation}, {carded:.2%} according to the card")


if __name__ == "__main__":
    try:
        main()
    except FerkitError as error:
        sys.exit(f"error: {error}")
