"""``ferkit evaluate``: a finished run and fer2013.csv to numbers and a page."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ferkit.cli.terminal import notice


def evaluate(
    run: Annotated[Path, typer.Argument(help="A folder written by `ferkit train`.")],
    data: Annotated[Path, typer.Option("--data", help="fer2013.csv, packed or not, or the folder form.")],
    protocol: Annotated[
        str | None, typer.Option("--protocol", help="standard or report; the run's own if left out.")
    ] = None,
    split: Annotated[
        str, typer.Option("--split", help="test, validation, or Training, PublicTest, PrivateTest.")
    ] = "test",
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for confusion matrix and page; the run's own if left out.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Evaluate a run in float32: loss, accuracy with its interval, each class, confusion matrix, page.

    The split is read whole and, where it is not Training, once more without the faces that also stand in Training.
    """
    notice(f"evaluating {run}")
    from ferkit.data import Protocol, Split, read_fer2013
    from ferkit.data.audit import copies_of_training
    from ferkit.errors import DataError, UnknownNameError
    from ferkit.evaluation import evaluate_predictions, predict
    from ferkit.report import figures
    from ferkit.report.page import write_page
    from ferkit.training.folder import RunFolder, load_run

    if protocol is not None and protocol not in list(Protocol):
        raise UnknownNameError("protocol", protocol, list(Protocol))
    recipe, model = load_run(run)
    named = Protocol(protocol) if protocol else recipe.protocol
    splits = {"test": named.test, "validation": named.validation, **{s.value: s for s in Split}}
    if split not in splits:
        raise UnknownNameError("split", split, splits)
    chosen = splits[split]
    faces = read_fer2013(data)
    part = faces.split(chosen)
    if not len(part):
        raise DataError(f"{data}: expected faces in {chosen}, got none")
    log_probs = predict(model, part.images)
    found = {"all": evaluate_predictions(log_probs, part.labels)}
    alone = ~copies_of_training(faces, chosen)
    if chosen is not Split.TRAINING and alone.any():
        found["without_copies"] = evaluate_predictions(log_probs[alone], part.labels[alone])
    folder = out or run
    picture = folder / f"confusion-{chosen.value}.png"
    figures.save(figures.confusion(found["all"].confusion, f"{recipe.model} on {chosen.value}"), picture)
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "run": str(run),
                    "model": recipe.model,
                    "protocol": named.value,
                    "split": chosen.value,
                    "confusion_png": str(picture),
                    **{name: evaluation.to_dict() for name, evaluation in found.items()},
                },
                indent=1,
            )
        )
        return
    _print(found, f"{recipe.model}, protocol {named.value}", chosen.value)
    typer.echo(f"\nconfusion matrix: {picture}")
    if RunFolder(run).result.exists() and out is None:
        typer.echo(f"report: {write_page(run, faces)}")


def _print(found: dict[str, Any], title: str, split: str) -> None:
    from ferkit.cli.train import WITHOUT_COPIES, accuracies
    from ferkit.labels import EXPRESSIONS

    typer.echo(title)
    typer.echo(accuracies({{"all": split, "without_copies": WITHOUT_COPIES}[name]: e for name, e in found.items()}))
    typer.echo("\n" + found["all"].to_text() + "\n")
    typer.echo("confusion matrix (rows true, columns predicted)")
    typer.echo(f"{'':>9}" + "".join(f"{name:>9}" for name in EXPRESSIONS))
    for name, row in zip(EXPRESSIONS, found["all"].confusion, strict=True):
        typer.echo(f"{name:>9}" + "".join(f"{count:9d}" for count in row))
