"""``ferkit models``: the architectures, and what each is made of."""

import json
from contextlib import nullcontext
from typing import Annotated, Any

import typer

from ferkit.cli.terminal import as_option, beside


def models(
    name: Annotated[str | None, typer.Argument(help="A model; all of them if left out.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="OPTION=VALUE", help="Change an option; may be repeated.")
    ] = None,
    summary: Annotated[
        bool, typer.Option("--summary", help="Print every layer, its output and its parameters.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the networks, or print one layer by layer."""
    import torch

    from ferkit.models import build_model, model_names, model_options, model_summary
    from ferkit.models.trace import layer_table
    from ferkit.training.recipe_text import with_options

    if settings and name is None:
        raise typer.BadParameter("--set changes one network: name it")
    if summary and name is None:
        raise typer.BadParameter("--summary prints one network: name it")
    names = model_names() if name is None else [name]
    rows: list[dict[str, Any]] = []
    for each in names:
        options = with_options(each, settings or [])
        with nullcontext() if summary else torch.device("meta"):  # which counts parameters and allocates none
            model = build_model(each, **options)
        rows.append(
            {
                "name": each,
                "summary": model_summary(each),
                "parameters": sum(p.numel() for p in model.parameters()),
                "options": {**model_options(each), **options},
            }
        )
    if as_json:
        typer.echo(json.dumps(rows if name is None else rows[0], indent=1))
        return
    if summary:
        typer.echo(layer_table(model))
        return
    for row in rows:
        listed = ", ".join(f"{k}={as_option(v)}" for k, v in row["options"].items())
        typer.echo(beside(f"{row['name']:8} {row['parameters']:>11,}  ", row["summary"]))
        typer.echo(beside(" " * 22, listed))
