"""ferkit: facial expression recognition, from fer2013.csv to measured networks, and from a photo to expressions."""

from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ferkit.inference.recognizer import Face as Face
    from ferkit.inference.recognizer import Recognizer as Recognizer

__version__ = version("ferkit")

__all__ = ["Face", "Recognizer", "__version__"]


def __getattr__(name: str) -> object:
    """Import the recognizer when it is asked for, so that the rest of ferkit starts without it."""
    if name in {"Face", "Recognizer"}:
        from ferkit.inference import recognizer

        return getattr(recognizer, name)
    raise AttributeError(f"module 'ferkit' has no attribute {name!r}")
