"""ferkit: facial expression recognition, from fer2013.csv to measured networks, and from a photo to expressions."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ferkit.inference.boxes import Box as Box
    from ferkit.inference.recognizer import Face as Face
    from ferkit.inference.recognizer import Recognizer as Recognizer

    __version__: str

__all__ = ["Box", "Face", "Recognizer", "__version__"]


def __dir__() -> list[str]:
    """List them for a prompt that completes names, and for ``help``."""
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> object:
    """Look up what takes time to import when it is asked for, so that the rest of ferkit starts without it."""
    if name in {"Box", "Face", "Recognizer"}:
        from ferkit.inference import recognizer

        return getattr(recognizer, name)
    if name == "__version__":
        from importlib.metadata import version

        return version("ferkit")
    raise AttributeError(f"module 'ferkit' has no attribute {name!r}")
