"""The ``ferkit`` program: commands, exit codes and the one place that turns errors into a line.

Exit codes: 0 done; 1 an error the user can mend, one line on stderr; 2 wrong usage; 128 + n stopped by signal n.
Results go to stdout, progress to stderr. A traceback is a bug.
"""

import io
import os
import sys
import traceback
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TextIO

import typer

from ferkit.cli import (
    card,
    data,
    evaluate,
    explain,
    export,
    models,
    recipes,
    recognize,
    reproduce,
    results,
    search,
    serve,
    signals,
    train,
)
from ferkit.cli.readings import STDOUT
from ferkit.errors import FerkitError, MissingExtraError

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Recognise facial expressions in photos and videos; train, evaluate and reproduce networks on FER2013.",
)
app.command("recognize")(recognize.recognize)
app.command("serve")(serve.serve)
app.command("train")(train.train)
app.command("search")(search.search)
app.command("evaluate")(evaluate.evaluate)
app.command("export")(export.export)
app.command("card")(card.card)
app.command("recipes")(recipes.recipes)
app.command("models")(models.models)
app.command("reproduce")(reproduce.reproduce)
app.command("results")(results.results)
app.add_typer(data.app, name="data")
app.add_typer(explain.app, name="explain")


def _version(value: bool) -> None:
    if value:
        from ferkit import __version__

        typer.echo(f"ferkit {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    pass


def main() -> None:
    """Run the program."""
    _take_standard_places()
    _forget_empty_settings()
    sys.stdout, sys.stderr = sys.stdout or _nothing(), sys.stderr or _nothing()
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal that lacks a letter shall not end the program
        sys.stdout.reconfigure(errors="backslashreplace")
    signals.take()
    try:
        _refuse_empty(sys.argv[1:])
        app()
        sys.stdout.flush()  # so that a full disk is told here
    except FerkitError as error:
        _fail(str(error))
    except ImportError as error:
        if signals.came:  # ONNX Runtime takes what a signal raises while it is loaded for a fault of its own
            sys.exit(128 + signals.came[-1])
        if (library := _at_fault(error)) == __name__.partition(".")[0]:
            raise
        if isinstance(error, ModuleNotFoundError) and error.name is not None:
            _fail(str(MissingExtraError(error.name, "train")))
        _fail(f"{library} cannot be loaded ({_why(error)})")
    except KeyboardInterrupt:
        sys.exit(130)
    except MemoryError:
        _fail("there is not enough memory")
    except BrokenPipeError:  # the reader of our output has gone, as `| head` does
        _drop_output()
        sys.exit(1)
    except OSError as error:
        where = "" if (named := _where(error)) is None else f"{named}: "
        _drop_output()  # where it was the output that could not be written
        _fail(f"{where}{error.strerror or error}")


def _refuse_empty(arguments: Sequence[str]) -> None:
    """Refuse an option with an empty value, as of a variable that is not set: a path would be the current folder."""
    empty = [option for option, value in pairwise(arguments) if not value]
    empty += [option[:-1] for option in arguments if option.endswith("=")]
    for option in empty:
        if option.startswith("--") and option != "--views":  # of which there may be none
            typer.echo(f"error: {option}: expected a value, got an empty one", err=True)
            sys.exit(2)


def _at_fault(error: ImportError) -> str:
    """Return the name of the package that could not be imported, or that could not import what it needs."""
    names = [error.name] if error.name is not None else []
    names += [str(frame.f_globals.get("__name__")) for frame, _ in traceback.walk_tb(error.__traceback__)][::-1]
    return next(
        name for name in (name.partition(".")[0] for name in names) if name not in {"importlib", "_frozen_importlib"}
    )


def _why(error: BaseException) -> str:
    """Return the first line of what an import failed of at last."""
    while isinstance(error.__cause__, ImportError):
        error = error.__cause__
    if "bad_alloc" in str(error):
        return "there is not enough memory"
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__).strip()


def _where(error: OSError) -> str | None:
    """Return what could not be read or written, as far as that is known."""
    if error.filename is not None:
        return str(error.filename)
    try:
        Path.cwd()
    except FileNotFoundError:
        return "the folder from which this was started"
    *_, (last, _) = traceback.walk_tb(error.__traceback__)
    writer = str(last.f_globals.get("__name__"))
    return STDOUT if writer == __name__ or writer.partition(".")[0] in {"typer", "click", "rich"} else None


def _forget_empty_settings() -> None:
    """Take settings of libraries that are no settings for none: they would end the program, or hide what it says."""
    for name in [name for name, value in os.environ.items() if name.startswith("OPENCV_") and not value.strip()]:
        del os.environ[name]
    for name in ("COLUMNS", "TERMINAL_WIDTH"):
        if not (os.environ.get(name, "1").isdecimal() and int(os.environ.get(name, "1"))):
            del os.environ[name]


def _take_standard_places() -> None:
    """Open nothing where the shell has closed input or output, so that no file of ours gets their numbers."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)


def _nothing() -> TextIO:
    """Return where output goes that the shell has closed, as by ``>&-``."""
    return Path(os.devnull).open("w", encoding="utf-8")


def _drop_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str) -> None:
    """Say what is wrong, without what a terminal would obey, and end."""
    said = "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in message)
    typer.echo(f"error: {said}", err=True)
    sys.exit(1)
