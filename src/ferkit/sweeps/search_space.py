"""What a search varies, and how far: a TOML file with a table for each setting.

``low`` and ``high`` bound a number, ``log`` spreads it over its magnitudes, ``step`` spaces it; ``choices`` lists
values.
"""

import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from ferkit.errors import RecipeError, UnknownNameError
from ferkit.models import model_options
from ferkit.training.recipe import Recipe, make_recipe
from ferkit.training.recipe_text import NOT_TOML

if TYPE_CHECKING:
    from optuna.trial import Trial

FIXED = {
    "model": "one search is about one network",
    "protocol": "a search chooses by PublicTest",
    "keep": "all trials must be measured alike",
    "seed": "that would choose luck, not settings; --set seed=N trains all trials with another one",
    "device": "it is no choice of settings",
    "init": "a search trains from the first batch on",
    "teachers": "a search learns from the labels alone",
    "votes": "a search learns from the labels alone",
    "lessons": "a search learns from the labels alone",
    "distill": "a search learns from the labels alone",
}
"""Fields of a recipe that no search varies, and why."""

_RANGE, _CHOICES = ("low", "high", "log", "step"), "choices"
_FEW = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Numbers from ``low`` to ``high``, both included."""

    low: float
    high: float
    step: float | None = None
    """Between two of them; 1 for whole numbers, any number if ``None``."""
    log: bool = False
    """Drawn evenly by their logarithm."""
    whole: bool = False
    """Whole numbers."""

    def draw(self, trial: "Trial", name: str) -> Any:
        """Return what Optuna keeps of the value that ``trial`` has, or gets now."""
        if self.whole:
            return trial.suggest_int(name, int(self.low), int(self.high), step=int(self.step or 1), log=self.log)
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)

    def value(self, drawn: Any) -> Any:
        """Return the setting for what was drawn."""
        return drawn

    @property
    def edges(self) -> dict[str, Any]:
        """The values that must be possible, by the key that holds them; of a few whole numbers each."""
        ends = {"low": self.low, "high": self.high}
        if not self.whole or self.high - self.low > _FEW:
            return ends
        between = range(int(self.low), int(self.high), int(self.step or 1))[1:]
        return {**ends, **{f"the value {value} between low and high": value for value in between}}

    def to_dict(self) -> dict[str, Any]:
        """Return the range as plain values."""
        return {"low": self.low, "high": self.high, "step": self.step, "log": self.log}


@dataclass(frozen=True, slots=True)
class Choices:
    """Some values."""

    values: tuple[Any, ...]

    def draw(self, trial: "Trial", name: str) -> Any:
        """Return what Optuna keeps of the value that ``trial`` has, or gets now."""
        return trial.suggest_categorical(name, [_scalar(value) for value in self.values])

    def value(self, drawn: Any) -> Any:
        """Return the setting for what was drawn."""
        return next(value for value in self.values if _scalar(value) == drawn)

    @property
    def edges(self) -> dict[str, Any]:
        """The values that must be possible, by the key that holds them."""
        return {f"{_CHOICES}[{n}]": value for n, value in enumerate(self.values)}

    def to_dict(self) -> dict[str, Any]:
        """Return the choices as plain values."""
        return {_CHOICES: list(self.values)}


Space = Mapping[str, Range | Choices]
"""A field of a recipe or an option of its network, and what it may be."""


def apply(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """Return ``recipe`` with other fields and options of its network.

    Raises:
        RecipeError: The settings contradict themselves.
    """
    options = {name: value for name, value in changes.items() if name in model_options(recipe.model)}
    fields = {name: value for name, value in changes.items() if name not in options}
    return make_recipe({**recipe.to_dict(), **fields, "options": {**recipe.options, **options}})


def read_space(path: Path, recipe: Recipe, *, pruned: bool) -> Space:
    """Return the space that a TOML file holds.

    Args:
        path: The file.
        recipe: What the search starts from; the ends of each range, and each value of a short one of whole
            numbers or of choices, must be possible with the rest of it.
        pruned: Trials are compared after the same number of epochs, so that none may have more than ``recipe``.

    Raises:
        RecipeError: The file cannot be read, names what cannot vary, or a value is out of its range; the message
            names file and key.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    try:
        tables = tomllib.loads(text)
    except NOT_TOML as error:
        raise RecipeError(f"{path}: not TOML: {error}") from None
    if not tables:
        raise RecipeError(f"{path}: expected a table for each setting to vary, such as [lr], got none")
    space: dict[str, Range | Choices] = {}
    for name, table in tables.items():
        try:
            space[name] = _dimension(name, table, recipe)
            _check(name, space[name], recipe, pruned=pruned)
        except (RecipeError, UnknownNameError) as error:
            raise RecipeError(f"{path}: {error}") from None
    return space


