"""Films and a detector made on the spot: bright squares on black, whose brightness is their expression."""

import threading
import time
from pathlib import Path

import cv2
import numpy as np

from ferkit import Recognizer
from ferkit.inference.boxes import Box
from ferkit.labels import EXPRESSIONS
from networks import LEVELS, write_network

SIZE = (320, 240)


def bright_squares(picture) -> list[Box]:
    """Detect what is brighter than the background."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    _, _, stats, _ = cv2.connectedComponentsWithStats((grey > 35).astype(np.uint8))
    boxes = [Box(int(x), int(y), int(max(w, h))) for x, y, w, h, area in stats[1:] if area > 200]
    return sorted(boxes, key=lambda box: -box.size)


def stopped_after(looks: int, end: BaseException | None = None):
    """Return a detector that is stopped by Ctrl-C, or by ``end``, in the look after so many."""
    done = 0

    def detect(picture):
        nonlocal done
        done += 1
        if done > looks:
            raise end or KeyboardInterrupt
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
    """Gives a picture every so many seconds, as OpenCV's captures do; ``pictures`` are RGB, None, or an error."""

    def __init__(self, pictures, seconds=0.005):
        self._pictures = iter(pictures)
        self._seconds = seconds
        self.released = threading.Event()

    def get(self, name):
        return {cv2.CAP_PROP_FRAME_WIDTH: 320.0, cv2.CAP_PROP_FRAME_HEIGHT: 240.0}.get(name, 0.0)

    def read(self):
        time.sleep(self._seconds)
        shown = next(self._pictures, None)
        if shown is cv2.error:
            raise cv2.error("the camera has a fault")
        return (False, None) if shown is None else (True, np.ascontiguousarray(shown[..., ::-1]))

    def release(self):
        self.released.set()
