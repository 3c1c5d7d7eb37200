"""Recipes as people write them: ``field=value`` settings, and TOML."""

import tomllib
from collections.abc import Iterable
from typing import Any

from ferkit.errors import RecipeError, UnknownNameError
from ferkit.training.recipe import Recipe, field_help, make_recipe

NOT_TOML = (ValueError, RecursionError)
"""What reading TOML raises: an error of its own, a ValueError; Python's for numbers of more than 4,300 digits, one,
too; and of brackets nested too deeply."""


def with_options(model: str, settings: Iterable[str]) -> dict[str, Any]:
    """Return the options of a network after ``option=value`` settings, which may be of nothing else.

    Raises:
        UnknownNameError: There is no such network or option.
        RecipeError: As :func:`with_settings`.
    """
    from ferkit.models import model_options

    settings, known = list(settings), model_options(model)
    for name in (setting.partition("=")[0].strip() for setting in settings):
        if name not in known:
            raise UnknownNameError(f"option of {model}", name, known)
    return with_settings(Recipe(model=model), settings).options


def with_settings(recipe: Recipe, settings: Iterable[str]) -> Recipe:
    """Return ``recipe`` with ``field=value`` settings, as ``--set`` takes them.

    Args:
        recipe: What to start from.
        settings: A field of the recipe or an option of its network, ``=``, and a value as TOML writes it; words need no
            quotation marks, and a tuple is written ``16,32,64,128``. A new ``model`` drops the options of the old one.

    Raises:
        UnknownNameError: There is no such field or option.
        RecipeError: A setting has no ``=``, or its value is out of range.

    Example:
        >>> with_settings(Recipe(model="model1"), ["lr=0.01", "kernel=3"]).options
        {'kernel': 3}
    """
    from ferkit.models import model_options

    given: dict[str, Any] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise RecipeError(f"--set expects field=value, got {setting!r}")
        given[name.strip()] = _value(value.strip())
    changed = recipe.to_dict()
    model = given.get("model", recipe.model)
    options = {} if model != recipe.model else dict(recipe.options)
    known = model_options(str(model))
    for name, value in given.items():
        if name in known:
            options[name] = value
        elif name in field_help() and name != "options":
            changed[name] = value
        else:
            raise UnknownNameError(f"recipe field or option of {model}", name, {*field_help(), *known} - {"options"})
    return make_recipe({**changed, "options": options})


def recipe_from_toml(text: str, where: str) -> Recipe:
    """Return the recipe that ``text`` holds.

    Args:
        text: TOML with the fields of :class:`Recipe`.
        where: The file it came from, for the message of an error.

    Raises:
        RecipeError: The text is not TOML or not a recipe.
    """
    try:
        values = tomllib.loads(text)
    except NOT_TOML as error:
        raise RecipeError(f"{where}: not TOML: {error}") from None
    try:
        return make_recipe(values)
    except (RecipeError, UnknownNameError) as error:
        raise RecipeError(f"{where}: {error}") from None


def _value(text: str) -> Any:
    for toml in (f"value = {text}", f"value = [{text}]"):
        try:
            found = tomllib.loads(toml)
            if set(found) == {"value"}:
                return found["value"]
        except NOT_TOML:
            continue
    return text
