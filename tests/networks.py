"""A network made on the spot: the brighter a face, the higher the number of its class."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ferkit.inference.weights import CARD_KEY, ModelCard
from ferkit.labels import EXPRESSIONS


def make_card(**changes) -> ModelCard:
    """Return the card of such a network."""
    measured = {"faces": 10, "accuracy": 0.5, "interval": (0.4, 0.6), "calibration_error": 0.1}
    values = {
        "name": "brightness",
        "classes": EXPRESSIONS,
        "input": "faces: uint8 (N, 48, 48), grey levels 0 to 255",
        "temperature": 1.0,
        "mirror": False,
        "int8": False,
        "parameters": 7,
        "protocol": "standard",
        "recipe": {"lr": 0.1, "epochs": 2},
        "metrics": {"PublicTest": {**measured, "without_copies": measured}},
        "weights_sha256": "0" * 64,
        "ferkit": "0.1.0",
        "created": "2026-01-01T00:00:00+00:00",
    }
    return ModelCard(**{**values, **changes})


def write_network(path: Path, card: ModelCard | None = None, *, with_card: bool = True) -> Path:
    """Write the network: grey level 255 k / 6 is class k."""
    constants = {
        "axes": np.array([1, 2], np.int64),
        "step": np.array(6 / 255, np.float32),
        "classes": np.arange(7, dtype=np.float32),
        "sharpness": np.array(-3, np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["faces"], ["levels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["levels", "axes"], ["mean"], keepdims=0),
        helper.make_node("Unsqueeze", ["mean", "last"], ["column"]),
        helper.make_node("Mul", ["column", "step"], ["place"]),
        helper.make_node("Sub", ["place", "classes"], ["away"]),
        helper.make_node("Mul", ["away", "away"], ["square"]),
        helper.make_node("Mul", ["square", "sharpness"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    constants["last"] = np.array([1], np.int64)
    graph = helper.make_graph(
        nodes,
        "brightness",
        [helper.make_tensor_value_info("faces", TensorProto.UINT8, ["N", 48, 48])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 7])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    if with_card:
        entry = model.metadata_props.add()
        entry.key, entry.value = CARD_KEY, (card or make_card()).to_json()
    onnx.save(model, str(path))
    return path


def grey_of(name: str) -> int:
    """Return the grey level the network takes for ``name``."""
    return round(255 * EXPRESSIONS.index(name) / 6)
