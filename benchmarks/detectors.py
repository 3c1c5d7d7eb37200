"""How many faces each detector finds, and how often it sees one where none is.

Run:      python benchmarks/detectors.py --data fer2013.csv [--yunet FILE [--photos FOLDER [--unseen]]] [--out FOLDER]
Costs:    about two minutes on one core; of photographs half a minute for each hundred, small ones.
Expected: Haar finds more than four of five FER2013 faces, also small, tilted and dark ones, with few false alarms.

Faces of PrivateTest are laid into pictures at known places, three in each of 640 x 480 pixels, their edges blended, or
are pictures of their own. The backgrounds, which are the pictures without faces, too, come with scikit-image. A face
counts as found where a box covers at least 0.4 of what either covers; any other box is a false alarm. Of a folder of
photographs nobody has told where the faces are: there the others are compared with YuNet. ``tools/detector`` learns
from none of these faces and backgrounds, but may have from every second photograph of a folder: ``--unseen`` leaves
those out.

Letters: H height, W width.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import skimage
from numpy.typing import NDArray

from command_line import count, plainly
from ferkit.data import Split, read_fer2013
from ferkit.errors import ImageError
from ferkit.inference.boxes import Box
from ferkit.inference.detect import Detector, YuNet
from ferkit.inference.find import find_images
from ferkit.inference.haar import CARD, Haar
from ferkit.inference.images import RGB, read_image
from ferkit.inference.weights import FOLDER
from report_files import day_of, write_report

SCHEMA = 2
COVERED = 0.4
HEIGHT, WIDTH, FACES, MARGIN, WINDOW = 480, 640, 3, 10, 245
PHOTOS = 500
PACKAGES = ("numpy", "onnxruntime", "opencv-python-headless", "scikit-image")
TEXTURES = ("brick.png", "chelsea.png", "coffee.png", "grass.png", "gravel.png", "motorcycle_left.png", "rocket.jpg")

Grey = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """How the scenes of a group are made."""

    textured: bool = True
    sizes: tuple[int, int] = (60, 180)
    """Pixels a side of the FER2013 picture, from and to."""
    tilt: float = 0.0
    """Largest rotation, in degrees."""
    light: float = 1.0
    """What grey levels are multiplied with."""
    shadow: float = 1.0
    """The same, of the faces alone; below 1 what is behind them is as bright as a window."""


GROUPS = {
    "smooth background": Group(textured=False),
    "textured background": Group(),
    "small, 36 to 60 pixels": Group(sizes=(36, 60)),
    "tilted up to 15 degrees": Group(tilt=15),
    "tilted up to 30 degrees": Group(tilt=30),
    "dark, 0.15 of the light": Group(light=0.15),
    "before a window, 0.15 of the light": Group(shadow=0.15),
}


def old_haar(picture: RGB) -> list[Box]:
    """Detect as many tutorials do: the default cascade on equalised grey levels, six neighbours."""
    grey = cv2.equalizeHist(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY))
    smallest = max(30, round(0.05 * min(grey.shape)))
    found = _old_cascade().detectMultiScale(grey, 1.1, 6, minSize=(smallest, smallest))
    return [Box(int(x), int(y), int(w)) for x, y, w, _ in found]


@cache
def _old_cascade() -> cv2.CascadeClassifier:
    return cv2.CascadeClassifier(str(Path(cv2.__file__).with_name("data") / "haarcascade_frontalface_default.xml"))


def main() -> None:
    """Measure and write the report."""
    asked = _parser().parse_args()
    cv2.setNumThreads(1)
    detectors: dict[str, Detector] = {"haar": Haar(), "haar, as in tutorials": old_haar}
    if asked.photos and asked.yunet is None:
        raise ImageError("--photos needs --yunet FILE, which says where their faces are")
    if asked.yunet is not None:
        detectors["yunet"] = YuNet(asked.yunet)
    images = read_fer2013(asked.data).split(Split.PRIVATE_TEST).images
    groups: dict[str, Callable[[], Iterator[tuple[RGB, list[Box]]]]] = {
        name: partial(scenes, group, images, asked.scenes) for name, group in GROUPS.items()
    }
    groups["nothing but the face"] = partial(alone, images, FACES * asked.scenes)
    groups["photographs without faces"] = faceless
    for folder in asked.photos:
        groups[f"{folder.resolve().name}, where YuNet sees faces"] = partial(
            photographs, folder, detectors["yunet"], 2 if asked.unseen else 1
        )
    found: dict[str, Any] = {
        "schema": SCHEMA,
        "groups": {name: {d: measure(detectors[d], make()) for d in detectors} for name, make in groups.items()},
        "networks": json.loads((FOLDER / CARD).read_text(encoding="utf-8"))["sha256"],
        "versions": {name: version(name) for name in PACKAGES},
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    text = to_markdown(found)
    print(text)
    print("written:", write_report(asked.out, f"detectors-{day_of(found)}", found, text))


def measure(detector: Detector, pictures: Iterator[tuple[RGB, list[Box]]]) -> dict[str, Any]:
    """Return faces, how many were found, false alarms, pictures, and medians.

    These are processor time in ms a picture, and of the boxes of found faces the side, as a share of the face's, and
    how far below its middle theirs lies.
    """
    faces = hits = false = 0
    sides: list[float] = []
    lower: list[float] = []
    seconds: list[float] = []
    for picture, truth in pictures:
        began = time.process_time()
        boxes = detector(picture)
        seconds.append(time.process_time() - began)
        faces += len(truth)
        for face in truth:
            best = max(boxes, key=face.overlap, default=None)
            if best is not None and face.overlap(best) >= COVERED:
                hits += 1
                sides.append(best.size / face.size)
                lower.append((best.y + best.size / 2 - face.y - face.size / 2) / face.size)
        false += sum(not any(face.overlap(box) >= COVERED for face in truth) for box in boxes)
    if not seconds:
        raise ImageError("none of the pictures can be read")
    return {
        "faces": faces,
        "found": hits,
        "false_alarms": false,
        "pictures": len(seconds),
        "milliseconds": round(1000 * median(seconds), 1),
        "side": round(median(sides), 3) if sides else None,
        "lower": round(median(lower), 3) if lower else None,
    }


def scenes(group: Group, images_NHW: NDArray[np.uint8], count: int) -> Iterator[tuple[RGB, list[Box]]]:
    """Yield the same pictures each time, and where their faces are."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        canvas = _background(group, rng)
        boxes: list[Box] = []
        while len(boxes) < FACES:
            size = int(rng.integers(*group.sizes, endpoint=True))
            box = Box(int(rng.integers(0, WIDTH - size)), int(rng.integers(0, HEIGHT - size)), size)
            if any(_near(box, other) for other in boxes):
                continue
            _lay(images_NHW[rng.integers(len(images_NHW))], box, group, rng, canvas)
            boxes.append(box)
        grey = (canvas * group.light).clip(0, 255).astype(np.uint8)
        yield np.repeat(grey[..., None], 3, axis=2), boxes


