"""A finished run to one ONNX file: faces in, calibrated probabilities out, its card inside.

The file takes grey faces as they were cut, ``(N, 48, 48)`` uint8; scaling, the mirror image, temperature and softmax
are part of the network, so nothing of them can be done differently elsewhere. It is compared with the trained network
and measured on the data before it is moved into place. A file of 8-bit integers has a temperature of its own, fitted to
what it says itself.

Shape letters: B faces of a batch, N faces, H height, W width, K classes.
"""

import json
import logging
import math
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ferkit import __version__
from ferkit.data import Fer2013, Split
from ferkit.data.audit import not_in_training
from ferkit.data.votes import Votes
from ferkit.errors import DataError, ModelError
from ferkit.evaluation import evaluate_predictions, network_input
from ferkit.evaluation.calibration import COVERAGES, accuracy_at, calibration_error, fit_temperature
from ferkit.files import file_sha256, replacing, write_json
from ferkit.inference.preprocess import CHANNELS
from ferkit.inference.session import BATCH, SIDE
from ferkit.inference.views import views_of
from ferkit.inference.weights import CARD_KEY, ModelCard, card_from_json
from ferkit.labels import EXPRESSIONS
from ferkit.models.one_plane import OnePlane
from ferkit.training.folder import RunFolder, load_run
from ferkit.training.needs import check_splits
from ferkit.training.result import fits

CHECKED = 64
"""Faces on which the file is compared with the trained network."""

TOLERANCE = 1e-4
"""Largest difference of a probability between the two."""

CALIBRATED = 2048
"""Training faces whose activations set the ranges of int8."""

_OPSET = 18


@dataclass(frozen=True, slots=True)
class Exported:
    """A file that was written, and its card."""

    file: Path
    card: ModelCard


class _Recognition(nn.Module):
    """The trained network with all that turns grey faces into calibrated probabilities."""

    def __init__(self, model: nn.Module, mirror: bool) -> None:
        super().__init__()
        self.model, self.mirror, self.temperature = model, mirror, 1.0
        self.planes = 1 if isinstance(model, OnePlane) else CHANNELS  # it reads no other, and copies take their time

    def forward(self, faces_BHW: Tensor) -> Tensor:
        """Return probabilities ``(B, K)`` for uint8 ``(B, H, W)``."""
        log_probs_BK: Tensor = self.log_probs(faces_BHW)
        return torch.softmax(log_probs_BK / self.temperature, dim=1)

    def log_probs(self, faces_BHW: Tensor) -> Tensor:
        """Return log-probabilities ``(B, K)``; asked to, those of the mean over the face and its mirror image."""
        x_BCHW = network_input(faces_BHW, self.planes)
        log_probs_BK: Tensor = self.model(x_BCHW)
        if self.mirror:
            log_probs_BK = torch.logaddexp(log_probs_BK, self.model(x_BCHW.flip(3))) - math.log(2)
        return log_probs_BK


