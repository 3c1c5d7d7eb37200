"""A run and pictures to figures that look into the network, and to the figures of the report.

The report's Figures 2 to 12 drawn from any finished run; Figure 1 needs several (``ferkit.report.figures.losses``).
Ours differs: which faces, filters and maps are shown follows rules, written where they are chosen.

Letters: K classes, N faces.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import nn

from ferkit.data import Fer2013, Split
from ferkit.errors import DataError, RecipeError, RunError, UnknownNameError
from ferkit.evaluation import activations, predict, saliency
from ferkit.evaluation.metrics import Evaluation
from ferkit.files import write_text
from ferkit.labels import EXPRESSIONS, Expression
from ferkit.models import build_model, model_names
from ferkit.models.blocks import blocks
from ferkit.models.trace import layer_table
from ferkit.report import figures, figures_diagram, figures_explain, figures_faces
from ferkit.training.folder import RunFolder, load_run
from ferkit.training.recipe_text import with_options
from ferkit.training.result import fits, shown_part

FILTERS, MAPS = 64, 8
"""Filters of a layer and feature maps a layer that are drawn, at most."""

SHOWN = (Expression.HAPPY, Expression.FEAR)
"""Expressions whose inner workings are shown, as in the report's Figures 5 to 8."""

_LAYERS = {"model1": "figure-09-layers.txt", "model2": "figure-10-layers.txt", "model3": "figure-11-layers.txt"}
_LONGEST = 30  # letters of a name in a title
_FILLS = 0.7  # of a picture's shorter side, from which the picture is a face


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Picture:
    """A face to explain.

    Attributes:
        image: ``(48, 48)`` uint8 grey levels.
        name: Where it is from: a file, or split and number.
        label: Its class in the data set, if it has one.
        part: Which part of a picture file it is, for people.
    """

    image: NDArray[np.uint8]
    name: str
    label: int | None = None
    part: str = ""


def picture_of_file(path: str | Path, detector: str = "haar") -> Picture:
    """Return the largest face of a picture file as recognition would read it.

    Its middle square where no face is found, or where one fills it: it is a cut-out face already, as FER2013's are.

    Args:
        path: The file.
        detector: ``haar``, or ``none``: it is a cut-out face already.

    Raises:
        ImageError: It is not there or cannot be read as a picture.
        UnknownNameError: There is no such detector.
        OptionError: The detector needs a file.
    """
    from ferkit.inference.crops import cut
    from ferkit.inference.detect import build_detector, middle_square
    from ferkit.inference.images import read_image
    from ferkit.inference.levels import contrasted

    path = Path(path)
    picture = read_image(path)
    middle, boxes = middle_square(picture), build_detector(detector)(picture)
    if boxes and boxes[0].size < _FILLS * middle.size:
        box, part = boxes[0], "the face found in it" if len(boxes) == 1 else f"the largest of {len(boxes)} faces"
    else:
        box, part = middle, "its middle square" if boxes else "its middle square, as no face was found"
    return Picture(image=contrasted(cut(picture, box)), name=path.name, part=part)


def picture_of_face(data: Fer2013, reference: str) -> Picture:
    """Return a face of the data set.

    Args:
        data: The data set.
        reference: Split and number, counted from 1 in the order of the source: ``PublicTest:12``.

    Raises:
        DataError: There is no such face.
        UnknownNameError: There is no such split.
    """
    name, _, number = reference.partition(":")
    if not (number.isascii() and number.isdigit()):
        raise DataError(f"--face expects SPLIT:NUMBER, for instance PublicTest:12; got {reference!r}")
    if name not in list(Split):
        raise UnknownNameError("split", name, list(Split))
    faces = data.split(Split(name))
    digits = number.lstrip("0")
    if not digits or len(digits) > len(str(len(faces))) or int(digits) > len(faces):
        raise DataError(f"{data.source}: {name} has faces 1 to {len(faces)}, got {reference[:40]}")
    row = int(digits) - 1
    return Picture(image=faces.images[row], name=f"{name}:{digits}", label=int(faces.labels[row]))


def example_faces(model: nn.Module, data: Fer2013, split: Split) -> list[Picture]:
    """Return a happy and a fearful face: of each, the first of the split that the network reads right.

    Where it reads none right, the first of the expression; where there is none, nothing.

    Raises:
        DataError: The split has neither.
    """
    found = []
    faces = data.split(split)
    for expression in SHOWN:
        rows = np.flatnonzero(faces.labels == expression)
        if len(rows):
            row = _first_right(model, faces.images, rows, expression)
            found.append(Picture(image=faces.images[row], name=f"{split}:{row + 1}", label=int(expression)))
    if not found:
        wanted = " and ".join(expression.label for expression in SHOWN)
        raise DataError(f"{data.source}: expected {wanted} faces in {split}, got none")
    return found


