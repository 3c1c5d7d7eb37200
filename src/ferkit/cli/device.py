"""The option ``--device`` of the commands that have no recipe to say it."""

from enum import StrEnum


class Device(StrEnum):
    """Where networks are trained or evaluated."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