def export_run(
    run: str | Path,
    data: Fer2013,
    out: str | Path,
    *,
    mirror: bool = False,
    int8: bool = False,
    votes: Votes | None = None,
) -> Exported:
    """Export the network of a finished run.

    Args:
        run: Folder of a finished run.
        data: The data set it was trained on: the validation split of its protocol fits the temperature, both tests
            measure the file, Training sets the ranges of int8.
        out: The ONNX file to write; its card goes beside it, with the ending ``.json``.
        mirror: Average every face with its mirror image; twice the time.
        int8: Weights and activations as 8-bit integers: a quarter of the size, about twice as fast, less exact.
        votes: FER+ votes for ``data``, by which the file is measured too; of a network that learnt from them they fit
            the temperature.

    Raises:
        RunError: The run is not finished, or damaged.
        DataError: ``data`` lacks a split, or is not what the run was trained on; or these are not the votes it learnt
            from.
        ModelError: The file says something else than the trained network, or the card would take the place of
            something else; nothing is written.
    """
    run, out = Path(run), Path(out)
    if out.is_dir():
        raise ModelError(f"{out}: expected the name of a file to write, got a folder")
    if out.suffix == ".json":
        raise ModelError(f"{out}: expected a name that ends in .onnx; the card beside it ends in .json")
    _check_place_of_card(out.with_suffix(".json"))
    recipe, model = load_run(run)
    result = RunFolder(run).read_result(("parameters", "evaluation", "data", "weights_sha256"))
    if not fits(result, data, *Split):
        raise DataError(f"{data.source}: expected the faces the run was trained and evaluated on, got others")
    check_splits(recipe, data)
    if recipe.votes and votes is not None and not votes.digest().startswith(recipe.votes):
        raise DataError(f"expected the votes the run learnt from ({recipe.votes}), got others ({votes.digest()[:16]})")
    recognition = _Recognition(model, mirror).eval()
    fitting = data.split(recipe.protocol.validation)
    voted = votes if recipe.votes else None
    truth = fitting.labels if voted is None else voted.probabilities(recipe.protocol.validation)
    recognition.temperature = fit_temperature(_log_probs(recognition, fitting.images), truth)
    with replacing(out) as part:
        _to_onnx(recognition, part)
        _compare(part, recognition, fitting.images[:CHECKED])
        if int8:
            training_NHW = data.split(Split.TRAINING).images
            _quantise(part, training_NHW)
            log_probs_NK = np.log(np.maximum(_run(part, fitting.images), np.finfo(np.float32).tiny))
            untempered_NK = np.float32(recognition.temperature) * log_probs_NK
            recognition.temperature = fit_temperature(untempered_NK, truth)
            _to_onnx(recognition, part)
            _quantise(part, training_NHW)
        card = ModelCard(
            name=recipe.model + "-votes" * bool(recipe.votes and recipe.distill == 1),
            classes=EXPRESSIONS,
            input=f"faces: uint8 (N, {SIDE}, {SIDE}), grey levels 0 to 255",
            temperature=recognition.temperature,
            mirror=mirror,
            int8=int8,
            parameters=int(result["parameters"]),
            protocol=recipe.protocol.value,
            recipe=recipe.to_dict(),
            metrics=measure(part, data, mirrored=mirror, votes=votes),
            weights_sha256=str(result["weights_sha256"]),
            ferkit=__version__,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            calibrated_by="labels" if voted is None else "FER+ votes",
        )
        _write_card(part, card)
        digest = file_sha256(part)
        out.with_suffix(".json").unlink(missing_ok=True)  # it would call the new file damaged until it is replaced
    write_json(out.with_suffix(".json"), {"sha256": digest, **json.loads(card.to_json())})
    return Exported(out, card)


def measure(file: Path, data: Fer2013, *, mirrored: bool, votes: Votes | None = None) -> dict[str, Any]:
    """Return what a network file reaches on both tests, each whole and without copies of Training images.

    Where the file does not average mirror images itself (``mirrored``), every part is measured a second time with
    them. With ``votes`` each is measured once more with the class most taggers chose as the truth, of ties any, on the
    faces for which they chose one of the classes; its calibration compares confidence with the share of the votes.
    """
    found: dict[str, Any] = {}
    for split in (Split.PUBLIC_TEST, Split.PRIVATE_TEST):
        faces = data.split(split)
        if not len(faces):
            continue
        alone = not_in_training(data, split)
        seen = [_run(file, images) for images in views_of(faces.images, () if mirrored else ("mirror",))]
        for how, said in (("", seen[0]), ("with_mirror", np.mean(seen, axis=0)))[: 1 + (not mirrored)]:
            part = _whole_and_alone(said, faces.labels, alone)
            if votes is not None and (told := (choices := votes.nearest(split, said.argmax(axis=1))) >= 0).any():
                shares = votes.probabilities(split)[told]
                part["by_votes"] = _whole_and_alone(said[told], choices[told], alone[told], shares)
            found[split.value] = {**found.get(split.value, {}), **({how: part} if how else part)}
    return found


def _whole_and_alone(
    probabilities: NDArray[np.float32],
    labels: NDArray[np.int64],
    alone: NDArray[np.bool_],
    shares: NDArray[np.float32] | None = None,
) -> dict[str, Any]:
    """Return the metrics of all faces and of those ``alone``; with ``shares`` ``(N, K)`` these tell the calibration."""
    truth = labels if shares is None else shares
    found = _metrics(probabilities, labels, truth)
    if not alone.any():
        return found
    return {**found, "without_copies": _metrics(probabilities[alone], labels[alone], truth[alone])}


