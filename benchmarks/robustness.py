"""How well faces are read that a camera took badly: blurred, noisy, in little light, packed too small.

Run:      python benchmarks/robustness.py --data fer2013.csv [--model NAME=FILE.onnx ...] [--out FOLDER]
Costs:    about two minutes a network on one core.
Expected: a network trained with `augmentation=camera` loses a few points where others fall to a guess.

The faces of PublicTest, made worse by OpenCV at their 48 pixels a side, are read by the shipped network and by those
named. PublicTest, because what is found here is used to choose.

Letters: N faces, H height, W width.
"""

import argparse
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from command_line import plainly
from ferkit import Recognizer
from ferkit.data import Split, read_fer2013
from ferkit.errors import ModelError
from ferkit.files import file_sha256
from ferkit.inference.weights import DEFAULT
from ferkit.labels import EXPRESSIONS
from report_files import day_of, write_report

SCHEMA = 1
Grey = NDArray[np.uint8]
Change = Callable[[Grey, np.random.Generator], NDArray[Any]]


def noisy(face: Grey, rng: np.random.Generator, *, deviation: float, light: float = 1.0) -> NDArray[Any]:
    """Return a darker face with noise of so many grey levels."""
    return light * face + rng.normal(0, deviation, face.shape)


def faint(face: Grey, _: np.random.Generator, *, contrast: float, middle: float = 128.0) -> NDArray[Any]:
    """Return a face with less contrast about a grey level."""
    return (face - middle) * contrast + middle


def gamma(face: Grey, _: np.random.Generator, *, power: float) -> NDArray[Any]:
    """Return a face lighter or darker in its middle levels."""
    return 255 * (face / 255) ** power


def blurred(face: Grey, _: np.random.Generator, *, sigma: float) -> NDArray[Any]:
    """Return a face out of focus."""
    return cv2.GaussianBlur(face, (0, 0), sigma)


def packed(face: Grey, _: np.random.Generator, *, quality: int) -> NDArray[Any]:
    """Return a face as JPEG keeps it."""
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 0))


def before_a_window(face: Grey, _: np.random.Generator, *, light: float) -> NDArray[Any]:
    """Return a darker face, with what is around its oval as bright as a window."""
    rows, columns = np.mgrid[: len(face), : len(face)] / (len(face) / 2) - 1
    return np.where(rows**2 + (columns / 0.8) ** 2 < 1, light * face, 245)


def small(face: Grey, _: np.random.Generator, *, side: int) -> NDArray[Any]:
    """Return a face that had fewer pixels."""
    less = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
    return cv2.resize(less, face.shape, interpolation=cv2.INTER_CUBIC)


CHANGES: dict[str, Change] = {
    "as they are": lambda face, _: face,
    "noise of 5 grey levels": partial(noisy, deviation=5),
    "noise of 10": partial(noisy, deviation=10),
    "noise of 20": partial(noisy, deviation=20),
    "a quarter of the light, noise of 5": partial(noisy, deviation=5, light=0.25),
    "a quarter of the light": partial(faint, contrast=0.25, middle=0),
    "a tenth of the light": partial(faint, contrast=0.1, middle=0),
    "before a window, a fifth of the light": partial(before_a_window, light=0.2),
    "before a window, all of the light": partial(before_a_window, light=1.0),
    "half of the contrast": partial(faint, contrast=0.5),
    "a quarter of the contrast": partial(faint, contrast=0.25),
    "gamma 0.4": partial(gamma, power=0.4),
    "gamma 2.5": partial(gamma, power=2.5),
    "blur of 1 pixel": partial(blurred, sigma=1.0),
    "blur of 1.5 pixels": partial(blurred, sigma=1.5),
    "JPEG of quality 25": partial(packed, quality=25),
    "JPEG of quality 10": partial(packed, quality=10),
    "24 pixels a side": partial(small, side=24),
    "16 pixels a side": partial(small, side=16),
}


def main() -> None:
    """Measure and write the report."""
    asked = _parser().parse_args()
    files = {"shipped": DEFAULT}
    for given in asked.model:
        name, _, file = given.partition("=")
        if not name or not file:
            raise ModelError(f"--model {given}: expected NAME=FILE")
        files[name] = Path(file)
    networks = {name: Recognizer(file) for name, file in files.items()}
    faces = read_fer2013(asked.data).split(Split.PUBLIC_TEST)
    found: dict[str, Any] = {
        "schema": SCHEMA,
        "faces": len(faces),
        "networks": {name: file_sha256(file) for name, file in files.items()},
        "accuracy": {},
        "versions": {name: version(name) for name in ("numpy", "onnxruntime", "opencv-python-headless")},
    }
    for name, change in CHANGES.items():
        worse = changed(faces.images, change)
        found["accuracy"][name] = {network: accuracy(reads, worse, faces.labels) for network, reads in networks.items()}
    found["finished"] = datetime.now(UTC).isoformat(timespec="seconds")
    text = to_markdown(found)
    print(text)
    print("written:", write_report(asked.out, f"robustness-{day_of(found)}", found, text))


def changed(faces_NHW: Grey, change: Change) -> Grey:
    """Return the faces as one of :data:`CHANGES` leaves them; the same noise each time."""
    rng = np.random.default_rng(0)
    return np.array([np.clip(np.round(change(face, rng)), 0, 255) for face in faces_NHW]).astype(np.uint8)


def accuracy(reads: Recognizer, faces_NHW: Grey, labels_N: NDArray[np.int64]) -> float:
    """Return the share of faces whose most probable class is their label."""
    said = [EXPRESSIONS.index(face.expression) for face in reads.recognize_crops(faces_NHW)]
    return float(np.mean(np.array(said) == labels_N))


def to_markdown(found: dict[str, Any]) -> str:
    """Return the report for people."""
    names = list(found["networks"])
    lines = [
        "# Faces that a camera took badly",
        "",
        f"Percent of the {found['faces']:,} faces of PublicTest that are read as labelled. One draw of the noise; the",
        "95 % interval of one number is about 1.5 points to either side.",
        "",
        f"| PublicTest | {' | '.join(names)} |",
        f"| --- |{' ---: |' * len(names)}",
        *(
            f"| {change} | {' | '.join(f'{100 * each[name]:.1f}' for name in names)} |"
            for change, each in found["accuracy"].items()
        ),
        "",
        "Networks, by the SHA-256 of their files: "
        + ", ".join(f"{name} {sha[:12]}" for name, sha in found["networks"].items())
        + ".",
        "Versions: " + ", ".join(f"{name} {number}" for name, number in found["versions"].items()) + ".",
        f"{found['finished']}",
    ]
    return "\n".join(lines) + "\n"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", action="append", default=[], metavar="NAME=FILE", help="another network, named")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "reports")
    return parser


if __name__ == "__main__":
    plainly(main)
