"""How many operations a network needs, and how many a second this processor does at best."""

from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference

SIDES = (512, 1024)
"""Of the square matrices that are multiplied: small enough for a core's cache, and larger."""


def operations_per_face(file: Path) -> int:
    """Return multiplications and additions of convolutions and matrix products for one face."""
    graph = shape_inference.infer_shapes(onnx.load(str(file))).graph
    shapes = {t.name: list(t.dims) for t in graph.initializer}
    for value in [*graph.value_info, *graph.output]:
        shapes[value.name] = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    total = 0
    for node in graph.node:
        if node.op_type not in {"Conv", "Gemm", "MatMul"}:
            continue
        weights, out = shapes[node.input[1]], shapes[node.output[0]]
        # Of an output, every value needs the weights of one filter; the first axis is the faces.
        total += 2 * prod(out[1:]) * prod(weights[1:]) if node.op_type == "Conv" else 2 * prod(weights)
    if not total:
        raise ValueError(f"{file}: expected a network with convolutions or matrix products, got none")
    return total


def write_product(file: Path, side: int, int8: bool) -> int:
    """Write an ONNX file that multiplies two square matrices; return the operations that takes.

    Args:
        file: Where.
        side: Of the matrices.
        int8: Unsigned 8-bit times signed 8-bit, summed in 32 bits, as in quantised networks; else float32.
    """
    given, result, name = (
        (TensorProto.UINT8, TensorProto.INT32, "MatMulInteger")
        if int8
        else (TensorProto.FLOAT, TensorProto.FLOAT, "MatMul")
    )
    constant: Any = np.random.default_rng(0).integers(-64, 64, (side, side)).astype(np.int8 if int8 else np.float32)
    graph = helper.make_graph(
        [helper.make_node(name, ["a", "b"], ["c"])],
        "product",
        [helper.make_tensor_value_info("a", given, [side, side])],
        [helper.make_tensor_value_info("c", result, [side, side])],
        [numpy_helper.from_array(constant, "b")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), str(file))
    return 2 * side**3
