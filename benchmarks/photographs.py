"""How well whole photographs are read that have nothing to do with FER2013, beside the package fer.

Run:      python benchmarks/photographs.py --photos FOLDER --labels FILE.csv [--most N] [--work FOLDER] [--out FOLDER]
Costs:    about five minutes on one core for 1,700 small pictures, once its two environments stand (`recognition.py`).
Expected: fewer right than of FER2013: another camera, other people, and other opinions of what an expression is.

FILE.csv names pictures (`image`) and what the face in each expresses (`emotion`), as legend.csv of
https://github.com/muxspace/facial_expressions does. Of each class at most N pictures are drawn, the same each time.
Every contender gets the files, finds faces with the detector it uses unless told otherwise, and the largest face
counts. A photograph in which it finds none is read wrongly.
"""

import argparse
import csv
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from command_line import count, plainly
from ferkit.errors import DataError
from ferkit.evaluation.metrics import wilson_interval
from ferkit.files import file_sha256
from ferkit.inference.weights import SHIPPED
from ferkit.labels import EXPRESSIONS
from recognition import mcnemar
from recognition_environments import add_work, fer_environment, ferkit_environment, probe
from recognition_probe import VOTES
from report_files import day_of, write_report

SCHEMA = 1
CONTENDERS = ("ferkit", "ferkit (mirror images)", VOTES, "fer (TFLite)")
OURS = CONTENDERS[0]
NAMES = {"anger": "angry", "happiness": "happy", "sadness": "sad"}
"""Other words for the classes."""


def main() -> None:
    """Measure and write the report."""
    asked = _parser().parse_args()
    photos = draw(asked.photos, asked.labels, asked.most)
    asked.work.mkdir(parents=True, exist_ok=True)
    environments = {"ferkit": ferkit_environment(asked.work), "fer": fer_environment(asked.work)}
    found: dict[str, Any] = {
        "schema": SCHEMA,
        "photos": asked.photos.resolve().parent.name + "/" + asked.photos.resolve().name,
        "drawn": dict(Counter(photos.values())),
        "networks": {name: file_sha256(file) for name, file in SHIPPED.items()},
        "versions": {},
    }
    for package, environment in environments.items():
        found["versions"][package] = probe(environment, "versions", "--packages", *environment.packages)
    said: dict[str, list[str | None]] = {}
    took: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        listed = Path(name) / "photos.txt"
        listed.write_text("\n".join(map(str, photos)), encoding="utf-8")
        for contender in CONTENDERS:
            environment = environments[contender.partition(" ")[0]]
            values = probe(environment, "photographs", "--contender", contender, "--file", listed)
            said[contender], took[contender] = values["said"], round(values["milliseconds"], 2)
            print(f"{contender}: {sum(map(str.__eq__, photos.values(), map(str, said[contender])))} right", flush=True)
    found |= judge(said, list(photos.values()))
    found["milliseconds"] = took
    found["finished"] = datetime.now(UTC).isoformat(timespec="seconds")
    text = to_markdown(found)
    print(text)
    print("written:", write_report(asked.out, f"photographs-{day_of(found)}", found, text))


def draw(folder: Path, labels: Path, most: int) -> dict[Path, str]:
    """Return pictures and their classes, ``most`` of each class or fewer, the same each time.

    Raises:
        DataError: The file is not as expected, or names no picture of the folder.
    """
    try:
        with labels.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, restval=""))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{labels}: expected a CSV file, got {error}") from None
    if not rows or not {"image", "emotion"} <= rows[0].keys():
        raise DataError(f"{labels}: expected the columns image and emotion, got {', '.join(rows[0] if rows else ())}")
    by_class: dict[str, list[Path]] = {name: [] for name in EXPRESSIONS}
    for row in sorted(rows, key=lambda row: row["image"]):
        word = row["emotion"].strip().lower()
        name, path = NAMES.get(word, word), folder / row["image"]
        if name in by_class and path.is_file():
            by_class[name].append(path.resolve())
    rng = np.random.default_rng(0)
    drawn = {
        paths[number]: name
        for name, paths in by_class.items()
        for number in sorted(rng.permutation(len(paths))[:most].tolist())
    }
    if not drawn:
        raise DataError(f"{folder}: expected pictures that {labels} names, got none")
    return drawn


def judge(said: dict[str, list[str | None]], labels: list[str]) -> dict[str, Any]:
    """Return by contender how many are found and right, the interval, the share of each class, and the paired test."""
    truth = np.array(labels)
    found: dict[str, Any] = {"photographs": len(labels), "contenders": {}, "paired": {}}
    answers = {name: np.array([word or "" for word in words]) for name, words in said.items()}
    for name, words in answers.items():
        right = words == truth
        found["contenders"][name] = {
            "found": int((words != "").sum()),
            "right": int(right.sum()),
            "interval": wilson_interval(int(right.sum()), len(truth)),
            "of_class": {c: float(right[truth == c].mean()) for c in EXPRESSIONS if (truth == c).any()},
        }
        if name != OURS:
            found["paired"][name] = mcnemar(answers[OURS], words, truth)
    return found


def to_markdown(found: dict[str, Any]) -> str:
    """Render the JSON."""
    classes = list(next(iter(found["contenders"].values()))["of_class"])
    total = found["photographs"]
    lines = ["# Photographs that have nothing to do with FER2013", ""]
    lines += ["Generated by `benchmarks/photographs.py`; [what it measures](../README.md).", ""]
    lines += ["| | a face is found | right | 95 % interval | mean over classes | " + " | ".join(classes) + " |"]
    lines += ["| --- |" + " ---: |" * (4 + len(classes))]
    for name, values in found["contenders"].items():
        shares = list(values["of_class"].values())
        low, high = values["interval"]
        cells = [values["found"] / total, values["right"] / total]
        row = [f"{100 * cell:.1f} %" for cell in cells] + [f"{100 * low:.1f} to {100 * high:.1f}"]
        row += [f"{100 * share:.1f}" for share in [sum(shares) / len(shares), *shares]]
        lines.append(f"| {name} | " + " | ".join(row) + " |")
    drawn = ", ".join(f"{found['drawn'][name]} {name}" for name in classes)
    lines += ["", f"- {total:,} photographs of {found['photos']}: {drawn}"]
    for name, paired in found["paired"].items():
        ours, theirs = paired["only_ours"], paired["only_theirs"]
        lines.append(
            f"- {ours} photographs only {OURS} reads right, {theirs} only {name}: McNemar's exact p {paired['p']:.1g}"
        )
    times = ", ".join(f"{name} {value:.0f} ms" for name, value in found["milliseconds"].items())
    lines += [f"- processor time of a photograph, median, one thread: {times}"]
    networks = (f"{name} {digest[:12]}" for name, digest in found["networks"].items())
    lines += [f"- networks of ferkit, SHA-256: {', '.join(networks)}"]
    for package, versions in found["versions"].items():
        lines.append(f"- {package}: " + ", ".join(f"{name} {number}" for name, number in versions.items()))
    return "\n".join([*lines, f"- finished: {found['finished']}", ""])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--photos", type=Path, required=True, help="folder of the pictures")
    parser.add_argument("--labels", type=Path, required=True, help="CSV file with the columns image and emotion")
    parser.add_argument("--most", type=count, default=300, help="pictures of a class")
    add_work(parser)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "reports", help="folder of the report")
    return parser


if __name__ == "__main__":
    plainly(main)