def filters_figure(model: nn.Module, name: str, layer: int = 2) -> Figure:
    """Draw the learned filters of a convolution: the report's Figure 4.

    Which ones: :func:`ferkit.evaluation.activations.strongest_kernels`. The three planes of the input are equal, so of
    the first convolution the sum over them is drawn: the filter that the face meets. Of a 1 x 1 convolution all weights
    are drawn, as one picture.

    Raises:
        DataError: There is no such convolution.
    """
    weight = activations.filters(model, layer)
    outputs, inputs, height, width = weight.shape
    title = f"{name}, convolution {layer}: "
    if height == width == 1:
        return figures_explain.weights(weight[:, :, 0, 0], f"{title}{outputs} × {inputs} weights")
    if layer == 1:
        weight, inputs = weight.sum(axis=1, keepdims=True), 1
    chosen, planes = activations.strongest_kernels(weight, FILTERS)
    names = [f"{o + 1}" if inputs == 1 else f"{o + 1} ← {i + 1}" for o, i in zip(chosen, planes, strict=True)]
    title += "all " if len(chosen) == outputs else f"the {len(chosen)} strongest of "
    title += f"{outputs} filters, {height} × {width}"
    if inputs > 1:
        title += ",\nof each the strongest kernel (filter ← input channel)"
    return figures_explain.filters(weight[chosen, planes], names, title)


def features_figure(model: nn.Module, picture: Picture) -> Figure:
    """Draw a face and its activated feature maps, layer by layer: the report's Figures 5 to 8.

    Which maps: :func:`ferkit.evaluation.activations.most_active`.
    """
    rows = []
    for name, maps in activations.activations(model, picture.image):
        chosen = activations.most_active(maps, MAPS)
        shape = " × ".join(map(str, maps.shape))
        rows.append(
            figures_explain.MapRow(title=f"{name}\n{shape}", names=[str(c + 1) for c in chosen], maps=maps[chosen])
        )
    log_probs = predict(model, picture.image[None])[0]
    told = f"{_origin(picture)}; {_predicted(log_probs)}"
    rule = f"Of each layer the {MAPS} channels that vary most, with their numbers,"
    return figures_explain.features(picture.image, f"{told}\n{rule}\ndark where lowest, light where highest.", rows)


def saliency_figure(
    model: nn.Module, pictures: Sequence[Picture], kind: Literal["grad-cam", "occlusion"], target: str | None = None
) -> Figure:
    """Draw which places of faces a decision rests on.

    Args:
        model: The network.
        pictures: At least one.
        kind: :func:`ferkit.evaluation.saliency.grad_cam` or :func:`ferkit.evaluation.saliency.occlusion`.
        target: Expression to explain; of each picture the predicted one if left out.

    Raises:
        UnknownNameError: There is no such expression.
    """
    images = np.stack([picture.image for picture in pictures])
    log_probs = predict(model, images)
    targets = log_probs.argmax(axis=1) if target is None else np.full(len(images), expression_named(target))
    explain = saliency.grad_cam if kind == "grad-cam" else saliency.occlusion
    word = {"grad-cam": "Grad-CAM", "occlusion": "occlusion"}[kind]
    rows = [
        figures_explain.Explained(
            face=picture.image,
            title=f"{_origin(picture)}\n{_predicted(chances)}",
            subtitle=f"{word}\nexplained: {EXPRESSIONS[at]}, {_percent(chances[at])}",
            map=values,
        )
        for picture, chances, at, values in zip(
            pictures, log_probs, targets, explain(model, images, targets), strict=True
        )
    ]
    return figures_explain.saliency(rows, kind)


def diagram_figure(model: nn.Module, name: str) -> Figure:
    """Draw the network itself: the report's Figure 12."""
    parameters = sum(p.numel() for p in model.parameters())
    return figures_diagram.diagram(blocks(model), f"{name}: {parameters:,} parameters")


def faces_figure(model: nn.Module, data: Fer2013, split: Split) -> Figure:
    """Draw the first face of every expression with true and predicted class: the report's Figure 2."""
    faces = data.split(split)
    rows = [int(found[0]) for k in range(len(EXPRESSIONS)) if len(found := np.flatnonzero(faces.labels == k))]
    if not rows:
        raise DataError(f"{data.source}: expected faces in {split}, got none")
    log_probs = predict(model, faces.images[rows])
    shown = []
    for row, chances in zip(rows, log_probs, strict=True):
        true, read = int(faces.labels[row]), int(chances.argmax())
        caption = f"true: {EXPRESSIONS[true]}\nread: {EXPRESSIONS[read]}, {_percent(chances[read])}"
        shown.append(figures_faces.Captioned(face=faces.images[row], caption=caption, wrong=true != read))
    return figures_faces.faces(shown, f"The first face of every expression in {split}")


