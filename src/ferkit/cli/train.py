"""``ferkit train``: a recipe and fer2013.csv to a run folder."""

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ferkit.cli.accuracies import WITHOUT_COPIES, accuracies
from ferkit.cli.options import Data
from ferkit.cli.screen import Screen
from ferkit.cli.terminal import no_nan, notice, with_notes

if TYPE_CHECKING:
    from ferkit.training.compiled import Compiled
    from ferkit.training.events import Started
    from ferkit.training.loop import Step
    from ferkit.training.recipe import Recipe
    from ferkit.training.state import Epoch

LINE_SECONDS = 30.0
"""Between two lines of progress where there is no terminal."""

_SIDE = f"{'loss':>7}{'acc':>8}{'prec':>6}{'rec':>6}{'F1':>6}"
_HEADER = f"{'':5}{'train':^{len(_SIDE)}}{'valid':^{len(_SIDE)}}\nepoch{_SIDE}{_SIDE} faces/s"


def train(
    data: Data,
    out: Annotated[Path, typer.Option("--out", help="Run folder to write.")],
    recipe: Annotated[
        str | None, typer.Option("--recipe", help="A name printed by `ferkit recipes`, or a .toml file.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Change one setting; may be repeated.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out.")] = False,
    max_minutes: Annotated[
        float | None,
        typer.Option(
            "--max-minutes", min=0, callback=no_nan, help="Stop cleanly after so many minutes; continue with --resume."
        ),
    ] = None,
    devices: Annotated[
        int, typer.Option("--devices", min=1, help="Processes that train, one for each device; several use DDP.")
    ] = 1,
    workers: Annotated[
        int | None, typer.Option("--workers", min=0, help="Processes that prepare batches; does not change results.")
    ] = None,
    save_seconds: Annotated[
        float,
        typer.Option("--save-seconds", min=0, callback=no_nan, help="Seconds between two checkpoints inside an epoch."),
    ] = 120.0,
    teacher: Annotated[
        list[Path] | None,
        typer.Option(
            "--teacher", metavar="RUN", help="A finished run to learn from, besides the labels; may be repeated."
        ),
    ] = None,
    votes: Annotated[
        Path | None,
        typer.Option("--votes", metavar="FILE", help="FER+ votes (fer2013new.csv) to learn from beside the labels."),
    ] = None,
    init: Annotated[
        Path | None, typer.Option("--init", metavar="RUN", help="A finished run whose weights to start from.")
    ] = None,
    augment_backend: Annotated[
        str | None,
        typer.Option("--augment-backend", metavar="NAME", help="auto, albumentations or batched: short for --set."),
    ] = None,
    compiling: Annotated[
        str,
        typer.Option(
            "--compile",
            metavar="WHEN",
            help="When to use torch.compile: auto (in long runs on a GPU), on, or off (no CUDA graphs, either).",
        ),
    ] = "auto",
) -> None:
    """Train a network, evaluate it and write its report page.

    A run that is stopped by Ctrl-C, SIGTERM or --max-minutes is saved after its current batch. On a CPU, one that is
    continued with --resume ends with the same numbers as if it had never stopped; on a GPU last bits differ.
    """
    notice(f"reading {data}")
    from ferkit.data import read_fer2013
    from ferkit.report.page import write_page
    from ferkit.training.compiled import Compiled
    from ferkit.training.events import Finished, Started, Stopped
    from ferkit.training.folder import RunFolder
    from ferkit.training.loop import Step
    from ferkit.training.needs import ask_others
    from ferkit.training.recipes import check_made_for
    from ferkit.training.run import train as run
    from ferkit.training.state import Epoch

    changes = [*(settings or []), *([f"augment_backend={augment_backend}"] if augment_backend else [])]
    chosen = _recipe(recipe, changes, out, resume=resume)
    if not (resume and RunFolder(out).recipe.exists()):
        given = {"--init RUN": init, "--teacher RUN": teacher, "--votes FILE": votes}
        check_made_for(recipe or "", chosen, [option for option, value in given.items() if value])
    faces = with_notes(read_fer2013(data))
    chosen, others = ask_others(
        chosen, faces, RunFolder(out), teachers=teacher or [], votes=votes, init=init, say=notice
    )
    events = run(
        chosen,
        faces,
        out,
        resume=resume,
        max_minutes=max_minutes,
        devices=devices,
        workers=workers,
        save_seconds=save_seconds,
        compiling=compiling,
        others=others,
    )
    view = _View()
    try:
        for event in events:
            match event:
                case Started():
                    view.start(event)
                case Compiled():
                    view.say(event)
                case Step():
                    view.step(event)
                case Epoch():
                    view.epoch(event)
                case Stopped():
                    view.close()
                    typer.echo(f"{event}\ngo on with: {_resuming(data, out, devices, compiling)}", err=True)
                    raise typer.Exit(128 + event.signal if event.signal else 0)
                case Finished():
                    view.close()
                    try:
                        page = write_page(out, faces)  # first, as the output may be full, or its reader gone
                    finally:
                        print_evaluation(event.result)
                        print_speed(event.result)
                    typer.echo(f"report: {page}")
    finally:
        view.close()


