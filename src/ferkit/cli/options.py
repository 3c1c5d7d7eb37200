"""Options that several commands have: their names, types and helps."""

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

DATA = "fer2013.csv, plain or packed (.gz, .zip, .tar.gz), or a folder of pictures in the layout of FER2013's folders."
"""What a command that reads the data set says of it."""

Data = Annotated[Path, typer.Option("--data", help=DATA)]
"""The data set."""

NETWORKS = (
    "compact (trained on FER2013's labels), compact-votes (trained on what ten people chose for the same faces), or a "
    "file written by `ferkit export`; compact if left out."
)
"""What a command that takes a network for recognition says of it."""

Network = Annotated[str | None, typer.Option("--model", metavar="NAME|FILE", help=NETWORKS)]
"""A network for recognition."""

Detector = Annotated[str, typer.Option("--detector", help="haar, yunet, or none (each picture is one face).")]
"""What finds faces."""

DetectorModel = Annotated[
    Path | None, typer.Option("--detector-model", help="The ONNX file that yunet needs.", show_default=False)
]
"""The file of a detector that is not part of ferkit."""

Views = Annotated[
    str,
    typer.Option(
        "--views",
        help="Read each face also as its mirror image (mirror), moved by two pixels (shifts), or both (mirror,shifts): "
        "a little more exact, and two, five or ten times the time of the network.",
    ),
]
"""What is read of each face beside it."""


class Device(StrEnum):
    """Where networks are trained or evaluated; of the commands that have no recipe to say it."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


def parse_seconds(text: str) -> float:
    """Return ``75``, ``1:15`` or ``0:01:15`` as seconds, each with or without a fraction.

    Raises:
        typer.BadParameter: It is none of them.
    """
    if not re.fullmatch(r"(?:(?:\d{1,4}:)?\d{1,4}:)?\d{1,9}(?:\.\d{1,9})?", text, re.ASCII):
        raise typer.BadParameter(f"expected seconds, or a time such as 1:30 or 1:02:03.5, got {text!r}")
    return float(sum(float(part) * 60**place for place, part in enumerate(reversed(text.split(":")))))