def structure(run_or_model: str, settings: Sequence[str] = ()) -> tuple[str, nn.Module]:
    """Return the name of a network and the network, its weights as they come: of a run folder, or by name.

    Args:
        run_or_model: A run folder, finished or not, or a name printed by ``ferkit models``.
        settings: ``option=value`` for a network called by name.

    Raises:
        RunError: It is neither.
        RecipeError: Settings were given for a run, or a setting is wrong.
    """
    folder = RunFolder(Path(run_or_model))
    if folder.recipe.exists() or (folder.path.exists() and run_or_model not in model_names()):
        recipe = folder.read_recipe()  # or an error that says what a run folder is
        if settings:
            raise RecipeError(f"--set {settings[0]}: {run_or_model} is a run, and its network is what it is")
        return recipe.model, build_model(recipe.model, **recipe.options)
    if run_or_model not in model_names():
        raise RunError(f"{run_or_model}: expected a run folder or one of {', '.join(model_names())}; got neither")
    return run_or_model, build_model(run_or_model, **with_options(run_or_model, settings))


def expression_named(name: str) -> int:
    """Return the class of an expression.

    Raises:
        UnknownNameError: There is no such expression.
    """
    if name not in EXPRESSIONS:
        raise UnknownNameError("expression", name, EXPRESSIONS)
    return EXPRESSIONS.index(name)


def draw_report_figures(run: Path, data: Fer2013, out: Path | None = None) -> list[Path]:
    """Write the report's figures for one run, and Grad-CAM and occlusion, which it lacks; return the files.

    All show the test split of the run's protocol; the validation split where the data set had no faces to test on.
    They show faces of the data set, so keep them out of anything that is passed on.

    Args:
        run: Folder of a finished run.
        data: What it was trained and evaluated on.
        out: Folder to write to; ``figures`` in the run folder if left out.

    Raises:
        RunError: The run is not finished or damaged, was evaluated on other data, or a file cannot be written.
        DataError: The split has no happy and no fearful face.
    """
    recipe, model = load_run(run)
    result = RunFolder(run).read_result(("evaluation",))
    shown = result["evaluation"][shown_part(result)]
    split = Split(shown["split"])
    if not fits(result, data):
        raise RunError(f"{run}: the run was evaluated on other {split} faces than those of {data.source}")
    examples = example_faces(model, data, split)
    report = Evaluation.from_dict(shown).to_text()
    texts = {"figure-03-report.txt": report, _LAYERS.get(recipe.model, "layers.txt"): layer_table(model)}
    folder, written = out or run / "figures", []
    for name, figure in _report_figures(recipe.model, model, data, split, examples, report):
        save(figure, folder / name)
        written.append(folder / name)
    for name, text in texts.items():
        with figures.writing(folder / name):
            write_text(folder / name, text + "\n")
        written.append(folder / name)
    return sorted(written)


def _report_figures(
    name: str, model: nn.Module, data: Fer2013, split: Split, examples: Sequence[Picture], report: str
) -> Iterator[tuple[str, Figure]]:
    """Yield file names and what to draw into them."""
    yield "figure-02-faces.png", faces_figure(model, data, split)
    yield "figure-03-report.png", figures_faces.text(report, f"{name} on {split}")
    yield "figure-04-filters.png", filters_figure(model, name, _default_layer(model))
    for picture in examples:
        assert picture.label is not None
        order, label = SHOWN.index(Expression(picture.label)), EXPRESSIONS[picture.label]
        yield f"figure-{5 + order:02}-{label}-input.png", _input_figure(model, picture)
        yield f"figure-{7 + order:02}-{label}-features.png", features_figure(model, picture)
    diagram = diagram_figure(model, name)
    yield "figure-12-diagram.png", diagram
    yield "figure-12-diagram.svg", diagram
    yield "grad-cam.png", saliency_figure(model, examples, "grad-cam")
    yield "occlusion.png", saliency_figure(model, examples, "occlusion")


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG or SVG.

    Raises:
        DataError: ``path`` ends in neither.
        RunError: It cannot be written to.
    """
    with figures.writing(path):
        figures.save(figure, path)


def _first_right(model: nn.Module, images: NDArray[np.uint8], rows: NDArray[np.int64], label: int) -> int:
    """Return the first of ``rows`` that is read as ``label``, the first of all where none is; a few at a time."""
    for start in range(0, len(rows), 16):
        some = rows[start : start + 16]
        right = some[predict(model, images[some]).argmax(axis=1) == label]
        if len(right):
            return int(right[0])
    return int(rows[0])


def _default_layer(model: nn.Module) -> int:
    """Return the second convolution, as the report's Figure 4 shows, or the only one."""
    return min(2, len(activations.maps(model)))


def _input_figure(model: nn.Module, picture: Picture) -> Figure:
    chances = predict(model, picture.image[None])[0]
    shown = figures_faces.Captioned(face=picture.image, caption=_predicted(chances))
    return figures_faces.faces([shown], _origin(picture))


def _origin(picture: Picture) -> str:
    name = picture.name if len(picture.name) <= _LONGEST else f"{picture.name[: _LONGEST - 8]}…{picture.name[-7:]}"
    return name if picture.label is None else f"{name}, labelled {EXPRESSIONS[picture.label]}"


def _predicted(log_probs_K: NDArray[np.float32]) -> str:
    read = int(log_probs_K.argmax())
    return f"predicted: {EXPRESSIONS[read]}, {_percent(log_probs_K[read])}"


def _percent(log_prob: float) -> str:
    return f"{100 * np.exp(log_prob):.0f} %"
