"""``ferkit search``: which settings of a recipe reach most on PublicTest."""

import json
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ferkit.cli.terminal import notice

if TYPE_CHECKING:
    from ferkit.report.search import Trial

SHOWN = 10
"""Trials of the table that is printed at the end."""


def search(
    data: Annotated[Path, typer.Option("--data", help="fer2013.csv, packed or not, or the folder form.")],
    space: Annotated[
        Path, typer.Option("--space", help="TOML: a table for each setting, with low and high, or choices.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder of the search; the same command goes on with it.")],
    recipe: Annotated[str, typer.Option("--recipe", help="A name printed by `ferkit recipes`, or a .toml file.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Change one setting; may be repeated.")
    ] = None,
    trials: Annotated[int, typer.Option("--trials", min=1, help="How many in all, with those of earlier calls.")] = 20,
    pruner: Annotated[
        str, typer.Option("--pruner", help="Which runs are given up early: asha, hyperband or none.")
    ] = "asha",
    max_minutes: Annotated[
        float | None, typer.Option("--max-minutes", min=0, help="Stop cleanly after so long; the same command goes on.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Try settings of a recipe, judged on PublicTest; PrivateTest is never read.

    Each trial is a run folder below --out; the best settings are in best.toml there, for `ferkit train --recipe`.
    Stopped or killed, the same command goes on.
    """
    notice(f"reading {data}")
    from ferkit.data import read_fer2013
    from ferkit.report.search import Trial, found, importance, read_space
    from ferkit.report.search import search as run
    from ferkit.training.recipe import with_settings
    from ferkit.training.recipes import get_recipe
    from ferkit.training.run import Stopped
    from ferkit.training.state import Epoch

    chosen = with_settings(get_recipe(recipe), settings or [])
    ranges = read_space(space, chosen)
    stopped = None
    for event in run(chosen, ranges, read_fer2013(data), out, trials=trials, pruner=pruner, max_minutes=max_minutes):
        match event:
            case Epoch():
                notice(f"epoch {event.number}/{chosen.epochs}: accuracy {event.valid.accuracy:.2%}")
            case Trial():
                typer.echo(_line(event), err=True)
            case Stopped():
                stopped = event
    ended = found(chosen, ranges, out)
    shares = importance(chosen, ranges, out)
    if as_json:
        best = str(out / "best.toml") if (out / "best.toml").exists() else None
        typer.echo(
            json.dumps({"trials": [asdict(trial) for trial in ended], "importance": shares, "best": best}, indent=1)
        )
    else:
        _print(ended, shares, out)
    if stopped:
        typer.echo(f"{stopped}\ngo on with: {shlex.join(['ferkit', *sys.argv[1:]])}", err=True)
        raise typer.Exit(128 + stopped.signal if stopped.signal else 0)


def _line(trial: "Trial") -> str:
    settings = ", ".join(f"{name} {_short(value)}" for name, value in trial.settings.items())
    accuracy = "" if trial.accuracy is None else f", accuracy {trial.accuracy:.2%}"
    return f"trial {trial.number}: {trial.state} after epoch {trial.epochs}{accuracy}; {settings}"


def _print(trials: "list[Trial]", shares: dict[str, float], out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    names = list(dict.fromkeys(name for trial in trials for name in trial.settings))
    sheet = Table("trial", "PublicTest", "epochs", "state", *names, box=None, pad_edge=False)
    for column in sheet.columns[:3]:
        column.justify = "right"
    for trial in trials[:SHOWN]:
        accuracy = "-" if trial.accuracy is None else f"{trial.accuracy:.2%}"
        cells = [_short(trial.settings.get(name, "-")) for name in names]
        sheet.add_row(str(trial.number), accuracy, str(trial.epochs), trial.state, *cells)
    Console(highlight=False).print(sheet)
    if len(trials) > SHOWN:
        typer.echo(f"and {len(trials) - SHOWN} more in {out / 'trials'}")
    if shares:
        typer.echo("what matters: " + ", ".join(f"{name} {share:.0%}" for name, share in shares.items()))
    if (out / "best.toml").exists():
        typer.echo(f"best settings: {out / 'best.toml'}")


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
