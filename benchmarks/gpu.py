"""Whether training on a GPU waits for its data, and what share of the GPU's peak it gets out of it.

Run:      python benchmarks/gpu.py [--model model3] [--way batched] [--batches N] [--out FOLDER]
Costs:    about five minutes on one GPU with 16 cores beside it, most of them compiling; nothing else should use it.
Expected: recipe ``final``, Model 3 with doubled widths, at 40 % of the peak in bf16 measured there, on one H200.
Dry run:  python benchmarks/gpu.py --device cpu --model layers --batches 3 --out /tmp   does it run?

Trains each recipe for some batches in several ways: batches prepared by Albumentations in processes, or by the batched
augmentation on the device; a batch launched as a whole, from a CUDA graph, or kernel by kernel; the network as it is,
compiled by torch.compile, or compiled with CUDA graphs of its own; laid out channels last or not. The faces are random
pictures, which take as long as others. The first batches are not timed: they use up what the loader's processes
prepared before, choose algorithms and compile. Beside that both forms of the augmentation alone, the best of some
rounds, with one thread of the processor and, if there is one, on the GPU.
"""

import argparse
import logging
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric

from command_line import count, plainly
from ferkit.data import Faces
from ferkit.errors import OptionError, TrainingError
from ferkit.models import build_model
from ferkit.models.flops import training_flops
from ferkit.training.augment import build_augmentation
from ferkit.training.augment_batched import Draws, augment_batch, draw
from ferkit.training.batches import AHEAD, default_workers, send, steps_per_epoch
from ferkit.training.compiled import Compiled
from ferkit.training.environment import FABRIC_PRECISION, choose_device, choose_precision
from ferkit.training.loop import Step, fit
from ferkit.training.recipe import Recipe
from ferkit.training.recipes import RECIPES, get_recipe
from ferkit.training.speed import peak_flops, peak_share
from ferkit.training.state import new_state
from ferkit.training.surroundings import describe
from ferkit.training.tuning import tune_gpu
from report_files import write_report

GOAL = ("final", 0.40)
"""Recipe and share of the peak the project wants of one H200."""

ROUNDS = 7
"""Of each form of the augmentation alone."""

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Way:
    """One way to train."""

    augment_backend: str
    compile_mode: str = ""
    channels_last: bool = True
    graphs: bool = True
    """Record a batch and launch it as a whole."""


WAYS = {
    "albumentations": Way("albumentations"),
    "batched": Way("batched"),
    "batched, kernel by kernel": Way("batched", graphs=False),
    "batched, default layout": Way("batched", channels_last=False),
    "batched, compiled": Way("batched", "default"),
    "batched, compiled with CUDA graphs": Way("batched", "reduce-overhead"),
}
"""What is compared; on a CPU, where nothing is recorded, only those that do not compile: that would take minutes to say
nothing of a GPU."""


def main() -> None:
    """Measure what the command line asks for and write the report."""
    asked = _parser().parse_args()
    device = choose_device(asked.device)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    if device == "cuda":
        tune_gpu()
    content: dict[str, Any] = {"schema": SCHEMA, "finished": "", "environment": describe(device), "models": {}}
    content["environment"]["load"] = [round(load, 2) for load in os.getloadavg()]
    content["microseconds_a_face"] = {name: round(1e6 * measure_augmentation(name), 2) for name in _forms(device)}
    print(f"augmentation alone, microseconds a face: {content['microseconds_a_face']}", flush=True)
    content["device"] = device
    report = f"{'gpu' if device == 'cuda' else 'cpu'}-{datetime.now(UTC):%Y-%m-%d}"
    written: Path | None = None
    for name in asked.model or ["model3", "final"]:
        for found in measure_recipe(name, device, asked.batches, asked.way or list(WAYS)):
            content["models"][name] = found
            content["finished"] = datetime.now(UTC).isoformat(timespec="seconds")
            # each time, so that what cuts it short leaves the rest
            written = write_report(asked.out, report, content, to_markdown(content))
    if written is None:
        raise OptionError(f"--way: on this device ({device}) there is none of those asked for")
    print("written:", written, flush=True)