def _dimension(name: str, table: Any, recipe: Recipe) -> Range | Choices:
    kind = _number(name, recipe)
    if not isinstance(table, dict):
        raise RecipeError(
            f"{name}: expected a table with low and high, or with choices, got {table!r}; --set {name}=... fixes it"
        )
    for key in table:
        if key not in {*_RANGE, _CHOICES}:
            raise UnknownNameError(f"key of [{name}]", key, [*_RANGE, _CHOICES])
    if _CHOICES in table:
        return _choices(name, table)
    if kind is None:
        raise RecipeError(f"{name}: is no number; expected choices = [...], got {', '.join(table) or 'nothing'}")
    return _range(name, table, whole=kind is int)


def _number(name: str, recipe: Recipe) -> type | None:
    """Return int or float for a setting that is such a number, ``None`` for any other."""
    options = model_options(recipe.model)
    if name in options:
        kind = type(options[name])
        return kind if kind in {int, float} else None
    fields = Recipe.__pydantic_fields__  # type: ignore[attr-defined]
    if name in FIXED:
        raise RecipeError(f"{name}: does not vary: {FIXED[name]}")
    if name not in fields or name == "options":
        known = {*fields, *options} - {"options", *FIXED}
        raise UnknownNameError(f"recipe field or option of {recipe.model}", name, known)
    annotation = fields[name].annotation
    kinds = {annotation, *get_args(annotation)} & {int, float}
    return kinds.pop() if kinds else None


def _choices(name: str, table: Mapping[str, Any]) -> Choices:
    values = table[_CHOICES]
    beside = [key for key in table if key != _CHOICES]
    if beside:
        raise RecipeError(f"{name}: expected choices or low and high, got choices and {', '.join(beside)}")
    if not isinstance(values, list) or len(values) < 2:
        raise RecipeError(f"{name}: choices: expected a list of at least two values, got {values!r}")
    if any(value in values[:n] for n, value in enumerate(values)):
        raise RecipeError(f"{name}: choices: expected different values, got {values!r}")
    return Choices(tuple(values))


def _range(name: str, table: Mapping[str, Any], *, whole: bool) -> Range:
    numbers: dict[str, Any] = {}
    for key in ("low", "high", "step"):
        if key not in table and key != "step":
            raise RecipeError(f"{name}: {key} is missing; expected low and high, or choices")
        value = table.get(key)
        what = "a whole number" if whole else "a number"
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)) or not _is_finite(value):
            raise RecipeError(f"{name}: {key}: expected {what}, got {value!r}")
        numbers[key] = value if whole else float(value)
    low, high, step, log = numbers["low"], numbers["high"], numbers.get("step"), table.get("log", False)
    if not isinstance(log, bool):
        raise RecipeError(f"{name}: log: expected true or false, got {log!r}")
    if low >= high:
        raise RecipeError(f"{name}: low must be below high, got {low} and {high}")
    if log and low <= 0:
        raise RecipeError(f"{name}: low must be above 0 where log is true, got {low}")
    if log and step is not None:
        raise RecipeError(f"{name}: step and log = true exclude each other")
    if step is not None and (step <= 0 or _rest(low, high, step)):
        raise RecipeError(f"{name}: step: expected a part of the way from {low} to {high}, got {step}")
    return Range(low=low, high=high, step=step, log=log, whole=whole)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float can say
        return False


def _rest(low: float, high: float, step: float) -> bool:
    """Return whether steps from ``low`` pass by ``high``."""
    try:
        return bool((Decimal(str(high)) - Decimal(str(low))) % Decimal(str(step)))
    except InvalidOperation:  # more steps than it counts
        return True


def _check(name: str, dimension: Range | Choices, recipe: Recipe, *, pruned: bool) -> None:
    """Raise a RecipeError where a value is not possible."""
    for key, value in dimension.edges.items():
        try:
            changed = apply(recipe, {name: value})
        except RecipeError as error:
            raise RecipeError(f"{name}: {key}: {str(error).removeprefix(f'{name}: ')}") from None
        if pruned and changed.epochs > recipe.epochs:
            raise RecipeError(
                f"{name}: {key}: a pruner compares trials of at most the recipe's {recipe.epochs} epochs, got {value}; "
                f"use --set epochs={value}, or --pruner none"
            )


def _scalar(value: Any) -> Any:
    """Return ``value`` as Optuna can keep it: lists as text."""
    return json.dumps(value) if isinstance(value, list) else value