def _metrics(
    probabilities: NDArray[np.float32], labels: NDArray[np.int64], truth: NDArray[np.int64] | NDArray[np.float32]
) -> dict[str, Any]:
    evaluation = evaluate_predictions(np.log(np.maximum(probabilities, 1e-12)), labels)
    return {
        "faces": evaluation.faces,
        "accuracy": evaluation.accuracy,
        "interval": evaluation.interval,
        "macro_f1": evaluation.classes["macro avg"]["f1-score"],
        "loss": evaluation.loss,
        "calibration_error": calibration_error(probabilities, truth),
        "accuracy_at_coverage": {f"{c:.0%}": accuracy_at(c, probabilities, labels) for c in COVERAGES},
    }


def _check_place_of_card(file: Path) -> None:
    if not file.exists():
        return
    try:
        card_from_json(file.read_text(encoding="utf-8"), str(file))
    except (ModelError, OSError, ValueError):
        raise ModelError(
            f"{file}: exists, is not the card of a network, and would be replaced; choose another name for --out"
        ) from None


@torch.inference_mode()
def _log_probs(recognition: _Recognition, images_NHW: NDArray[np.uint8]) -> NDArray[np.float32]:
    parts = [recognition.log_probs(torch.tensor(images_NHW[n : n + 256])) for n in range(0, len(images_NHW), 256)]
    log_probs: NDArray[np.float32] = torch.cat(parts).numpy()
    return log_probs


def _to_onnx(recognition: _Recognition, file: Path) -> None:
    """Write the ONNX file of a network that takes any number of faces."""
    example = torch.zeros(2, SIDE, SIDE, dtype=torch.uint8)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns of packages that are not needed here
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch about itself
        program = torch.onnx.export(
            recognition,
            (example,),
            input_names=["faces"],
            output_names=["probabilities"],
            opset_version=_OPSET,
            dynamo=True,
            dynamic_shapes={"faces_BHW": {0: torch.export.Dim("faces", min=1)}},
            verbose=False,
        )
        assert program is not None
        program.save(file)


def _compare(file: Path, recognition: _Recognition, images_NHW: NDArray[np.uint8]) -> None:
    """Raise a ModelError where the file and the network it was made from disagree."""
    with torch.inference_mode():
        expected = recognition(torch.tensor(images_NHW)).numpy()
    for count in {1, len(images_NHW)}:  # any number of faces gives the same
        difference = float(np.abs(_run(file, images_NHW[:count]) - expected[:count]).max())
        if not difference <= TOLERANCE:
            raise ModelError(
                f"the exported network differs from the trained one by {difference:.2g}, expected {TOLERANCE}"
            )


def _run(file: Path, images_NHW: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the probabilities of a file that has no card yet."""
    import onnxruntime as ort

    session = ort.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    parts = [session.run(None, {"faces": images_NHW[n : n + BATCH]})[0] for n in range(0, len(images_NHW), BATCH)]
    probabilities: NDArray[np.float32] = np.concatenate(parts)
    return probabilities


def _quantise(file: Path, images_NHW: NDArray[np.uint8]) -> None:
    """Turn the network in ``file`` into 8-bit integers; the ranges come from some of ``images_NHW``.

    Weights keep to seven of their eight bits. Processors without dot products of bytes (x86 before VNNI) add two
    products in 16 bits, where 2 x 255 x 127 is cut off without a word and 2 x 255 x 64 is not: with all eight bits a
    network says something else there.
    """
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    some = np.random.default_rng(0).permutation(len(images_NHW))[:CALIBRATED]
    batches = iter(np.array_split(images_NHW[np.sort(some)], max(1, len(some) // 32)))

    class Faces(CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            batch = next(batches, None)
            return None if batch is None else {"faces": batch}

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quant_pre_process(str(file), str(file), skip_symbolic_shape=True)
        quantize_static(
            str(file),
            str(file),
            Faces(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=[
                "Conv",
                "Add",
                "MaxPool",
                "AveragePool",
                "GlobalAveragePool",
                "Gemm",
                "MatMul",
                "Relu",
            ],
            calibrate_method=CalibrationMethod.MinMax,
        )


def _write_card(file: Path, card: ModelCard) -> None:
    import onnx

    model = onnx.load(str(file))
    entry = model.metadata_props.add()
    entry.key, entry.value = CARD_KEY, card.to_json()
    onnx.save(model, str(file))
