"""Is one network better than another? What decides which one is shipped.

Run:      python benchmarks/compare.py --data fer2013.csv --after NEW.onnx [--before OLD.onnx]
          [--photos FOLDER --labels FILE.csv] [--rounds N] [--out FOLDER]
Costs:    about three minutes on one core, two more with photographs.
Expected: two networks of one form differ by less in accuracy than chance can, and by more in their loss.

Both read the same faces of PublicTest, which is there to choose by: as they are, with their mirror images, and made
worse in the ways of `robustness.py`; photographs as `photographs.py` draws them. Every comparison is paired, face by
face: of accuracy by McNemar's exact test, of the loss, and of the share of a face's bad pictures that are read right,
by the paired t-test. A face alone is timed on one thread, both networks by turns.

Letters: N faces, H height, W width, K classes.
"""

import argparse
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from command_line import count, plainly
from ferkit import Recognizer
from ferkit.data import Split, read_fer2013
from ferkit.errors import FerkitError, OptionError
from ferkit.files import file_sha256
from ferkit.inference.session import Session
from ferkit.inference.weights import DEFAULT
from ferkit.labels import EXPRESSIONS
from photographs import draw
from recognition import mcnemar
from report_files import day_of, write_report
from robustness import CHANGES, changed

SCHEMA = 1
UNCHANGED = "as they are"
CALLS = 400
"""Of each network in a round."""

Pair = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Probabilities ``(N, K)`` of the one before and the one after."""


def main() -> None:
    """Compare and write the report."""
    asked = _parser().parse_args()
    if (asked.photos is None) != (asked.labels is None):
        raise OptionError("--photos FOLDER and --labels FILE belong together")
    files = (asked.before, asked.after)
    sessions = tuple(Session(file) for file in files)
    photos = draw(asked.photos, asked.labels, asked.most) if asked.photos else {}
    faces = read_fer2013(asked.data).split(Split.PUBLIC_TEST)
    found: dict[str, Any] = {
        "schema": SCHEMA,
        "faces": len(faces),
        "networks": {name: file_sha256(file) for name, file in zip(("before", "after"), files, strict=True)},
        "as_they_are": {},
        "milliseconds": times(sessions, faces.images[0], asked.rounds),
    }
    views = {"one view": faces.images, "with mirror images": faces.images[:, :, ::-1]}
    said = [[session(np.ascontiguousarray(view)) for view in views.values()] for session in sessions]
    for number, name in enumerate(views, start=1):
        before, after = (np.mean(seen[:number], axis=0) for seen in said)
        found["as_they_are"][name] = compared((before, after), faces.labels)
    found["worse"] = worse(sessions, faces.images, faces.labels)
    if photos:
        found["photographs"] = photographed(files, photos)
    found["versions"] = {name: version(name) for name in ("numpy", "onnxruntime", "opencv-python-headless")}
    found["finished"] = datetime.now(UTC).isoformat(timespec="seconds")
    text = to_markdown(found)
    print(text)
    print("written:", write_report(asked.out, f"compare-{day_of(found)}", found, text))


def compared(said: Pair, labels_N: NDArray[np.int64]) -> dict[str, Any]:
    """Return accuracy and mean loss of both, and the two paired tests."""
    losses = [losses_of(probabilities, labels_N) for probabilities in said]
    before, after = (probabilities.argmax(axis=1) for probabilities in said)
    paired = mcnemar(before, after, labels_N)
    return {
        "accuracy": [float((answers == labels_N).mean()) for answers in (before, after)],
        "only_before": paired["only_ours"],
        "only_after": paired["only_theirs"],
        "p_accuracy": paired["p"],
        "loss": [float(each.mean()) for each in losses],
        "p_loss": paired_t(*losses),
    }


def losses_of(probabilities_NK: NDArray[np.float32], labels_N: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the negative logarithm of the probability of each label, ``(N,)``."""
    of_label = probabilities_NK[np.arange(len(labels_N)), labels_N].astype(np.float64)
    return -np.log(np.maximum(of_label, np.finfo(np.float32).tiny))


def paired_t(before_N: NDArray[np.float64], after_N: NDArray[np.float64]) -> float:
    """Return how likely a difference of means as large is by chance; 1 where nothing differs."""
    from scipy.stats import ttest_rel

    return float(ttest_rel(before_N, after_N).pvalue) if (before_N != after_N).any() else 1.0


def worse(sessions: tuple[Session, ...], images_NHW: NDArray[np.uint8], labels_N: NDArray[np.int64]) -> dict[str, Any]:
    """Return accuracy and loss of both on each kind of bad picture, and the tests over the means of each face."""
    kinds: dict[str, Any] = {}
    rights: list[list[NDArray[np.bool_]]] = [[], []]
    losses: list[list[NDArray[np.float64]]] = [[], []]
    for name, change in CHANGES.items():
        if name == UNCHANGED:
            continue
        bad = changed(images_NHW, change)
        for number, session in enumerate(sessions):
            said = session(bad)
            rights[number].append(said.argmax(axis=1) == labels_N)
            losses[number].append(losses_of(said, labels_N))
        kinds[name] = {
            "accuracy": [float(each[-1].mean()) for each in rights],
            "loss": [float(each[-1].mean()) for each in losses],
        }
    mean_right = [np.mean(each, axis=0) for each in rights]
    mean_loss = [np.mean(each, axis=0) for each in losses]
    return {
        "kinds": kinds,
        "accuracy": [float(each.mean()) for each in mean_right],
        "p_accuracy": paired_t(*mean_right),
        "loss": [float(each.mean()) for each in mean_loss],
        "p_loss": paired_t(*mean_loss),
    }