def measure_recipe(name: str, device: str, batches: int, labels: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield what each way to train a recipe reaches, as plain values, after one way more each time; prints each."""
    where: Any = device
    recipe = replace(get_recipe(name), device=where)
    precision, reason = choose_precision(recipe.precision, device)
    flops = training_flops(recipe.model, **recipe.options)
    ways: dict[str, Any] = {}
    for label in labels:
        way = WAYS[label]
        if device == "cpu" and (way.compile_mode or not way.graphs):
            continue
        try:
            found = measure(recipe, way, precision, batches)
        except Exception as error:  # such as no memory left; told in the report, and the other ways have their turn
            found = {"problem": f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"}
        ways[label] = found
        if "faces_per_second" in found:
            share = peak_share(flops, found["faces_per_second"], peak_flops(device, precision))
            found["peak_share"] = None if share is None else round(share, 4)
        print(f"{name}, {label}: {found}", flush=True)
        yield {
            "recipe": recipe.to_dict(),
            "precision": f"{precision} ({reason})",
            "flops_per_face": flops,
            "peak_flops": round(peak_flops(device, precision)),
            "batches": batches,
            "ways": ways,
        }


def measure(recipe: Recipe, way: Way, precision: str, batches: int) -> dict[str, Any]:
    """Train some batches; return faces a second, the memory that took and the seconds of compiling."""
    named: Any = FABRIC_PRECISION[precision]
    fabric = Fabric(accelerator=recipe.device, devices=1, precision=named)
    fabric.launch()
    backend: Any = way.augment_backend
    recipe = replace(recipe, augment_backend=backend)
    workers = default_workers(fabric.device)
    warm = max(2, batches // 4) + (16 * workers if backend == "albumentations" else 0)
    train, valid = random_faces((warm + batches + 1) * recipe.batch_size), random_faces(2)  # less than an epoch
    torch.manual_seed(0)
    model = build_model(recipe.model, **recipe.options)
    if not way.channels_last:
        model = model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        model.register_forward_pre_hook(lambda _, inputs: (inputs[0].contiguous(),))
    state = new_state(recipe, steps_per_epoch(len(train), recipe.batch_size), fabric.device, model)
    events = fit(fabric, state, recipe, train, valid, workers=workers, compile_mode=way.compile_mode, graphs=way.graphs)
    found: dict[str, Any] = {}
    if way.compile_mode:
        compiled = next(events)
        assert isinstance(compiled, Compiled)
        if compiled.problem:
            return {"problem": compiled.problem}
        found["compile_seconds"] = round(compiled.seconds, 1)
    on_gpu = fabric.device.type == "cuda"
    _advance(events, warm)
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
        torch.cuda.synchronize()
    began = time.perf_counter()
    _advance(events, batches)
    if on_gpu:
        torch.cuda.synchronize()
        found["gigabytes"] = round(torch.cuda.max_memory_allocated() / 1e9, 2)
    found["faces_per_second"] = round(batches * recipe.batch_size / (time.perf_counter() - began), 1)
    return found


def _advance(events: Iterator[Any], batches: int) -> None:
    done = 0
    while done < batches:
        event = next(events)
        done += isinstance(event, Step)
        if isinstance(event, Compiled):  # where a batch cannot be recorded, this way to train is another
            raise TrainingError(str(event))


def _forms(device: str) -> list[str]:
    return ["albumentations", "cpu", *(["cuda"] if device == "cuda" else [])]


def measure_augmentation(form: str) -> float:
    """Return the seconds a face takes, in the fastest of some rounds: of processor time, but on a GPU of wall time.

    Args:
        form: ``albumentations``; or the device of the batched form, ``cpu`` or ``cuda``, drawing included.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    faces = AHEAD.get(form, 256)
    images = random_faces(faces).images
    device = torch.device(form if form in AHEAD else "cpu")
    there, samples = torch.from_numpy(images).to(device), torch.arange(faces)
    pipeline = build_augmentation("report", 0)
    clock = time.perf_counter if form == "cuda" else time.process_time  # the latter leaves out what others use
    best = float("inf")
    for number in range(ROUNDS):
        began = clock()
        if form == "albumentations":
            for sample, image in enumerate(images):
                pipeline(image, epoch=number, sample=sample)
        else:
            draws = draw(0, torch.full_like(samples, number), samples)
            augment_batch(there, Draws(*(send(part, device) for part in draws)))
            if form == "cuda":
                torch.cuda.synchronize()
        best = min(best, clock() - began)
    torch.set_num_threads(threads)
    return best / faces


def random_faces(n: int) -> Faces:
    """Return random pictures."""
    rng = np.random.default_rng(0)
    return Faces(rng.integers(0, 256, (n, 48, 48), dtype=np.uint8), rng.integers(0, 7, n))


def to_markdown(content: dict[str, Any]) -> str:
    """Render the JSON."""
    environment = content["environment"]
    versions = ", ".join(f"{name} {number}" for name, number in environment["versions"].items())
    commit = f"{environment['commit']}{' with changes' if environment['dirty'] else ''}"
    lines = ["# Training speed on one device", ""]
    lines += ["Generated by `benchmarks/gpu.py`; [what it measures](../README.md).", ""]
    for name, found in content["models"].items():
        lines += _section(name, found)
    alone = ", ".join(f"{_FORMS[name]} {time:.4g}" for name, time in content["microseconds_a_face"].items())
    lines += ["## The augmentation alone", "", f"Microseconds a face: {alone}.", ""]
    lines += [f"- load of the machine over 1, 5 and 15 minutes at the start: {environment['load']}"]
    lines += [f"- device: {environment['device']}; {environment['platform']}", f"- versions: {versions}"]
    return "\n".join([*lines, f"- commit {commit}; finished {content['finished']}", ""])


_FORMS = {
    "albumentations": "Albumentations, one thread",
    "cpu": "batched, one thread",
    "cuda": "batched, on the GPU",
}


def _section(name: str, found: dict[str, Any]) -> list[str]:
    rows = []
    for label, way in found["ways"].items():
        cells = [
            f"{way['faces_per_second']:.4g}" if "faces_per_second" in way else way["problem"],
            "-" if way.get("peak_share") is None else f"{100 * way['peak_share']:.1f} %",
            str(way.get("compile_seconds", "-")),
            str(way.get("gigabytes", "-")),
        ]
        rows.append(f"| {label} | {' | '.join(cells)} |")
    best = max((way.get("peak_share") or 0.0 for way in found["ways"].values()), default=0.0)
    verdict = f"; {'reaches' if best >= GOAL[1] else 'misses'} the goal of {GOAL[1]:.0%}" if name == GOAL[0] else ""
    return [
        f"## Recipe {name}, batches of {found['recipe']['batch_size']}",
        "",
        f"**At best {best:.1%} of the peak of {found['peak_flops'] / 1e12:.4g} TFLOP/s{verdict}.**",
        "",
        f"{found['flops_per_face'] / 1e9:.4g} GFLOP a face; precision {found['precision']}; {found['batches']} batches",
        "",
        "| way | faces/s | share of peak | seconds to compile | GB |",
        "| --- | ---: | ---: | ---: | ---: |",
        *rows,
        "",
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--device", choices=["auto", "cuda", "cpu"], default="auto", help="where to train")
    parser.add_argument("--model", choices=RECIPES, action="append", help="a recipe; may be repeated")
    parser.add_argument("--way", choices=WAYS, action="append", help="a way to train; may be repeated; all if left out")
    parser.add_argument("--batches", type=count, default=200, help="batches to time")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "reports", help="folder of the report")
    return parser


if __name__ == "__main__":
    plainly(main)