def _resuming(data: Path, out: Path, devices: int, compiling: str) -> str:
    """Return the command that goes on to the same numbers; what else they depend on is kept in the run folder."""
    words = ["ferkit", "train", "--resume", "--data", str(data), "--out", str(out)]
    words += ["--devices", str(devices)] if devices > 1 else []
    words += ["--compile", compiling] if compiling != "auto" else []
    return shlex.join(words)


def print_evaluation(result: dict[str, Any]) -> None:
    """Print what a run did on each split, and the table of the test split."""
    from ferkit.evaluation.metrics import Evaluation

    found = {name: Evaluation.from_dict(values) for name, values in result["evaluation"].items()}
    labels = {name: f"{name} ({result['evaluation'][name]['split']})" for name in found}
    labels.update({name: WITHOUT_COPIES for name in found if name.endswith("_without_copies")})
    typer.echo(f"protocol {result['protocol']}, weights of epoch {result['kept_epoch']}")
    typer.echo(accuracies([(labels[name], evaluation) for name, evaluation in found.items()]))
    if "test" in found:
        typer.echo("\n" + found["test"].to_text() + "\n")


def print_speed(result: dict[str, Any]) -> None:
    """Print the share of the device's peak that training reached, if the run measured it."""
    if result.get("peak_share") is not None:
        peak = f"the {result['peak_flops'] / 1e12:.3g} TFLOP/s of a matrix product in {result['precision']}"
        typer.echo(f"speed: {result['peak_share']:.1%} of {peak}")


def _recipe(name: str | None, settings: list[str], out: Path, *, resume: bool) -> "Recipe":
    from ferkit.errors import RecipeError, RunError
    from ferkit.training.folder import RunFolder
    from ferkit.training.recipe_text import with_settings
    from ferkit.training.recipes import get_recipe

    if name is not None:
        return with_settings(get_recipe(name), settings)
    if resume:
        if not RunFolder(out).recipe.exists():
            raise RunError(f"{out}: expected a run to go on with, found none; begin one with --recipe")
        return with_settings(RunFolder(out).read_recipe(), settings)
    raise RecipeError("--recipe NAME is missing; `ferkit recipes` lists them")


def _row(epoch: "Epoch") -> str:
    """Return ``epoch`` in the columns of the header: 79 of them, for a terminal of 80."""
    sides = "".join(
        f"{m.loss:7.3f}{m.accuracy:8.2%}{m.precision:6.3f}{m.recall:6.3f}{m.f1:6.3f}"
        for m in (epoch.train, epoch.valid)
    )
    return f"{epoch.number:5}{sides}{epoch.faces_per_second:8.0f}"


class _View:
    """Shows a run: a table and a bar with the time left on a terminal, lines elsewhere; all on stderr."""

    def __init__(self) -> None:
        self._screen = Screen("{task.completed:.0f}/{task.total:.0f} batches,")

    def start(self, started: "Started") -> None:
        recipe = started.recipe
        self._epochs, self._steps = recipe.epochs, started.steps
        self._first = self._done = started.epoch * started.steps + started.step
        self._total = recipe.epochs * started.steps
        self._began = self._said = time.monotonic()
        self._screen.say(str(started))
        if self._screen.is_terminal:
            self._screen.say(f"\n{_HEADER}")
            self._screen.begin("run", f"epoch {started.epoch + 1}/{recipe.epochs}", self._total, self._done)

    def step(self, step: "Step") -> None:
        self._done = (step.epoch - 1) * self._steps + step.step
        self._screen.advance("run", self._done, f"epoch {step.epoch}/{self._epochs}")
        if not self._screen.is_terminal and time.monotonic() - self._said >= LINE_SECONDS:
            self._said = time.monotonic()
            self._screen.say(f"epoch {step.epoch}/{self._epochs}, batch {step.step}/{step.steps}, {self._left()} left")

    def epoch(self, epoch: "Epoch") -> None:
        self._said = time.monotonic()
        self._screen.say(_row(epoch) if self._screen.is_terminal else f"{epoch}; {self._left()} left")
        if epoch.number == self._epochs:
            self._screen.advance("run", self._done, "evaluating")

    def say(self, event: "Compiled") -> None:
        self._screen.say(str(event))

    def close(self) -> None:
        if self._screen.close():
            self._screen.say("")

    def _left(self) -> str:
        done = self._done - self._first
        seconds = (time.monotonic() - self._began) / max(done, 1) * (self._total - self._done)
        minutes, seconds = divmod(round(seconds), 60)
        return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
