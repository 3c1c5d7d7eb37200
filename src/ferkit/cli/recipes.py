"""``ferkit recipes``: the shipped settings."""

import json
import textwrap
from typing import Annotated

import typer

from ferkit.cli.terminal import beside


def recipes(
    name: Annotated[str | None, typer.Argument(help="A recipe; all of them if left out.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the shipped recipes, or print all settings of one, with what they mean."""
    from ferkit.training.recipe import field_help
    from ferkit.training.recipes import GROUPS, RECIPES, get_recipe

    if name is None:
        if as_json:
            typer.echo(json.dumps({n: {"summary": s, **r.to_dict()} for n, (s, r) in RECIPES.items()}, indent=1))
            return
        longest = max(map(len, RECIPES))
        for number, (purpose, names) in enumerate(GROUPS.items()):
            if number:
                typer.echo()
            typer.echo(f"{purpose}:")
            for each in names:
                typer.echo(beside(f"  {each:{longest}} ", RECIPES[each][0]))
        return
    recipe = get_recipe(name)
    if as_json:
        typer.echo(json.dumps(recipe.to_dict(), indent=1))
        return
    settings = recipe.to_dict()
    for field, meaning in field_help().items():
        typer.echo(textwrap.fill(meaning, 80, initial_indent="# ", subsequent_indent="# "))
        typer.echo(f"{field} = {_text(settings[field])}\n" if field in settings else f"# {field} is left out\n")


def _text(value: object) -> str:
    """Return ``value`` as TOML writes it on one line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {_text(v)}" for k, v in value.items()) + " }" if value else "{}"
    return json.dumps(value)
