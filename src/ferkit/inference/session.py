"""An exported network as a function from faces to probabilities; the only file of recognition that knows ONNX Runtime.

ONNX Runtime from 1.29 on sends telemetry and writes an id below the user's cache as soon as it is imported, unless it
is told not to before. It is told here.
"""

import json
import os
from hashlib import sha256
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from ferkit.errors import ModelError, OptionError
from ferkit.files import is_file, is_folder
from ferkit.inference.weights import CARD_KEY, ModelCard, card_from_json, network_file
from ferkit.processors import MOST_THREADS

SIDE = 48
"""Pixels a side of a face, as the networks take it."""

BATCH = 64
"""Faces a call of the network; a matter of memory and speed, not of results."""

_ERRORS_ONLY = 3
_SUM = 1e-3  # how far from 1 rounding may bring a sum of probabilities


class Session:
    """A network; several threads may call it at once."""

    def __init__(self, model: str | Path | None = None, threads: int = 1) -> None:
        """Load a network.

        Args:
            model: A file written by ``ferkit export``, or the name of a shipped network, ``compact`` or
                ``compact-votes``; ``compact`` if left out.
            threads: Processor threads a call may use.

        Raises:
            UnknownNameError: There is no network of that name.
            ModelError: The file is missing, damaged or not exported by ferkit.
            OptionError: ``threads`` is not in 1 to 1,024.
        """
        self.file = network_file(model)
        if not isinstance(threads, int | np.integer) or not 1 <= threads <= MOST_THREADS:
            raise OptionError(f"threads must be a whole number from 1 to {MOST_THREADS}, got {threads!r}")
        if not is_file(self.file):
            found = "a folder" if is_folder(self.file) else "nothing"
            raise ModelError(f"{self.file}: expected the ONNX file of a network, got {found}")
        try:
            content = self.file.read_bytes()
        except OSError as error:
            raise ModelError(f"{self.file}: cannot be read ({error.strerror or error})") from None
        _check_sum(self.file, content)
        try:
            self._session = load_runtime(content, int(threads))
        except Exception:  # ONNX Runtime has a class of its own for each way a file can be wrong, and no common one
            raise ModelError(
                f"{self.file}: expected the ONNX file of a network, got another or a damaged file"
            ) from None
        properties = self._session.get_modelmeta().custom_metadata_map
        if CARD_KEY not in properties:
            raise ModelError(f"{self.file}: expected a network exported by `ferkit export`, got another ONNX file")
        self.card: ModelCard = card_from_json(properties[CARD_KEY], str(self.file))
        self._input = self._session.get_inputs()[0].name
        self._try()

    def __call__(self, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return probabilities ``(N, K)`` float32 of ``faces`` ``(N, 48, 48)`` uint8, grey levels; N may be 0.

        Raises:
            ValueError: ``faces`` has another shape or type.
        """
        if faces.dtype != np.uint8 or faces.ndim != 3 or faces.shape[1:] != (SIDE, SIDE):
            raise ValueError(f"expected uint8 (N, {SIDE}, {SIDE}), got {faces.dtype} {faces.shape}")
        parts = [
            self._session.run(None, {self._input: np.ascontiguousarray(faces[start : start + BATCH])})[0]
            for start in range(0, len(faces), BATCH)
        ]
        if not parts:
            return np.empty((0, len(self.card.classes)), np.float32)
        return np.concatenate(parts).astype(np.float32, copy=False)

    def _try(self) -> None:
        """Read one face, which tells a network with a card from one that is what its card says."""
        classes = len(self.card.classes)
        try:
            found = self(np.zeros((1, SIDE, SIDE), np.uint8))
        except Exception:  # of ONNX Runtime, as above, or NumPy
            found = np.empty(0, np.float32)
        if found.shape != (1, classes) or not (found >= 0).all() or not abs(found.sum() - 1) <= _SUM:
            raise ModelError(
                f"{self.file}: expected a network from faces uint8 (N, {SIDE}, {SIDE}) to probabilities "
                f"(N, {classes}) that sum to 1, got another one"
            )


def load_runtime(content: bytes, threads: int = 1) -> ort.InferenceSession:
    """Return the ONNX network in ``content``, on the processor, quiet, with ``threads`` that sleep when they wait."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _check_sum(file: Path, content: bytes) -> None:
    """Compare the file with the card that lies beside it, if one does."""
    beside = file.with_suffix(".json")
    if beside == file:
        raise ModelError(f"{file}: expected the ONNX file of a network; is this its card?")
    if not beside.is_file():
        return
    try:
        expected = json.loads(beside.read_text(encoding="utf-8")).get("sha256")
    except (ValueError, AttributeError, OSError, RecursionError):
        return
    if expected is not None and expected != sha256(content).hexdigest():
        raise ModelError(f"{file}: damaged; its SHA-256 is not the one in {beside.name}")
