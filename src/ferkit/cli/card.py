"""``ferkit card``: what a network file says of itself."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ferkit.cli.options import NETWORKS
from ferkit.cli.terminal import as_option, beside, shown

if TYPE_CHECKING:
    from ferkit.inference.weights import ModelCard


def card(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME|FILE]",
            help=NETWORKS,
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print where a network comes from and what it was measured at."""
    from ferkit.files import file_sha256
    from ferkit.inference.session import Session

    session = Session(model)
    digest = file_sha256(session.file)
    if as_json:
        content = {"file": str(session.file), "sha256": digest, **json.loads(session.card.to_json())}
        typer.echo(json.dumps(content, indent=1))
        return
    print_card(session.card, session.file, digest)


def print_card(card: "ModelCard", file: Path, digest: str) -> None:
    """Print a card on 80 columns."""
    recipe, (chosen, tested) = card.recipe, card.splits
    kind = "8-bit integers" if card.int8 else "float32"
    rows = {
        "file": f"{file} ({file.stat().st_size / 1e6:.1f} MB, {kind})",
        "sha256": digest,
        "network": f"{card.name}, {card.parameters:,} parameters",
        "input": card.input,
        "classes": ", ".join(card.classes),
        "answers": f"temperature {card.temperature:.3f}, fitted to {card.calibrated_by}; "
        f"{'with' if card.mirror else 'without'} the mirror image",
        "protocol": f"{card.protocol}: chosen on {chosen}, {tested} is the test",
        "recipe": ", ".join(f"{name} {as_option(recipe[name])}" for name in _TOLD if recipe.get(name) not in _NOTHING),
        "made": f"{card.created}, ferkit {card.ferkit}",
    }
    for name, value in rows.items():
        typer.echo(beside(f"{name:9} ", shown(value)) if name == "recipe" else f"{name:9} {shown(value)}")
    typer.echo(f"\n{'measured on':32} {'faces':>6} {'accuracy':>9} {'95 % interval':>17} {'calibration':>11}")
    for split, how, found in card.measured():
        typer.echo(_measured(_SHORT.get(how, f"  {how}") if how else split, found))
    typer.echo("\ncalibration: mean distance between confidence and share of right answers")
    if any(how.startswith("with mirror") for _, how, _ in card.measured()):
        typer.echo("mirror images: read besides each face with --views mirror, in twice the time")
    if any(how.startswith("by FER+") for _, how, _ in card.measured()):
        typer.echo("FER+ votes: right is what taggers chose most often; calibration: with their share")
    for remark in card.remarks:
        typer.echo(shown(remark))


_SHORT = {
    f"{how}, without copies of Training": "    without copies of Training"
    for how in ("with mirror images", "by FER+ votes", "with mirror images, by FER+ votes")
} | {"with mirror images, by FER+ votes": "  mirror images, by FER+ votes"}

_TOLD = (
    "optimizer",
    "lr",
    "loss",
    "scheduler",
    "batch_size",
    "epochs",
    "augmentation",
    "seed",
    "teachers",
    "votes",
    "init",
)

_NOTHING: tuple[object, ...] = (None, "", [], ())


def _measured(name: str, found: Mapping[str, Any]) -> str:
    low, high = found["interval"]
    interval = f"{100 * low:.2f} to {100 * high:.2f} %"
    error = f"{100 * found['calibration_error']:.2f} %"
    return f"{name:32} {found['faces']:6,} {100 * found['accuracy']:7.2f} % {interval:>17} {error:>11}"
