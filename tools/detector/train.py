"""Trains the two networks that find faces, and writes them where recognition loads them from.

Run:      python tools/detector/train.py --data fer2013.csv [--photos FOLDER ... --yunet FILE] [--out FOLDER]
Costs:    three quarters of an hour on one core, beside other work.
Expected: propose.onnx, refine.onnx and detector.json, their card; `benchmarks/detectors.py` says what they find.
Dry run:  python tools/detector/train.py --data fer2013.csv --steps 20 --out /tmp/detector

Faces are those of FER2013's Training. What is no face: windows of the pictures ``pictures.py`` knows. The second
network learns from scratch, then twice more, each time with what the first proposes until then where no face is, and
most of all with what the second takes for one (hard negative mining: Sung and Poggio, 1998).
"""

import argparse
import json
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from batches import LARGER, Batch, Dice, to_propose, to_refine
from numpy.typing import NDArray
from pictures import Background, backgrounds, windows
from torch import Tensor

from ferkit.data import Split, read_fer2013
from ferkit.errors import FerkitError
from ferkit.files import write_bytes, write_text
from ferkit.inference.haar import CARD, CLOSE, NETWORKS, WINDOW, Haar
from ferkit.inference.places import build_pyramid, window
from ferkit.inference.weights import FOLDER
from networks import Finder, Propose, Refine

SMALLEST = 24
"""Side of the smallest place that is mined, in pixels."""
FIRM = -1.0
"""Logit from which a place is mined a second time, where the second network moved it to."""

Make = Callable[[int, Dice], Batch]


def main() -> None:
    """Train and write."""
    asked = _parser().parse_args()
    torch.manual_seed(asked.seed)
    faces = torch.from_numpy(read_fer2013(asked.data).split(Split.TRAINING).images).float() / 255
    found = backgrounds(asked.photos, asked.every, asked.yunet)
    seen = sum(len(one.faces) for one in found)
    print(f"{len(faces)} faces, {len(found)} pictures of other things, {seen} faces in them", flush=True)

    everywhere = torch.from_numpy(windows(found, asked.windows, WINDOW, asked.seed))
    close = torch.from_numpy(windows(found, asked.windows // 2, CLOSE, asked.seed))
    propose, refine = Propose(), Refine()
    fit(propose, partial(to_propose, faces, everywhere), 256, asked.steps, 1.5e-2, asked.seed)
    fit(refine, partial(to_refine, faces, close, None), 192, asked.steps // 2, 8e-3, asked.seed)
    for again in (1, 2):
        with TemporaryDirectory() as folder:
            save(Path(folder), asked, propose, refine, len(found))
            mined = mine(Haar(Path(folder)), found)
        fit(refine, partial(to_refine, faces, close, mined), 192, asked.steps, 5e-3, asked.seed + again)
    save(asked.out, asked, propose, refine, len(found))
    print("written:", asked.out)


def fit(network: Finder, make: Callable[[int, Dice], Batch], count: int, steps: int, rate: float, seed: int) -> None:
    """Train ``network``; one cycle of the rate."""
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    dice, began = Dice(seed), time.monotonic()
    for step in range(1, steps + 1):
        batch = make(count, dice)
        with torch.autocast("cpu", torch.bfloat16):
            said = network(batch.windows)
        loss = loss_of(said.float(), batch)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        if step % 250 == 0 or step == steps:
            taken = time.monotonic() - began
            print(f"{type(network).__name__}: {step} of {steps}, loss {loss:.4f}, {taken:.0f} s", flush=True)
    network.eval()


def loss_of(said: Tensor, batch: Batch) -> Tensor:
    """Return binary cross entropy, and of the faces how far their places are off."""
    said = said.flatten(1)
    loss = F.binary_cross_entropy_with_logits(said[:, 0], batch.is_face)
    faces = len(batch.places)
    return loss + 2 * F.smooth_l1_loss(said[:faces, 1:], batch.places, beta=0.05) if said.shape[1] > 1 else loss


def mine(detector: Haar, found: Sequence[Background]) -> Tensor | None:
    """Return windows ``(N, 40, 40)`` uint8 of what was proposed though no face is there, the worst often; or None."""
    taken: list[NDArray[np.uint8]] = []
    scores: list[float] = []
    for one in found:
        pyramid = build_pyramid(one.grey, CLOSE)
        first = detector.propose(one.grey, SMALLEST)
        second = detector.refine(pyramid, first)
        for before, after in zip(first, second, strict=True):
            for place in (before, after) if after[4] >= FIRM else (before,):
                if one.is_free(*place[:3].tolist()) and one.is_free(*after[:3].tolist()):
                    larger = place * (1, 1, LARGER, 1, 1)
                    taken.append(window(pyramid, larger, round(LARGER * CLOSE)))
                    scores.append(after[4])
    worst = np.argsort(-np.array(scores))
    count = len(worst)
    repeated = np.concatenate([worst, worst[: count // 2], worst[: count // 4], worst[: count // 8]])
    print(f"{count} windows mined", flush=True)
    return torch.from_numpy(np.stack([taken[number] for number in repeated])) if count else None


def save(folder: Path, asked: argparse.Namespace, propose: Propose, refine: Refine, pictures: int) -> None:
    """Write both networks and their card into ``folder``."""
    contents = {name: to_onnx(network) for name, network in zip(NETWORKS, (propose, refine), strict=True)}
    card = {
        "sha256": {name: sha256(content).hexdigest() for name, content in contents.items()},
        "faces": "FER2013, Training",
        "pictures_without_faces": pictures,
        "photographs": {photos.resolve().name: f"1 of {asked.every}" for photos in asked.photos},
        "steps": asked.steps,
        "seed": asked.seed,
        "torch": torch.__version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    for name, content in contents.items():
        write_bytes(folder / name, content)
    write_text(folder / CARD, json.dumps(card, indent=1) + "\n")


def to_onnx(network: Finder) -> bytes:
    """Return the network as an ONNX file; the batch, and what it is laid over, may be of any size."""
    sizes = {0: "N"} if isinstance(network, Refine) else {0: "N", 1: "H", 2: "W"}
    example = torch.zeros(2, network.side, network.side, dtype=torch.uint8)
    with warnings.catch_warnings(), TemporaryDirectory() as folder:
        warnings.simplefilter("ignore", DeprecationWarning)  # the newer way does not know sizes that vary this much
        file = Path(folder) / "network.onnx"
        torch.onnx.export(
            network.eval(),
            (example,),
            file,
            input_names=[network.input],
            output_names=[network.output],
            dynamic_axes={network.input: sizes, network.output: sizes},
            dynamo=False,
        )
        return file.read_bytes()


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if int(text) < least:
            raise argparse.ArgumentTypeError(f"expected at least {least}, got {text}")
        return int(text)

    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="fer2013.csv")
    parser.add_argument("--photos", type=Path, action="append", default=[], help="folder of photographs; repeatable")
    parser.add_argument("--every", type=_at_least(1), default=2, help="use every so many-th of them; the rest can test")
    parser.add_argument("--yunet", type=Path, help="file of the YuNet detector, which says where their faces are")
    parser.add_argument("--steps", type=_at_least(4), default=3500, help="batches for the first network")
    parser.add_argument("--windows", type=_at_least(100), default=300_000, help="windows without faces")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=FOLDER, help="where to write the networks")
    return parser


if __name__ == "__main__":
    try:
        main()
    except FerkitError as error:
        sys.exit(f"error: {error}")
