"""``ferkit export``: a finished run to one file that recognises without torch."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ferkit.cli.options import Data
from ferkit.cli.terminal import with_notes


def export(
    run: Annotated[Path, typer.Argument(help="A folder written by `ferkit train`.")],
    data: Data,
    out: Annotated[Path, typer.Option("--out", help="The ONNX file to write; its card goes beside it.")],
    mirror: Annotated[
        bool, typer.Option("--mirror", help="Average each face with its mirror image; twice the time.")
    ] = False,
    int8: Annotated[
        bool, typer.Option("--int8", help="8-bit integers: smaller and faster, a little less exact.")
    ] = False,
    votes: Annotated[
        Path | None,
        typer.Option(
            "--votes",
            metavar="FILE",
            help="FER+ votes (fer2013new.csv) to measure by, too; they calibrate a network that learnt from them.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the card as JSON.")] = False,
) -> None:
    """Export a network to ONNX: calibrate it, compare it with the trained one, measure it on both test splits.

    The network's card (where it comes from, what was measured) is inside the file, and beside it with the ending .json.
    """
    from ferkit.cli.card import print_card
    from ferkit.data import read_fer2013
    from ferkit.data.votes import read_votes
    from ferkit.errors import ModelError
    from ferkit.export import export_run
    from ferkit.files import file_sha256

    if out.suffix.lower() != ".onnx":
        raise ModelError(f"--out {out}: expected a name that ends in .onnx")
    try:
        faces = with_notes(read_fer2013(data))
        said = None if votes is None else read_votes(votes, faces)
        done = export_run(run, faces, out, mirror=mirror, int8=int8, votes=said)
    except OSError as error:
        raise ModelError(f"{out}: cannot be written ({error.strerror or error})") from None
    if done.card.recipe.get("votes") and done.card.calibrated_by == "labels":
        typer.echo("note: calibrated by labels; --votes FILE calibrates by what the network learnt from", err=True)
    if as_json:
        typer.echo(json.dumps(json.loads(done.card.to_json()), indent=1))
        return
    print_card(done.card, done.file, file_sha256(done.file))
    typer.echo(f"written: {done.file}; its card: {done.file.with_suffix('.json')}")
