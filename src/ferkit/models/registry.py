"""Names of architectures, their options, and how to build each one.

A model is a function with keyword-only options and defaults; its signature is the one definition of those options.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, get_type_hints

import pydantic
import torch
from torch import nn

from ferkit.errors import RecipeError, UnknownNameError

Builder = Callable[..., nn.Module]
_BUILDERS: dict[str, Builder] = {}


def register(build: Builder) -> Builder:
    """Add ``build`` under its own function name; a second claim is a bug."""
    if build.__name__ in _BUILDERS:
        raise RuntimeError(f"model {build.__name__!r} is registered twice")
    _BUILDERS[build.__name__] = build
    return build


def build_model(name: str, **options: Any) -> nn.Module:
    """Return a freshly initialised model, on the CPU, in training mode, laid out channels last.

    Args:
        name: One of :func:`model_names`.
        options: Overrides of :func:`model_options`, for instance ``kernel=5``.

    Raises:
        UnknownNameError: There is no such model, or it has no such option.
        RecipeError: An option has a value the model cannot take.

    Example:
        >>> model = build_model("model1", kernel=3)
        >>> sum(p.numel() for p in model.parameters())
        979847
    """
    model = _builder(name)(**checked_options(name, options))
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]  # absent from torch's stubs


def checked_options(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options of a model as it takes them: a whole number as an ``int`` where it expects one, a list as a tuple.

    Raises:
        UnknownNameError: There is no such model, or it has no such option.
        RecipeError: An option has a value the model cannot take.

    Example:
        >>> checked_options("model1", {"kernel": 3.0, "dropout": 0, "widths": [16, 32, 64, 128]})
        {'kernel': 3, 'dropout': 0.0, 'widths': (16, 32, 64, 128)}
    """
    known = _types(_builder(name))
    checked = {}
    for option, value in options.items():
        if option not in known:
            raise UnknownNameError(f"option of {name}", option, known)
        if isinstance(value, bool) and not isinstance(model_options(name)[option], bool):
            raise RecipeError(f"{name}: {option}: expected a number, got {value!r}")
        try:
            checked[option] = known[option].validate_python(value)
        except pydantic.ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(str(part) for part in (option, *problem["loc"]))
            raise RecipeError(f"{name}: {where}: {problem['msg']}, got {problem['input']!r}") from None
    return checked


def model_names() -> list[str]:
    """Return every registered name, sorted."""
    return sorted(_BUILDERS)


def model_options(name: str) -> Mapping[str, Any]:
    """Return the options of a model and their defaults, in order.

    Example:
        >>> dict(model_options("model3"))
        {'width': 1.0}
    """
    return {p.name: p.default for p in inspect.signature(_builder(name)).parameters.values()}


def model_summary(name: str) -> str:
    """Return the first line of what the model says of itself."""
    return (inspect.getdoc(_builder(name)) or "").partition("\n")[0]


def _builder(name: str) -> Builder:
    if name not in _BUILDERS:
        raise UnknownNameError("model", name, _BUILDERS)
    return _BUILDERS[name]


@cache
def _types(build: Builder) -> dict[str, pydantic.TypeAdapter[Any]]:
    hints = get_type_hints(build, include_extras=True)
    return {option: pydantic.TypeAdapter(hints[option]) for option in inspect.signature(build).parameters}
