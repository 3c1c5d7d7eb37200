"""``ferkit evaluate``: a finished run and fer2013.csv to numbers and a page."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ferkit.cli.accuracies import WITHOUT_COPIES, accuracies
from ferkit.cli.options import Data, Device, Views
from ferkit.cli.terminal import notice, with_notes

if TYPE_CHECKING:
    from ferkit.data import Split
    from ferkit.training.recipe import Recipe

_FILES = {"confusion_png": "\nconfusion matrix", "report_html": "report"}
"""What is written, by its name in JSON, with its name in the text."""


def evaluate(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Folders written by `ferkit train`; several answer together.")
    ],
    data: Data,
    protocol: Annotated[
        str | None, typer.Option("--protocol", help="standard or report; the run's own if left out.")
    ] = None,
    split: Annotated[
        str, typer.Option("--split", help="test, validation, or Training, PublicTest, PrivateTest.")
    ] = "test",
    views: Views = "",
    votes: Annotated[
        Path | None,
        typer.Option("--votes", metavar="FILE", help="FER+ votes (fer2013new.csv) to compare with, beside the labels."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for the confusion matrix; the run's own, with its page, if left out."),
    ] = None,
    device: Annotated[Device, typer.Option("--device", help="auto: cuda if there is one.")] = Device.AUTO,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Evaluate a run in float32: loss, accuracy with its interval, each class, confusion matrix, page.

    The whole split is evaluated and, unless it is Training, once more without the faces that also appear in Training.
    With --votes, the answers are also compared with the class that FER+ taggers chose most often; in a tie, any of the
    tied classes is right. Several runs form an ensemble: the mean of their probabilities is evaluated. The --views of a
    face are averaged in the same way. The run's page is written only for a single run without --views, and only if the
    data is what the run was evaluated on.
    """
    notice(f"evaluating {', '.join(map(str, runs))}")
    from ferkit.data import Protocol, Split, read_fer2013
    from ferkit.data.votes import read_votes
    from ferkit.errors import RunError, UnknownNameError
    from ferkit.inference.views import parse_views
    from ferkit.report.page import write_page
    from ferkit.training.environment import choose_device
    from ferkit.training.evaluate import evaluate_together
    from ferkit.training.folder import RunFolder
    from ferkit.training.result import fits

    if protocol is not None and protocol not in list(Protocol):
        raise UnknownNameError("protocol", protocol, list(Protocol))
    recipes = [RunFolder(run).read_recipe() for run in runs]
    where = choose_device(device)
    protocols = {recipe.protocol for recipe in recipes}
    if protocol is None and len(protocols) > 1:
        raise RunError(
            f"the runs have different protocols ({', '.join(sorted(protocols))}); choose one with --protocol"
        )
    named = Protocol(protocol) if protocol else recipes[0].protocol
    splits = {**named.roles, **{s.value: s for s in Split}}
    if split not in splits:
        raise UnknownNameError("split", split, splits)
    chosen = splits[split]
    seen = parse_views(views)
    plain = len(runs) == 1 and not seen
    own = RunFolder(runs[0]).read_result(("evaluation",)) if plain and out is None else None
    faces = with_notes(read_fer2013(data))
    if chosen is named.test and len(faces.split(chosen)):
        _warn(runs, recipes, chosen)
    said = None if votes is None else read_votes(votes, faces)
    found = evaluate_together(runs, faces, [chosen], seen, where, said)[chosen].parts()
    title = _title(recipes, len(runs), seen)
    if own is not None and not fits(own, faces, chosen):
        typer.echo(f"nothing is written to {runs[0]}: {data} is other data than the run was evaluated on", err=True)
        own = None
    if not as_json:  # before files, which a folder may refuse
        _print(found, f"{title}, protocol {named.value}", chosen.value)
    files: dict[str, Path | None] = dict.fromkeys(_FILES)
    try:
        if own is not None or out is not None:
            files["confusion_png"] = _draw(found, title, chosen.value, out or runs[0])
        if own is not None and not own.get("reopened"):
            files["report_html"] = write_page(runs[0], faces)
    finally:  # whatever could not be written
        if as_json:
            told = {
                **({"run": str(runs[0])} if len(runs) == 1 else {"runs": [str(run) for run in runs]}),
                "model": title,
                "views": list(seen),
                "protocol": named.value,
                "split": chosen.value,
                **{name: None if file is None else str(file) for name, file in files.items()},
                **{name: evaluation.to_dict() for name, evaluation in found.items()},
            }
            typer.echo(json.dumps(told, indent=1))
        else:
            typer.echo("".join(f"{_FILES[name]}: {file}\n" for name, file in files.items() if file), nl=False)


def _title(recipes: "list[Recipe]", networks: int, views: Sequence[str]) -> str:
    title = ", ".join(dict.fromkeys(", ".join((recipe.model, *recipe.others)) for recipe in recipes))
    title += f", {networks} networks" if networks > 1 else ""
    return title + (f", views {', '.join(views)}" if views else "")


def _warn(runs: list[Path], recipes: "list[Recipe]", test: "Split") -> None:
    """Say on stderr where a number on ``test`` is no test, or uses one up."""
    from ferkit.training.folder import RunFolder

    for run, recipe in zip(runs, recipes, strict=True):
        result = RunFolder(run).read_result(("evaluation",))
        if test is not recipe.protocol.test:
            typer.echo(f"warning: {run} was chosen on {test.value}, by its protocol {recipe.protocol.value}", err=True)
        elif "test" not in result["evaluation"] and not result.get("reopened"):
            said = f"{run} had not read {test.value}; what is chosen by it now has no test left"
            typer.echo(f"warning: {said}", err=True)


def _draw(found: dict[str, Any], title: str, split: str, folder: Path) -> Path:
    from ferkit.errors import RunError
    from ferkit.report import figures

    picture = folder / f"confusion-{split}.png"
    try:
        with figures.writing(picture):
            figures.save(figures.confusion(found["all"].confusion, f"{title} on {split}"), picture)
    except RunError as error:
        raise RunError(f"{error}; name another folder with --out") from None
    return picture


def _print(found: dict[str, Any], title: str, split: str) -> None:
    from ferkit.labels import EXPRESSIONS

    typer.echo(title)
    names = {"all": split, "without_copies": WITHOUT_COPIES, "by_votes": "  by FER+ votes"}
    typer.echo(accuracies([(names[name], evaluation) for name, evaluation in found.items()]))
    typer.echo("\n" + found["all"].to_text() + "\n")
    typer.echo("confusion matrix (rows true, columns predicted)")
    typer.echo(f"{'':>9}" + "".join(f"{name:>9}" for name in EXPRESSIONS))
    for name, row in zip(EXPRESSIONS, found["all"].confusion, strict=True):
        typer.echo(f"{name:>9}" + "".join(f"{count:9d}" for count in row))
