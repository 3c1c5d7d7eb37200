"""``ferkit search``: which settings do best on PublicTest."""

import json
import shlex
import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ferkit.cli.options import Data
from ferkit.cli.screen import Screen
from ferkit.cli.terminal import beside, no_nan, notice

if TYPE_CHECKING:
    from ferkit.sweeps.trials import Event, Over, Trial

SHOWN = 10
"""Trials in the table."""

_WIDE = 140  # of the table, where there is no terminal


class Pruner(StrEnum):
    """How trials end early."""

    ASHA = "asha"
    HYPERBAND = "hyperband"
    NONE = "none"


def search(
    data: Data,
    recipe: Annotated[str, typer.Option("--recipe", help="A name printed by `ferkit recipes`, or a .toml file.")],
    space: Annotated[Path, typer.Option("--space", metavar="FILE", help="TOML: a table for each setting that varies.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the search; an existing search is continued.")],
    trials: Annotated[
        int, typer.Option("--trials", min=1, help="Number of trials in all, including those already done.")
    ] = 20,
    pruner: Annotated[
        Pruner, typer.Option("--pruner", help="How to end trials early that fall behind others at the same epoch.")
    ] = Pruner.ASHA,
    max_minutes: Annotated[
        float | None,
        typer.Option(
            "--max-minutes",
            min=0,
            callback=no_nan,
            help="Stop cleanly after so many minutes; the same command continues.",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="Decides what is tried; trials are trained with the recipe's own seed.")
    ] = 0,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Change one setting; may be repeated.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Search for settings that do well on PublicTest; PrivateTest is never read. Continues wherever it was stopped.

    Stopped by Ctrl-C, SIGTERM or --max-minutes, the current trial is saved after its batch; the same command continues
    it, also after a crash or a kill. Several processes may share one --out.
    """
    notice(f"reading {data}")
    from ferkit.data import read_fer2013
    from ferkit.sweeps.search import check_recipe
    from ferkit.sweeps.search import search as run
    from ferkit.sweeps.search_space import read_space
    from ferkit.sweeps.trials import Over, Setup
    from ferkit.training.recipe_text import with_settings
    from ferkit.training.recipes import check_made_for, get_recipe

    base = with_settings(get_recipe(recipe), settings or [])
    check_made_for(recipe, base)
    check_recipe(base)
    setup = Setup(
        recipe=base,
        space=read_space(space, base, pruned=pruner is not Pruner.NONE),
        pruner=pruner.value,
        seed=seed,
    )
    view = _View(trials)
    over: Over | None = None
    try:
        for event in run(setup, read_fer2013(data), out, trials=trials, max_minutes=max_minutes):
            if isinstance(event, Over):
                over = event
            else:
                view.show(event)
    finally:
        view.close()
    assert over is not None
    _print(over, out, as_json=as_json)
    if over.reason:
        again = shlex.join(["ferkit", *sys.argv[1:]])
        typer.echo(f"stopped ({over.reason}), saved\ngo on with: {again}", err=True)
        raise typer.Exit(128 + over.signal if over.signal else 0)
    if over.best is None and not over.elsewhere:
        raise typer.Exit(1)


def _print(over: "Over", out: Path, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(_plain(over, out), indent=1))
        return
    if over.trials:
        _print_table(over.trials, over.importance)
    if over.importance:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in over.importance.items())
        typer.echo(beside("what decides: ", shares))
    for trial in over.trials:
        if trial.problem:
            typer.echo(f"trial {trial.number} failed: {trial.problem}")
    if over.elsewhere:
        typer.echo(f"in other processes: {over.elsewhere} running")
    if over.best is None:
        typer.echo("no trial is finished")
    else:
        typer.echo(f"best: trial {over.best.number}, {_percent(over.best)} on PublicTest; its recipe: {over.recipe}")


def _print_table(trials: "tuple[Trial, ...]", importance: Mapping[str, float]) -> None:
    """Print the best trials; the settings that decide most come first."""
    from rich.console import Console
    from rich.table import Table

    known = dict.fromkeys(name for trial in trials for name in trial.settings)
    names = sorted(known, key=lambda name: -importance.get(name, 0.0))
    sheet = Table("trial", "accuracy", "epochs", "state", *names, box=None, pad_edge=False)
    for column in (0, 1, 2, *range(4, 4 + len(names))):
        sheet.columns[column].justify = "right"
    for trial in trials[:SHOWN]:
        values = [_text(trial.settings.get(name, "")) for name in names]
        sheet.add_row(str(trial.number), _percent(trial), str(trial.epoch), trial.state, *values)
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDE)
    console.print(sheet)
    states = [trial.state for trial in trials]
    counts = [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
    typer.echo(f"{len(trials)} trials: {', '.join(counts)}")


def _plain(over: "Over", out: Path) -> dict[str, Any]:
    from ferkit.data import Protocol

    trials = [
        {
            "number": trial.number,
            "state": trial.state,
            "accuracy": trial.accuracy,
            "epoch": trial.epoch,
            "settings": dict(trial.settings),
            "run": str(out / "trials" / str(trial.number)),
            **({"problem": trial.problem} if trial.problem else {}),
        }
        for trial in over.trials
    ]
    return {
        "protocol": Protocol.STANDARD.value,
        "split": Protocol.STANDARD.validation.value,
        "best": None if over.best is None else over.best.number,
        "recipe": None if over.recipe is None else str(over.recipe),
        "importance": dict(over.importance),
        "stopped": over.reason,
        "elsewhere": over.elsewhere,
        "trials": trials,
    }


def _percent(trial: "Trial") -> str:
    return "-" if trial.accuracy is None else f"{trial.accuracy:.2%}"


def _text(value: object) -> str:
    """Return a setting for people: a number with four digits.

    Example:
        >>> _text(0.0123456), _text(64), _text((8, 16)), _text(True)
        ('0.01235', '64', '8,16', 'true')
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.4g}"
    return ",".join(map(_text, value)) if isinstance(value, list | tuple) else str(value)


def _settings(trial: "Trial") -> str:
    return ", ".join(f"{name}={_text(value)}" for name, value in trial.settings.items())


class _View:
    """Shows trials: a line when one begins or ends and, on a terminal, a bar for the one at hand; all on stderr."""

    def __init__(self, trials: int) -> None:
        self._screen = Screen()
        self._trials = trials

    def show(self, event: "Event") -> None:
        from ferkit.sweeps.trials import Advanced, Begun, Ended

        match event:
            case Begun():
                trial = event.trial
                on = f", goes on after epoch {trial.epoch}" if trial.epoch else ""
                self._screen.say(f"trial {trial.number} ({trial.number + 1} of {self._trials}){on}: {_settings(trial)}")
                self._epochs = event.epochs
                text = self._text(trial.number, trial.epoch + 1)
                self._screen.begin("trial", text, whole=1, done=trial.epoch / event.epochs)
            case Advanced():
                self._screen.advance("trial", event.share, self._text(event.number, event.epoch))
            case Ended():
                self._screen.end("trial")
                trial = event.trial
                if trial.state == "failed":
                    self._screen.say(f"trial {trial.number} failed: {trial.problem}")
                elif trial.state != "running":
                    self._screen.say(f"trial {trial.number} {trial.state}: {_percent(trial)} after epoch {trial.epoch}")

    def close(self) -> None:
        self._screen.close()

    def _text(self, number: int, epoch: int) -> str:
        return f"trial {number}, epoch {epoch}/{self._epochs}"
