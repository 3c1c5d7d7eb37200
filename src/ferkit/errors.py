"""Everything ferkit raises on purpose.

* FerkitError
  * DataError           a file or array is not in the documented format
  * RecipeError         a training recipe contradicts itself
  * RunError            a run folder cannot be used as asked
  * TrainingError       training had to stop: disk space ran out, a process has gone, or
    * UntrainableError  these settings cannot be trained here: the loss is not finite, memory ran out
  * OptionError         an argument is out of its range, or of another kind
  * ImageError          a picture, video or detector file cannot be used
  * ModelError          a file is not a network exported by ferkit, or is damaged
  * ServiceError        the web service cannot start as asked
  * UnknownNameError    a model, recipe, field or table name is not registered
  * MissingExtraError   an optional part of ferkit is not installed

The message of each says what was expected, what came, and where. Only the command line and
the web service translate them; nothing in between swallows one.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Self


def on_one_line(text: str) -> str:
    """Return ``text`` with what cannot be printed as Python spells it; a file's name may hold even a line break."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class FerkitError(Exception):
    """Base class: catch this to catch everything ferkit raises on purpose."""

    def __str__(self) -> str:
        return on_one_line(super().__str__())


class DataError(FerkitError, ValueError):
    """A file or array is not in the documented format."""


class RecipeError(FerkitError, ValueError):
    """A training recipe contradicts itself."""


class RunError(FerkitError):
    """A run folder cannot be used as asked."""


class TrainingError(FerkitError, RuntimeError):
    """Training had to stop before its end; the last checkpoint, if there was one, is intact."""


class UntrainableError(TrainingError):
    """These settings cannot be trained here: the loss is not finite, or memory ran out."""


class OptionError(FerkitError, ValueError):
    """An argument is out of its range, or of another kind than expected."""


class ImageError(FerkitError, ValueError):
    """A picture, video or detector file cannot be used."""


class ModelError(FerkitError):
    """A file is not a network exported by ferkit, or is damaged."""


class ServiceError(FerkitError):
    """The web service cannot start as asked."""


class MissingExtraError(FerkitError, ImportError):
    """An optional part of ferkit is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        self._given = package, extra
        super().__init__(f'this command needs {package}, which is not installed; run: pip install "ferkit[{extra}]"')

    def __reduce__(self) -> tuple[type[Self], tuple[str, str]]:
        """Be made anew from what it was made of, on its way from another process."""
        return type(self), self._given


class UnknownNameError(FerkitError, KeyError):
    """A model, recipe, field or table name is not registered."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = sorted(map(str, known))
        self._given = kind, name, known
        alike = {each.casefold(): each for each in known}
        near = get_close_matches(name.casefold(), alike, n=1)
        hint = f"did you mean {alike[near[0]]!r}?" if near else f"known: {', '.join(known)}"
        self.message = f"unknown {kind} {name!r}; {hint}"
        super().__init__(self.message)

    def __reduce__(self) -> tuple[type[Self], tuple[str, str, list[str]]]:
        """Be made anew from what it was made of, on its way from another process."""
        return type(self), self._given

    def __str__(self) -> str:
        return self.message  # KeyError would print the repr
