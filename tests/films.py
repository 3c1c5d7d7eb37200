"""Films, a network and a detector made on the spot: bright squares whose brightness is their expression."""

import threading
import time
from pathlib import Path

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ferkit import Recognizer
from ferkit.inference.detect import Box
from ferkit.inference.weights import CARD_KEY, ModelCard
from ferkit.labels import EXPRESSIONS

SIZE = (320, 240)
LEVELS = [60 + 30 * k for k in range(7)]
"""Grey level of each expression; the background is black."""


def write_network(path: Path, classes=EXPRESSIONS) -> Path:
    """Write a network whose answer is the class with the nearest level; sure of it by about 0.97."""
    levels = np.array(LEVELS[: len(classes)], np.float32)[None]
    nodes = [
        helper.make_node("Cast", ["faces"], ["grey"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["grey", "axes"], ["mean"], keepdims=0),
        helper.make_node("Unsqueeze", ["mean", "last"], ["column"]),
        helper.make_node("Sub", ["column", "levels"], ["distance"]),
        helper.make_node("Mul", ["distance", "distance"], ["squared"]),
        helper.make_node("Mul", ["squared", "factor"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    values = {
        "axes": np.array([1, 2]),
        "last": np.array([1]),
        "levels": levels,
        "factor": np.array(-0.005, np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "brightness",
        [helper.make_tensor_value_info("faces", TensorProto.UINT8, ["N", 48, 48])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", len(classes)])],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    card = ModelCard(
        name="brightness",
        classes=tuple(classes),
        input="faces: uint8 (N, 48, 48), grey levels 0 to 255",
        temperature=1.0,
        mirror=False,
        int8=False,
        parameters=0,
        protocol="standard",
        recipe={},
        metrics={},
        weights_sha256="",
        ferkit="0",
        created="",
    )
    helper.set_model_props(model, {CARD_KEY: card.to_json()})
    onnx.save(model, path)
    return path


def bright_squares(picture) -> list[Box]:
    """Detect what is brighter than the background."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    _, _, stats, _ = cv2.connectedComponentsWithStats((grey > 35).astype(np.uint8))
    boxes = [Box(int(x), int(y), int(max(w, h))) for x, y, w, h, area in stats[1:] if area > 200]
    return sorted(boxes, key=lambda box: -box.size)


def stopped_after(looks: int):
    """Return a detector that is stopped by Ctrl-C in the look after so many."""
    done = 0

    def detect(picture):
        nonlocal done
        done += 1
        if done > looks:
            raise KeyboardInterrupt
        return bright_squares(picture)

    return detect


def recognizer(folder: Path, **options) -> Recognizer:
    """Return a recognizer of bright squares."""
    return Recognizer(write_network(folder / "brightness.onnx"), **{"detector": bright_squares, **options})


def picture(*squares, size=SIZE):
    """Return an RGB picture with ``squares`` of (x, y, side, expression)."""
    canvas = np.zeros((size[1], size[0], 3), np.uint8)
    for x, y, side, expression in squares:
        canvas[y : y + side, x : x + side] = LEVELS[EXPRESSIONS.index(expression)]
    return canvas


def write_film(path: Path, pictures, fps: float = 25.0, code: str = "mp4v") -> Path:
    """Write a video."""
    pictures = list(pictures)
    size = SIZE if not pictures else pictures[0].shape[1::-1]
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*code), fps, size)
    assert writer.isOpened()
    for each in pictures:
        writer.write(np.ascontiguousarray(each[..., ::-1]))
    writer.release()
    return path


def one_face(frames: int, expression: str = "happy"):
    """Yield pictures of one face that stands still."""
    return (picture((100, 80, 64, expression)) for _ in range(frames))


class FakeCapture:
    """Gives a picture every so many seconds, as OpenCV's captures do; ``pictures`` are RGB."""

    def __init__(self, pictures, seconds=0.005):
        self._pictures = iter(pictures)
        self._seconds = seconds
        self.released = threading.Event()

    def get(self, name):
        return {cv2.CAP_PROP_FRAME_WIDTH: 320.0, cv2.CAP_PROP_FRAME_HEIGHT: 240.0}.get(name, 0.0)

    def read(self):
        time.sleep(self._seconds)
        shown = next(self._pictures, None)
        return (False, None) if shown is None else (True, np.ascontiguousarray(shown[..., ::-1]))

    def release(self):
        self.released.set()
