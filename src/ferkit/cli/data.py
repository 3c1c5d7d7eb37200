"""``ferkit data``: look at the data set before training on it."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ferkit.cli import signals
from ferkit.cli.options import DATA, Data, Detector, DetectorModel
from ferkit.cli.terminal import Progress, notice, shown

app = typer.Typer(
    no_args_is_help=True, help="Check a copy of FER2013, look at its faces, or make faces like them of photos."
)

PathArgument = Annotated[Path, typer.Argument(help=DATA)]


@app.command()
def check(
    path: PathArgument,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print rows by split and class, whether it is the known original, duplicates and constant images."""
    notice(f"reading {path}")
    from ferkit.data import audit, read_fer2013

    found = audit(read_fer2013(path))
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=1))
    else:
        _print(found)


@app.command()
def votes(
    path: Annotated[Path, typer.Argument(help="fer2013new.csv of FER+.")],
    data: Annotated[Path, typer.Option("--data", help="The fer2013.csv whose rows they are for.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print what the FER+ taggers say of the faces, and how often they agree with the labels."""
    notice(f"reading {path}")
    from ferkit.data import read_fer2013
    from ferkit.data.votes import read_votes, summarise
    from ferkit.labels import EXPRESSIONS

    found = summarise(read_votes(path, read_fer2013(data)), str(path))
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=1))
        return
    typer.echo(f"{found.source}: votes for {found.rows:,} faces")
    typer.echo(f"{'':26}" + "".join(f"{split:>13}" for split in found.taggers))
    for name, numbers, form in (
        ("without a vote", found.without_votes, ",d"),
        ("votes a face", found.taggers, ".2f"),
        ("label is a first choice", found.agreement, ".1%"),
        ("all votes for one class", found.unanimous, ".1%"),
    ):
        typer.echo(f"{name:26}" + "".join(f"{number:13{form}}" for number in numbers.values()))
    typer.echo("\nfirst choice of the taggers (columns) by label (rows)")
    typer.echo(f"{'':>9}" + "".join(f"{name:>9}" for name in EXPRESSIONS))
    for name, row in zip(EXPRESSIONS, found.confusion, strict=True):
        typer.echo(f"{name:>9}" + "".join(f"{count:9,d}" for count in row))


@app.command()
def preview(
    out: Annotated[Path, typer.Option("--out", help="Picture to write, such as sheet.png.")],
    path: Data,
    augmentation: Annotated[str, typer.Option(help="report, faces, camera or none, as in a recipe.")] = "report",
    faces: Annotated[int, typer.Option(min=1, max=50, help="Rows of the sheet.")] = 8,
    versions: Annotated[int, typer.Option(min=1, max=20, help="Augmented versions of each face.")] = 8,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Of the choice and of the augmentation.")] = 0,
) -> None:
    """Draw a sheet of Training faces before and after augmentation."""
    import numpy as np

    from ferkit.data import Split, read_fer2013
    from ferkit.errors import DataError, UnknownNameError
    from ferkit.report import figures
    from ferkit.training.augment import AUGMENTATIONS, build_augmentation

    if augmentation not in AUGMENTATIONS:
        raise UnknownNameError("augmentation", augmentation, AUGMENTATIONS)
    if out.suffix.lower() not in figures.FORMATS:
        raise DataError(f"{out}: expected a name that ends in {' or '.join(figures.FORMATS)}")
    training = read_fer2013(path).split(Split.TRAINING)
    if not len(training):
        raise DataError(f"{path}: expected faces in {Split.TRAINING}, got none")
    rows = np.random.default_rng(seed).choice(len(training), min(faces, len(training)), replace=False)
    augment = build_augmentation(augmentation, seed)
    after = [[augment(training.images[row], epoch=e, sample=int(row)) for row in rows] for e in range(versions)]
    chosen = training[rows]
    with figures.writing(out):
        figures.save(figures.preview_sheet(chosen.images, np.array(after), chosen.labels), out)
    typer.echo(f"{len(rows)} face{'s' * (len(rows) != 1)}, {versions} version{'s' * (versions != 1)} each: {out}")


@app.command()
def cut(
    photos: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder of photos, such as train/happy/me.jpg below it.")
    ],
    out: Annotated[Path, typer.Option("--out", help="New folder for the faces.")],
    every_face: Annotated[
        bool, typer.Option("--every-face", help="All faces of a photo; otherwise the largest alone.")
    ] = False,
    detector: Detector = "haar",
    detector_model: DetectorModel = None,
) -> None:
    """Cut the faces out of your own photos: 48 x 48 grey pixels, as FER2013's are, in the same folders.

    Photos without a face and photos that cannot be read are listed at the end; for the latter, the exit code is 1.
    """
    from ferkit.inference.cutting import cut_faces, list_photos
    from ferkit.inference.detect import build_detector
    from ferkit.inference.quiet import silent_libraries

    with silent_libraries():
        found = list_photos(photos, out)
        progress, faces, empty, unread = Progress(len(found)), 0, list[str](), list[str]()
        looks = build_detector(detector, detector_model)
        for number, each in enumerate(cut_faces(photos, found, out, looks, every_face=every_face), start=1):
            signals.check()
            faces += len(each.faces)
            if each.error:
                unread.append(each.error)
            elif not each.faces:
                empty.append(str(each.photo))
            progress.show(number)
        progress.clear()
    typer.echo(f"{faces} face{'s' * (faces != 1)} of {len(found)} photo{'s' * (len(found) != 1)}: {shown(str(out))}")
    for what, lines in (("without a face:", empty), ("error: could not be read:", unread)):
        if lines:
            typer.echo("\n  ".join([what, *map(shown, lines)]), err=True)
    if unread:
        raise typer.Exit(1)


def _print(found: Any) -> None:
    from ferkit.labels import EXPRESSIONS

    typer.echo(f"{found.source}: {found.rows:,} rows")
    if found.md5:
        typer.echo(f"md5 {found.md5}: {found.verdict}")
    else:
        typer.echo(f"folder form: {found.verdict}")
    lines = {name: [counts[name] for counts in found.counts.values()] for name in EXPRESSIONS}
    lines["rows"] = [sum(counts.values()) for counts in found.counts.values()]
    lines["repeated"] = list(found.duplicates_within.values())
    lines["constant"] = list(found.constant_images.values())
    typer.echo(f"{'':8}" + "".join(f"{split:>13}" for split in found.counts))
    for name, numbers in lines.items():
        typer.echo(f"{name:8}" + "".join(f"{number:13,}" for number in numbers))
    typer.echo(
        f"{found.surplus_duplicates:,} rows repeat an earlier image ({found.duplicate_groups:,} images, "
        f"{found.conflicting_groups:,} with several labels)"
    )
    for pair, number in found.copies_across.items():
        first, _, second = pair.partition(" in ")
        typer.echo(f"{number:,} images of {first} also stand in {second}")
    for note in found.notes:
        typer.echo(f"note: {note}")
