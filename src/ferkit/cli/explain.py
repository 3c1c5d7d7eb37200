"""``ferkit explain``: look into a trained network."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ferkit.cli.options import Data

if TYPE_CHECKING:
    from torch import nn

    from ferkit.report.explain import Picture
    from ferkit.training.recipe import Recipe

app = typer.Typer(
    no_args_is_help=True,
    help="Look into a trained network: filters, feature maps, which places of a face decide, its diagram.",
)

RunArgument = Annotated[Path, typer.Argument(help="A folder written by `ferkit train`.")]
ImageArgument = Annotated[
    Path | None, typer.Argument(metavar="[IMAGE]", help="A photo, of which the largest face is taken.")
]
OutOption = Annotated[Path, typer.Option("--out", help="Picture to write (.png or .svg).")]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="Instead of a picture, fer2013.csv: the first happy and the first fearful test face it reads right.",
    ),
]
DetectorOption = Annotated[
    str, typer.Option("--detector", help="haar, or none (the picture is a cut-out face; its middle square is taken).")
]
FaceOption = Annotated[
    str | None, typer.Option("--face", metavar="SPLIT:NUMBER", help="With --data, one face, counted from 1.")
]
TargetOption = Annotated[
    str | None, typer.Option("--target", help="Expression to explain; the predicted one if left out.")
]


@app.command()
def filters(
    run: RunArgument,
    out: OutOption,
    layer: Annotated[int, typer.Option("--layer", help="Which convolution, counted from 1.")] = 2,
) -> None:
    """Draw the learned filters of a convolution: dark is inhibitory, light is excitatory."""
    from ferkit.report.explain import filters_figure, save

    recipe, model = _load(run, out)
    save(filters_figure(model, recipe.model, layer), out)
    typer.echo(str(out))


@app.command()
def features(
    run: RunArgument,
    out: OutOption,
    image: ImageArgument = None,
    data: DataOption = None,
    face: FaceOption = None,
    detector: DetectorOption = "haar",
) -> None:
    """Draw a face and its activated feature maps, layer by layer; two faces make two files."""
    from ferkit.labels import EXPRESSIONS
    from ferkit.report.explain import features_figure, save

    _check_choice(image, data, face, out)
    recipe, model = _load(run, out)
    pictures = _pictures(recipe, model, image, data, face, detector)
    for picture in pictures:
        label = "" if picture.label is None or len(pictures) == 1 else f"-{EXPRESSIONS[picture.label]}"
        path = out.with_name(f"{out.stem}{label}{out.suffix}")
        save(features_figure(model, picture), path)
        typer.echo(str(path))


@app.command()
def gradcam(
    run: RunArgument,
    out: OutOption,
    image: ImageArgument = None,
    data: DataOption = None,
    face: FaceOption = None,
    target: TargetOption = None,
    detector: DetectorOption = "haar",
) -> None:
    """Draw which places of a face speak for a class, by Grad-CAM."""
    _saliency("grad-cam", run, out, image, data, face, target, detector)


@app.command()
def occlusion(
    run: RunArgument,
    out: OutOption,
    image: ImageArgument = None,
    data: DataOption = None,
    face: FaceOption = None,
    target: TargetOption = None,
    detector: DetectorOption = "haar",
) -> None:
    """Draw how much of a class's probability is lost where a place of the face is hidden."""
    _saliency("occlusion", run, out, image, data, face, target, detector)


@app.command()
def diagram(
    network: Annotated[
        str, typer.Argument(metavar="RUN|MODEL", help="A run folder, or a name printed by `ferkit models`.")
    ],
    out: OutOption,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="OPTION=VALUE", help="Change an option of the network; may be repeated."),
    ] = None,
) -> None:
    """Draw a network from its own layers: their kind, and the shape of what each puts out."""
    from ferkit.report.explain import diagram_figure, save, structure

    _check_ending(out)
    name, model = structure(network, settings or [])
    save(diagram_figure(model, name), out)
    typer.echo(str(out))


@app.command()
def figures(
    run: RunArgument,
    data: Data,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write to; `figures` in the run folder if left out.")
    ] = None,
) -> None:
    """Draw the report's Figures 2 to 12 for a run, and Grad-CAM and occlusion beside them."""
    from ferkit.data import read_fer2013
    from ferkit.report.explain import draw_report_figures
    from ferkit.training.folder import RunFolder

    RunFolder(run).read_result(("evaluation",))  # before the data, which take longer
    for path in draw_report_figures(run, read_fer2013(data), out):
        typer.echo(str(path))


def _saliency(
    kind: Literal["grad-cam", "occlusion"],
    run: Path,
    out: Path,
    image: Path | None,
    data: Path | None,
    face: str | None,
    target: str | None,
    detector: str,
) -> None:
    from ferkit.report.explain import expression_named, saliency_figure, save

    _check_choice(image, data, face, out)
    if target is not None:
        expression_named(target)
    recipe, model = _load(run, out)
    save(saliency_figure(model, _pictures(recipe, model, image, data, face, detector), kind, target), out)
    typer.echo(str(out))


def _load(run: Path, out: Path) -> "tuple[Recipe, nn.Module]":
    from ferkit.training.folder import load_run

    _check_ending(out)
    return load_run(run)


def _check_ending(out: Path) -> None:
    from ferkit.errors import DataError
    from ferkit.report.figures import FORMATS

    if out.suffix.lower() not in FORMATS:
        raise DataError(f"{out}: expected a name that ends in {' or '.join(FORMATS)}")


def _check_choice(image: Path | None, data: Path | None, face: str | None, out: Path) -> None:
    from ferkit.errors import DataError

    for source in (image, data):
        if source is not None and out.exists() and source.exists() and out.samefile(source):
            raise DataError(f"--out {out}: would overwrite the picture or data that is read; choose another name")

    if (image is None) == (data is None):
        given = "neither" if image is None else "both"
        raise DataError(f"expected a picture or --data with fer2013.csv, got {given}")
    if face is not None and data is None:
        raise DataError("--face names a face of the data set: it needs --data with fer2013.csv")


def _pictures(
    recipe: "Recipe", model: "nn.Module", image: Path | None, data: Path | None, face: str | None, detector: str
) -> "list[Picture]":
    from ferkit.data import read_fer2013
    from ferkit.report.explain import example_faces, picture_of_face, picture_of_file

    if image is not None:
        picture = picture_of_file(image, detector)
        typer.echo(f"{image}: {picture.part}", err=True)
        return [picture]
    assert data is not None
    faces = read_fer2013(data)
    return [picture_of_face(faces, face)] if face is not None else example_faces(model, faces, recipe.protocol.test)
