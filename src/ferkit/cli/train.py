"""``ferkit train``: a recipe and fer2013.csv to a run folder."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.progress import Progress

    from ferkit.training.compiled import Compiled
    from ferkit.training.loop import Step
    from ferkit.training.run import Started
    from ferkit.training.state import Epoch

LINE_SECONDS = 30.0
"""Between two lines of progress where there is no terminal."""


def train(
    data: Annotated[Path, typer.Option("--data", help="fer2013.csv, packed or not, or the folder form.")],
    out: Annotated[Path, typer.Option("--out", help="Run folder to write.")],
    recipe: Annotated[
        str | None, typer.Option("--recipe", help="A name printed by `ferkit recipes`, or a .toml file.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Change one setting; may be repeated.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    max_minutes: Annotated[
        float | None, typer.Option("--max-minutes", min=0, help="Stop cleanly after so long; --resume goes on.")
    ] = None,
    devices: Annotated[int, typer.Option("--devices", min=1, help="Processes, one a device; several use DDP.")] = 1,
    workers: Annotated[
        int | None, typer.Option("--workers", min=0, help="Processes that prepare batches; changes no number.")
    ] = None,
    save_seconds: Annotated[
        float, typer.Option("--save-seconds", min=0, help="Time between two checkpoints inside an epoch.")
    ] = 120.0,
    augment_backend: Annotated[
        str | None,
        typer.Option("--augment-backend", metavar="NAME", help="auto, albumentations or batched: short for --set."),
    ] = None,
    compiling: Annotated[
        str,
        typer.Option("--compile", metavar="WHEN", help="Use torch.compile: on, off, or auto, in long runs on a GPU."),
    ] = "auto",
) -> None:
    """Train a network, evaluate it and write its report page.

    Stopped by Ctrl-C, SIGTERM or --max-minutes, a run is saved after the batch it is at; --resume goes on with it and
    ends with the same numbers as if it had never stopped.
    """
    from ferkit.data import read_fer2013
    from ferkit.report.page import write_page
    from ferkit.training.compiled import Compiled
    from ferkit.training.loop import Step
    from ferkit.training.run import Finished, Started, Stopped
    from ferkit.training.run import train as run
    from ferkit.training.state import Epoch

    changes = [*(settings or []), *([f"augment_backend={augment_backend}"] if augment_backend else [])]
    chosen = _recipe(recipe, changes, out, resume=resume)
    faces = read_fer2013(data)
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
                    resuming = f"ferkit train --resume --data {data} --out {out}"
                    typer.echo(f"{event}; go on with: {resuming}", err=True)
                    raise typer.Exit(128 + event.signal if event.signal else 0)
                case Finished():
                    view.close()
                    print_evaluation(event.result)
                    print_speed(event.result)
                    page = write_page(out, faces)
                    typer.echo(f"report: {page}")
    finally:
        view.close()


def print_evaluation(result: dict[str, Any]) -> None:
    """Print what a run did on each split, and the table of the test split."""
    from ferkit.evaluation.metrics import Evaluation

    typer.echo(f"protocol {result['protocol']}, weights of epoch {result['kept_epoch']}")
    for name, values in result["evaluation"].items():
        evaluation = Evaluation(**{k: v for k, v in values.items() if k != "split"})
        typer.echo(f"{describe(name)} ({values['split']}): {one_line(evaluation)}")
    if "test" in result["evaluation"]:
        values = {k: v for k, v in result["evaluation"]["test"].items() if k != "split"}
        typer.echo("\n" + Evaluation(**values).to_text() + "\n")


def print_speed(result: dict[str, Any]) -> None:
    """Print the share of the device's peak that training reached, if the run measured it."""
    if "peak_share" in result:
        peak = f"the {result['peak_flops'] / 1e12:.3g} TFLOP/s of a matrix product in {result['precision']}"
        typer.echo(f"speed: {result['peak_share']:.1%} of {peak}")


def describe(name: str) -> str:
    """Return the words for a key of ``result["evaluation"]``."""
    return {"test_without_copies": "test without copies of Training images"}.get(name, name)


def one_line(evaluation: Any) -> str:
    """Return loss and accuracy with its interval, in percent."""
    low, high = evaluation.interval
    return (
        f"loss {evaluation.loss:.4f}, accuracy {evaluation.accuracy:.2%} "
        f"(95 % interval {100 * low:.2f} to {high:.2%}, {evaluation.faces} faces)"
    )


def _recipe(name: str | None, settings: list[str], out: Path, *, resume: bool) -> Any:
    from ferkit.errors import RecipeError
    from ferkit.training.folder import RunFolder
    from ferkit.training.recipe import with_settings
    from ferkit.training.recipes import get_recipe

    if name is not None:
        return with_settings(get_recipe(name), settings)
    if resume and RunFolder(out).recipe.exists():
        return with_settings(RunFolder(out).read_recipe(), settings)
    raise RecipeError("--recipe NAME is missing; `ferkit recipes` lists them")


class _View:
    """Shows a run: a bar with the time left on a terminal, lines elsewhere; both on stderr."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True, highlight=False)
        self._bar: Progress | None = None

    def start(self, started: "Started") -> None:
        recipe = started.recipe
        self._epochs, self._steps = recipe.epochs, started.steps
        self._first = self._done = started.epoch * started.steps + started.step
        self._total = recipe.epochs * started.steps
        self._began = self._said = time.monotonic()
        self._print(str(started))
        if self._console.is_terminal:
            self._start_bar()

    def step(self, step: "Step") -> None:
        self._done = (step.epoch - 1) * self._steps + step.step
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, description=f"epoch {step.epoch}/{self._epochs}")
        elif time.monotonic() - self._said >= LINE_SECONDS:
            self._said = time.monotonic()
            self._print(f"epoch {step.epoch}/{self._epochs}, batch {step.step}/{step.steps}, {self._left()} left")

    def epoch(self, epoch: "Epoch") -> None:
        self._said = time.monotonic()
        left = "" if self._bar is not None else f"; {self._left()} left"
        self._print(f"{epoch}{left}")

    def say(self, event: "Compiled") -> None:
        self._print(str(event))

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _start_bar(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=self._console)
        self._task = self._bar.add_task("epoch", total=self._total, completed=self._done)
        self._bar.start()

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, soft_wrap=True)

    def _left(self) -> str:
        done = self._done - self._first
        seconds = (time.monotonic() - self._began) / max(done, 1) * (self._total - self._done)
        minutes, seconds = divmod(round(seconds), 60)
        return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