def photographed(files: tuple[Path, ...], photos: Mapping[Path, str]) -> dict[str, Any]:
    """Return how many photographs both read as labelled, by their largest face."""
    labels = np.array(list(photos.values()))
    said: list[NDArray[Any]] = []
    for file in files:
        recognizer = Recognizer(file)
        said.append(np.array([largest(recognizer, photo) for photo in photos]))
    paired = mcnemar(said[0], said[1], labels)
    return {
        "photographs": len(labels),
        "accuracy": [float((answers == labels).mean()) for answers in said],
        "only_before": paired["only_ours"],
        "only_after": paired["only_theirs"],
        "p_accuracy": paired["p"],
        "of_class": {
            name: [float((answers == labels)[labels == name].mean()) for answers in said]
            for name in EXPRESSIONS
            if (labels == name).any()
        },
    }


def largest(recognizer: Recognizer, photo: Path) -> str:
    """Return what the largest face of a picture expresses; nothing where there is none, or no picture."""
    try:
        faces = recognizer.recognize(photo)
    except FerkitError:
        return ""
    return max(faces, key=lambda face: face.box.size).expression if faces else ""


def times(sessions: tuple[Session, ...], face_HW: NDArray[np.uint8], rounds: int) -> list[list[float]]:
    """Return the milliseconds a face alone takes on one thread, of each network and round."""
    found: list[list[float]] = [[] for _ in sessions]
    for _ in range(rounds):
        for session, taken in zip(sessions, found, strict=True):
            timed(session, face_HW[None], CALLS // 10)  # its caches are cold after the other
            taken.append(timed(session, face_HW[None], CALLS))
    return found


def timed(session: Callable[[NDArray[np.uint8]], Any], faces_NHW: NDArray[np.uint8], calls: int) -> float:
    """Return the mean milliseconds of a call."""
    began = time.perf_counter()
    for _ in range(calls):
        session(faces_NHW)
    return 1000 * (time.perf_counter() - began) / calls


def to_markdown(found: dict[str, Any]) -> str:
    """Return the report for people."""
    rows = [(f"PublicTest, {views}", values) for views, values in found["as_they_are"].items()]
    rows += [("PublicTest made worse, mean of all kinds", found["worse"])]
    if "photographs" in found:
        rows += [(f"{found['photographs']['photographs']:,} photographs", found["photographs"])]
    lines = [
        "# One network after another",
        "",
        "Generated by `benchmarks/compare.py`; [what it measures](../README.md).",
        "",
        "| | before | after | only before | only after | p | loss before | after | p |",
        "| --- |" + " ---: |" * 8,
    ]
    for name, values in rows:
        accuracies = [f"{100 * share:.2f} %" for share in values["accuracy"]]
        alone = [str(values.get(key, "")) for key in ("only_before", "only_after")]
        losses = [f"{loss:.4f}" for loss in values.get("loss", ())] or ["", ""]
        p_loss = f"{values['p_loss']:.1g}" if "p_loss" in values else ""
        cells = [name, *accuracies, *alone, f"{values['p_accuracy']:.1g}", *losses, p_loss]
        lines.append(f"| {' | '.join(cells)} |")
    before, after = found["milliseconds"]
    ratio = median(second / first for first, second in zip(before, after, strict=True))
    lines += [
        "",
        f"A face alone, one thread: {median(before):.3f} ms before, {median(after):.3f} after (medians of "
        f"{len(before)} rounds by turns), {ratio:.2f} times as long.",
        "",
        "| PublicTest made worse | before | after | loss before | after |",
        "| --- |" + " ---: |" * 4,
    ]
    for name, values in found["worse"]["kinds"].items():
        cells = [f"{100 * share:.1f}" for share in values["accuracy"]] + [f"{loss:.3f}" for loss in values["loss"]]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    if "photographs" in found:
        lines += ["", "| photographs | before | after |", "| --- | ---: | ---: |"]
        for name, shares in found["photographs"]["of_class"].items():
            lines.append(f"| {name} | {' | '.join(f'{100 * share:.1f}' for share in shares)} |")
    networks = ", ".join(f"{name} {digest[:12]}" for name, digest in found["networks"].items())
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    lines += [
        "",
        f"{found['faces']:,} faces of PublicTest. Networks, by the SHA-256 of their files: {networks}.",
        f"Versions: {versions}.",
        f"{found['finished']}",
    ]
    return "\n".join(lines) + "\n"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--before", type=Path, default=DEFAULT, help="network file; the shipped one unless given")
    parser.add_argument("--after", type=Path, required=True, help="network file")
    parser.add_argument("--photos", type=Path, help="folder of photographs, as for photographs.py")
    parser.add_argument("--labels", type=Path, help="CSV file with the columns image and emotion")
    parser.add_argument("--most", type=count, default=300, help="photographs of a class")
    parser.add_argument("--rounds", type=count, default=15, help="of timing")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "reports")
    return parser


if __name__ == "__main__":
    plainly(main)
