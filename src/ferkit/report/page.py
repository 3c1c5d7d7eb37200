"""A finished run to one page that needs nothing else.

report.html    numbers, curves, confusion matrix, faces, settings, environment; no script, nothing from another address
confusion.png  the confusion matrix alone

Letters: K classes, N faces.
"""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import cv2
import jinja2
import numpy as np
from numpy.typing import NDArray

from ferkit.data import Faces, Fer2013, Protocol, Split
from ferkit.errors import RunError
from ferkit.evaluation import predict
from ferkit.files import write_text
from ferkit.labels import EXPRESSIONS
from ferkit.report import figures
from ferkit.training.folder import RunFolder, load_run
from ferkit.training.recipe import field_help, others_in
from ferkit.training.result import fits, shown_part

SAMPLES = ("right, most sure", "right, median", "wrong, most sure")
"""What is shown of each expression."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One face and how it was read."""

    true: str
    predicted: str
    probability: float
    """Of the predicted expression, in [0, 1]."""
    image: str
    """PNG as a data URI."""


def write_page(run: str | Path, data: Fer2013) -> Path:
    """Write ``report.html`` and ``confusion.png`` into a run folder; return the page.

    Both show the test split; the validation split where the data set had no faces to test on.

    Args:
        run: Folder of a finished run.
        data: What it was trained and evaluated on; for the faces on the page.

    Raises:
        RunError: The run is not finished or damaged, has been evaluated on other data, or cannot be written to.
    """
    run = Path(run)
    folder = RunFolder(run)
    result = folder.read_result()
    part = shown_part(result)
    shown = result["evaluation"][part]
    faces = data.split(Split(shown["split"]))
    if not fits(result, data):
        raise RunError(f"{run}: the run was evaluated on other {shown['split']} faces than those of {data.source}")
    samples = choose_samples(faces, _log_probs(folder, part, faces))
    matrix = figures.confusion(shown["confusion"], f"{shown['split']}, {shown['faces']} faces")
    content = render(result, shown, samples, figures.inline_svg(matrix, "confusion"))
    page = run / "report.html"
    with figures.writing(run):
        figures.save(matrix, run / "confusion.png")
        write_text(page, content)
    return page


def _log_probs(folder: RunFolder, part: str, faces: Faces) -> NDArray[np.float32]:
    """Return what the run said of ``faces``; a file of it that is missing or damaged costs asking the network again."""
    try:
        return folder.read_predictions(part)
    except RunError:
        return predict(load_run(folder.path)[1], faces.images)


def choose_samples(faces: Faces, log_probs: NDArray[np.float32]) -> list[list[Sample | None]]:
    """Return faces to show: a row an expression, in class order, with what :data:`SAMPLES` names.

    Args:
        faces: N faces.
        log_probs: ``(N, K)`` log-probabilities.

    Returns:
        ``None`` stands where an expression has no such face. Of equal probabilities the first face is taken.
    """
    predicted, sure = log_probs.argmax(axis=1), log_probs.max(axis=1)
    ranked = np.argsort(-sure, kind="stable")
    chosen = []
    for label in range(len(EXPRESSIONS)):
        of_class = ranked[faces.labels[ranked] == label]
        is_right = predicted[of_class] == label
        right, wrong = of_class[is_right], of_class[~is_right]
        rows = [right[:1], right[len(right) // 2 :][:1] if len(right) > 1 else right[:0], wrong[:1]]
        chosen.append([_sample(faces, predicted, sure, int(row[0])) if len(row) else None for row in rows])
    return chosen


def render(result: dict[str, Any], shown: dict[str, Any], samples: list[list[Sample | None]], matrix: str) -> str:
    """Return the page.

    Args:
        result: Content of ``result.json``.
        shown: The evaluation in the centre of the page, one of those in ``result``.
        samples: From :func:`choose_samples`.
        matrix: The confusion matrix as SVG.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ferkit", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": _percent, "interval": _interval, "plain": _plain}
    epochs, kept = result["epochs"], result["kept_epoch"]
    charts = {name: figures.inline_svg(figures.curves(epochs, kept, (name,)), name) for name in figures.PANELS}
    return environment.get_template("page.html.j2").render(
        result=result,
        shown=shown,
        protocol=Protocol(result["protocol"]),
        others=others_in(result["recipe"]),
        charts=charts,
        matrix=matrix,
        expressions=EXPRESSIONS,
        kinds=SAMPLES,
        samples=samples,
        settings=_settings(result["recipe"]),
        environment=_environment(result),
    )


def _sample(faces: Faces, predicted: NDArray[np.int64], sure: NDArray[np.float32], row: int) -> Sample:
    done, png = cv2.imencode(".png", faces.images[row])
    assert done
    return Sample(
        true=EXPRESSIONS[faces.labels[row]],
        predicted=EXPRESSIONS[predicted[row]],
        probability=float(np.exp(sure[row])),
        image=f"data:image/png;base64,{base64.b64encode(png.tobytes()).decode()}",
    )


def _settings(recipe: dict[str, Any]) -> Iterable[tuple[str, Any, str]]:
    """Yield name, value and meaning of every setting, then of the options of the network."""
    meanings = field_help()
    for name, value in {**dict.fromkeys(meanings, "left out"), **recipe}.items():
        if name != "options":
            yield name, value, meanings.get(name, "")
    for name, value in recipe["options"].items():
        yield name, value, f"option of {recipe['model']}"


def _environment(result: dict[str, Any]) -> dict[str, Any]:
    """Return where the run happened and what names it: label to value."""
    unsaved = ", with changes that were not committed" if result["dirty"] else ""
    return {
        "device": result["device"],
        "processes": result["processes"],
        "threads": result["threads"],
        "precision": f"{result['precision']} in training, float32 in evaluation",
        **_speed(result),
        "platform": result["platform"],
        **result["versions"],
        "commit": f"{result['commit']}{unsaved}" if result["commit"] else "unknown: not run from a checkout",
        "time": f"{result['seconds']} s ({timedelta(seconds=round(result['seconds']))}), training and validation",
        "finished": result["finished"],
        "seed": result["seed"],
        "settings key": result["key"],
        "Training faces": result["data"]["training"],
        "data, md5": result["data"]["md5"] or "none: read from a folder of pictures",
        "weights, sha256": result["weights_sha256"],
    }


def _speed(result: dict[str, Any]) -> dict[str, str]:
    """Return how the device was used; runs of before that was measured do not say."""
    if "peak_share" not in result:
        return {}
    share, peak = result["peak_share"], f"{result['peak_flops'] / 1e12:.3g} TFLOP/s"
    reached = (
        f"{_percent(share, 1)} of {peak}" if share is not None else f"unknown: {peak} were measured beside other work"
    )
    return {
        "augmentation by": f"{result['augment_backend']}{', network compiled' if result['compiled'] else ''}",
        "share of peak": f"{reached}, a matrix product in {result['precision']}",
        "operations a face": f"{result['flops_per_face'] / 1e9:.3g} GFLOP, forward and backward",
    }


def _percent(share: float, digits: int = 2) -> str:
    return f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"


def _interval(interval: tuple[float, float]) -> str:
    low, high = interval
    return f"{100 * low:.2f} to {_percent(high)}"


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