def alone(images_NHW: NDArray[np.uint8], count: int) -> Iterator[tuple[RGB, list[Box]]]:
    """Yield faces of 48 to 180 pixels a side with nothing around them."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        size = int(rng.integers(48, 180, endpoint=True))
        face = cv2.resize(images_NHW[rng.integers(len(images_NHW))], (size, size), interpolation=cv2.INTER_CUBIC)
        yield np.repeat(face[..., None], 3, axis=2), [Box(0, 0, size)]


def faceless() -> Iterator[tuple[RGB, list[Box]]]:
    """Yield pictures without a human face."""
    for name in TEXTURES:
        yield read_image(_sample(name)), []


def photographs(folder: Path, yunet: Detector, every: int) -> Iterator[tuple[RGB, list[Box]]]:
    """Yield at most :data:`PHOTOS` of the last of every so many pictures of ``folder``, and the faces YuNet sees."""
    files = find_images(folder)[every - 1 :: every] if folder.is_dir() else []
    if not files:
        raise ImageError(f"{folder}: expected a folder with pictures, got none")
    for path in files[:: -(-len(files) // PHOTOS)]:
        try:
            picture = read_image(path)
        except ImageError as error:
            print(error)
            continue
        yield picture, yunet(picture)


def _sample(name: str) -> Path:
    return Path(skimage.__file__).parent / "data" / name


def _background(group: Group, rng: np.random.Generator) -> Grey:
    if group.shadow < 1:
        return np.full((HEIGHT, WIDTH), WINDOW, np.float32)
    if not group.textured:
        corners = rng.uniform(40, 215, (3, 3)).astype(np.float32)
        return np.asarray(cv2.resize(corners, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), np.float32)
    picture = read_image(_sample(TEXTURES[rng.integers(len(TEXTURES))]))
    grey = cv2.cvtColor(cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    return np.asarray(grey, np.float32)


def _near(box: Box, other: Box) -> bool:
    return (
        box.x < other.x + other.size + MARGIN
        and other.x < box.x + box.size + MARGIN
        and box.y < other.y + other.size + MARGIN
        and other.y < box.y + box.size + MARGIN
    )


def _lay(image_HW: NDArray[np.uint8], box: Box, group: Group, rng: np.random.Generator, canvas: Grey) -> None:
    """Draw a face into ``canvas``; its outer eighth fades."""
    size = (box.size, box.size)
    face = cv2.resize(image_HW, size, interpolation=cv2.INTER_CUBIC).astype(np.float32)
    face = np.asarray(group.shadow * (face * rng.uniform(0.7, 1.2) + rng.uniform(-15, 15)), np.float32)
    turn = cv2.getRotationMatrix2D((box.size / 2, box.size / 2), rng.uniform(-group.tilt, group.tilt), 1)
    face = np.asarray(cv2.warpAffine(face, turn, size, borderMode=cv2.BORDER_REPLICATE), np.float32)
    away = np.abs(np.linspace(-1, 1, box.size, dtype=np.float32))
    weight = ((1 - np.maximum(away[:, None], away)) / 0.125).clip(0, 1)
    part = canvas[box.y : box.y + box.size, box.x : box.x + box.size]
    part[:] = weight * face + (1 - weight) * part


def to_markdown(found: dict[str, Any]) -> str:
    """Render the JSON."""
    detectors = list(next(iter(found["groups"].values())))
    lines = ["# Face detectors: found and false alarms", ""]
    lines += ["Generated by `benchmarks/detectors.py`; [what it measures](../README.md).", ""]
    lines += ["| pictures | " + " | ".join(f"{d}: found | false alarms" for d in detectors) + " |"]
    lines += ["| --- |" + " ---: | ---: |" * len(detectors)]
    for group, values in found["groups"].items():
        cells = [f"{_share(values[d])} | {values[d]['false_alarms']} in {values[d]['pictures']}" for d in detectors]
        lines.append(f"| {group} | " + " | ".join(cells) + " |")
    plain = found["groups"]["textured background"]
    times = ", ".join(f"{d} {plain[d]['milliseconds']:.0f} ms" for d in detectors)
    smooth = found["groups"]["smooth background"]
    boxes = ", ".join(f"{d} {smooth[d]['side']:.2f} and {smooth[d]['lower']:+.3f}" for d in detectors)
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    lines += ["", f"- processor time for {WIDTH} x {HEIGHT} pixels, median: {times}"]
    lines += [f"- median side of the box of a found face on smooth background, and how far it lies too low: {boxes}"]
    networks = ", ".join(f"{name} {digest[:12]}" for name, digest in found["networks"].items())
    lines += [f"- networks of haar, SHA-256: {networks}"]
    lines += [f"- versions: {versions}", f"- finished: {found['finished']}", ""]
    return "\n".join(lines)


def _share(values: dict[str, Any]) -> str:
    if not values["faces"]:
        return "-"
    return f"{values['found']} of {values['faces']} ({100 * values['found'] / values['faces']:.0f} %)"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="fer2013.csv")
    parser.add_argument("--yunet", type=Path, help="file of the YuNet detector")
    parser.add_argument("--photos", type=Path, action="append", default=[], help="folder of photographs; repeatable")
    parser.add_argument("--unseen", action="store_true", help="leave out the first, third, fifth ... photograph")
    parser.add_argument("--scenes", type=count, default=40, help="pictures a group")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "reports", help="folder of the report")
    return parser


if __name__ == "__main__":
    plainly(main)
