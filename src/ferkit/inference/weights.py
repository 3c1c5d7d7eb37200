"""What a network file says of itself: where it comes from, what it was measured at, how far to trust it.

An exported network is one ONNX file that carries its card; beside the shipped ones lie the same cards as JSON, with the
files' SHA-256.
"""

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ferkit.errors import ModelError, OptionError, UnknownNameError
from ferkit.files import exists
from ferkit.labels import UNCERTAIN

SCHEMA = 1
"""Of a card."""

CARD_KEY = "ferkit_card"
"""Name of the card among the ONNX file's properties."""

FOLDER = Path(__file__).with_name("weights")

SHIPPED = {name: FOLDER / f"{name}.onnx" for name in ("compact", "compact-votes")}
"""The shipped networks by name: ``compact`` learnt FER2013's labels, ``compact-votes`` what ten taggers said (FER+)."""

DEFAULT = SHIPPED["compact"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """Where a network comes from and what it can do."""

    name: str
    """Of the architecture, and of the recipe where it has one."""

    classes: tuple[str, ...]
    """In the order of the probabilities."""

    input: str
    """What the file takes."""

    temperature: float
    """What log-probabilities were divided by, fitted on the validation split."""

    mirror: bool
    """Whether a face and its mirror image are averaged."""

    int8: bool
    """Whether the weights and activations are 8-bit integers."""

    parameters: int

    protocol: str
    """``standard``: chosen on PublicTest; ``report``: chosen on PrivateTest."""

    recipe: Mapping[str, Any]
    """Every setting of the training, the seed among them."""

    metrics: Mapping[str, Any]
    """By split: of this very file, after export. A split has ``without_copies``, the same without copies of Training
    images, and ``with_mirror``, the same where each face is read with its mirror image, if it is not in any case. Where
    it was exported with FER+ votes, both have ``by_votes``, which counts as right what taggers chose most often, of
    ties any, and compares confidence with the share of the votes for one of the classes that it got."""

    weights_sha256: str
    """Of the trained weights the file was made from."""

    ferkit: str
    """Version that exported it."""

    created: str
    """When, as ISO 8601."""

    remarks: tuple[str, ...] = field(default=())

    calibrated_by: str = "labels"
    """``labels`` of the validation split, or ``FER+ votes`` of it: what the temperature was fitted to."""

    @property
    def splits(self) -> tuple[str, str]:
        """The split it was chosen on, and the one that is its test."""
        return ("PublicTest", "PrivateTest") if self.protocol == "standard" else ("PrivateTest", "PublicTest")

    def measured(self) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        """Yield split, what is said of it (nothing for the whole as it is), and what was measured."""
        for split, found in self.metrics.items():
            mirrored = found.get("with_mirror")
            for how, part in (
                ("", found),
                ("with mirror images", mirrored),
                ("by FER+ votes", found.get("by_votes")),
                ("with mirror images, by FER+ votes", (mirrored or {}).get("by_votes")),
            ):
                if part is not None:
                    yield split, how, part
                    if "without_copies" in part:
                        yield split, f"{how}, " * bool(how) + "without copies of Training", part["without_copies"]

    def to_json(self) -> str:
        """Return the card as JSON."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1)


def network_file(model: str | Path | None) -> Path:
    """Return the file of a network.

    Args:
        model: The name of a shipped one, a key of :data:`SHIPPED`, or a file, as a ``Path`` always is; the default if
            left out.

    Raises:
        UnknownNameError: It looks like a name, but no network and no file has it.
        OptionError: It is neither a name nor a file.
    """
    if model is None:
        return DEFAULT
    if not isinstance(model, str | os.PathLike) or not os.fspath(model):
        raise OptionError(f"expected the name of a network, or its file, got {model!r}")
    if isinstance(model, Path) or model not in SHIPPED:
        file = Path(model)
        if isinstance(model, str) and file.name == model and not file.suffix and not exists(file):
            raise UnknownNameError("network", model, SHIPPED)
        return file
    return SHIPPED[model]


def card_from_json(text: str, where: str) -> ModelCard:
    """Return the card that ``text`` holds.

    Raises:
        ModelError: It is none; ``where`` names the file.
    """
    try:
        content = json.loads(text)
        if content.pop("schema") != SCHEMA:
            raise ModelError(f"{where}: its card is of another version of ferkit")
        known = {f.name for f in fields(ModelCard)}
        values = {name: value for name, value in content.items() if name in known}
        values["classes"] = _names(values["classes"])
        values["recipe"] = {**values["recipe"]}
        values["remarks"] = tuple(values.get("remarks", ()))
        values["temperature"], values["parameters"] = _finite(values["temperature"]), int(values["parameters"])
        card = ModelCard(**values)
        for _, _, part in card.measured():
            low, high = part["interval"]
            float(part["faces"] + part["accuracy"] + part["calibration_error"] + low + high)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise ModelError(f"{where}: expected the card of a network exported by ferkit, got something else") from None
    return card


def _names(texts: Any) -> tuple[str, ...]:
    names = tuple(texts)
    taken = isinstance(texts, str) or UNCERTAIN in names
    if taken or len(set(names)) < len(names) or not all(name and name.isprintable() for name in names):
        raise ValueError("expected a list of different names that can be printed, none the answer of no class")
    return names


def _finite(value: Any) -> float:
    if not math.isfinite(number := float(value)):
        raise ValueError("expected a finite number")
    return number
