"""What the other ways to convolve (ferkit.training.convolutions) bring to a step of training, on this processor.

Run:      python benchmarks/convolutions.py [--network compact] [--pairs N] [--batch N] [--threads N] [--out FOLDER]
Costs:    about three minutes on two cores; nothing else should run meanwhile.
Expected: more than 1 for each network that has layers the processor's way is meant for; about 1 for the others.
Dry run:  python benchmarks/convolutions.py --network compact --pairs 1 --batch 8 --out /tmp   does it run?

Each network, and each layer alone, does whole steps on random faces, forward, backward and optimizer, by turns with
PyTorch's convolutions and with ferkit's: a pair is one of each. The ratio is that of a pair, so what else the machine
does reaches both sides of it.
"""

import argparse
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from command_line import count, plainly
from ferkit.models import build_model
from ferkit.training.convolutions import quick_convolutions
from ferkit.training.surroundings import describe
from others import Others, in_words
from report_files import day_of, write_report

SCHEMA = 1

WARMUP = 2
"""Pairs that are not counted."""

CPU = torch.device("cpu")

NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "compact": ("compact", {}),
    "compact, half as wide inside": ("compact", {"bottleneck": 0.5}),
    "compact, twice as wide": ("compact", {"width": 2.0}),
    "Model 1": ("model1", {"widths": (16, 32, 64, 128), "kernel": 3}),
    "Model 2": ("model2", {}),
    "Model 3": ("model3", {}),
}
"""What is trained, as tables call it: network and its options."""

LAYERS = ((512, 3), (256, 3), (128, 3), (256, 6), (128, 6), (64, 6), (128, 12), (64, 12))
"""Channels, the same on both sides, and pixels a side of 3 x 3 convolutions."""


def main() -> None:
    """Measure what the command line asks for and write the report."""
    asked = _parser().parse_args()
    if asked.threads:
        torch.set_num_threads(asked.threads)
    torch.manual_seed(0)
    others = Others()
    networks = {label: _network(*NETWORKS[label], asked.batch) for label in asked.network or NETWORKS}
    found: dict[str, Any] = {
        "schema": SCHEMA,
        "batch": asked.batch,
        "pairs": asked.pairs,
        "networks": {label: compare(*step, asked.pairs) for label, step in networks.items()},
        "layers": [
            {"channels": channels, "side": side, **compare(*_layer(channels, side, asked.batch), asked.pairs)}
            for channels, side in LAYERS
        ],
        "others": others.cores(),
        "environment": describe("cpu"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    print(to_markdown(found))
    print("written:", write_report(asked.out, f"convolutions-{day_of(found)}", found, to_markdown(found)))


def _network(name: str, options: dict[str, Any], batch: int) -> tuple[nn.Module, Tensor]:
    return build_model(name, **options).train(), torch.rand(batch, 3, 48, 48)


def _layer(channels: int, side: int, batch: int) -> tuple[nn.Module, Tensor]:
    picture = torch.rand(batch, channels, side, side, dtype=torch.bfloat16, requires_grad=True)
    return nn.Conv2d(channels, channels, 3, padding=1, bias=False), picture


def compare(model: nn.Module, x: Tensor, pairs: int) -> dict[str, Any]:
    """Return milliseconds a step by PyTorch and by ferkit, the medians of ``pairs`` of each, and each pair's ratio."""
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    x = x.detach().to(memory_format=torch.channels_last).requires_grad_(x.requires_grad)
    sides: dict[str, Callable[[], AbstractContextManager[object]]] = {
        "pytorch": nullcontext,
        "ferkit": lambda: quick_convolutions(model, CPU),
    }
    times: dict[str, list[float]] = {side: [] for side in sides}
    for number in range(WARMUP + pairs):
        for side in sorted(sides, reverse=number % 2 > 0):  # so that neither always comes after the other
            times[side].append(_step(model, optimizer, x, sides[side]()))
    kept = {side: seconds[WARMUP:] for side, seconds in times.items()}
    ratios = [theirs / ours for theirs, ours in zip(kept["pytorch"], kept["ferkit"], strict=True)]
    return {
        **{side: round(1000 * median(seconds), 2) for side, seconds in kept.items()},
        "ratios": [round(ratio, 3) for ratio in ratios],
    }


def _step(model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, way: AbstractContextManager[object]) -> float:
    """Return the seconds of one step of training."""
    began = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16), way:
        y = model(x)
    y.float().square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()
    x.grad = None
    return time.perf_counter() - began


def to_markdown(found: dict[str, Any]) -> str:
    """Render what was found."""
    environment = found["environment"]
    versions = ", ".join(f"{name} {number}" for name, number in environment["versions"].items())
    commit = f"{environment['commit']}{' with changes' if environment['dirty'] else ''}"
    titles = ["PyTorch, ms", "ferkit, ms", "ratio", "of single pairs"]
    networks = [[label, *_cells(times)] for label, times in found["networks"].items()]
    layers = [
        [
            f"{times['channels']} to {times['channels']} channels, {times['side']} x {times['side']} pixels",
            *_cells(times),
        ]
        for times in found["layers"]
    ]
    lines = [
        "# Steps of training: PyTorch's convolutions and ferkit's, by turns",
        "",
        f"Batches of {found['batch']}, {found['pairs']} pairs of steps, medians; a ratio is that of a pair, above 1",
        "where ferkit is quicker.",
        "Generated by `benchmarks/convolutions.py`; [what it measures](../README.md).",
        "",
        *_table(["network", *titles], networks),
        "",
        *_table(["3 x 3 convolution alone", *titles], layers),
        "",
        f"- processor: {environment['device']}, {environment['threads']} threads; {environment['platform']}",
        f"- cores used by others: {in_words(found['others'])}",
        f"- versions: {versions}; commit {commit}",
        f"- finished: {found['finished']}",
    ]
    return "\n".join(lines) + "\n"


def _cells(times: dict[str, Any]) -> list[str]:
    ratios = times["ratios"]
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    return [f"{times['pytorch']:.1f}", f"{times['ferkit']:.1f}", f"{median(ratios):.2f}", spread]


def _table(titles: list[str], rows: list[list[str]]) -> list[str]:
    ruler = ["---", *["---:"] * (len(titles) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (titles, ruler, *rows)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--network", action="append", choices=NETWORKS, help="only this one; may be repeated")
    parser.add_argument("--pairs", type=count, default=9, help="of steps to time")
    parser.add_argument("--batch", type=count, default=128, help="faces of a step")
    parser.add_argument("--threads", type=count, help="of PyTorch, instead of its own choice")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "reports", help="folder of the report")
    return parser


if __name__ == "__main__":
    plainly(main)
