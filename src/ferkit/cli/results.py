"""``ferkit results``: finished runs to pages."""

import shlex
from pathlib import Path
from typing import Annotated

import typer


def results(
    add: Annotated[
        list[Path] | None, typer.Option("--add", metavar="RUN", help="Take up the result of a run; may be repeated.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit code 1 where a page or picture is stale.")
    ] = False,
    folder: Annotated[Path, typer.Option("--results", help="Folder of result files.")] = Path("results"),
    docs: Annotated[
        Path | None,
        typer.Option(
            "--docs",
            help="Folder of the generated pages: docs/results, with pictures in docs/images; with another --results, "
            "the same folders below it.",
        ),
    ] = None,
    readme: Annotated[
        Path | None,
        typer.Option("--readme", help="README whose table is generated: README.md; none with another --results."),
    ] = None,
    reports: Annotated[Path, typer.Option("--reports", help="Folder of what the benchmarks wrote.")] = Path(
        "benchmarks/reports"
    ),
    card: Annotated[Path, typer.Option("--card", help="Page of the shipped networks.")] = Path("MODEL_CARD.md"),
    picture: Annotated[
        Path | None, typer.Option("--picture", help="Picture of the README, in its place where left out.")
    ] = None,
) -> None:
    """Render the pages of the report's tables, reported beside measured, from results/*.json.

    README's table of recognition beside another tool is made of the newest reports of the benchmarks.
    """
    if check and add:
        raise typer.BadParameter("--check writes nothing, and --add does")
    from ferkit.errors import RunError
    from ferkit.experiments import TABLES
    from ferkit.inference.weights import SHIPPED
    from ferkit.report import figures
    from ferkit.report.beside import BESIDE_MARKS, beside_table
    from ferkit.report.ensembles import read_ensembles
    from ferkit.report.model_card import model_card_page
    from ferkit.report.pages import left_over, render, stale, write
    from ferkit.report.pages_parts import filled
    from ferkit.report.pictures import pictures
    from ferkit.report.results import add_run, read_results

    if not folder.is_dir() and not add:
        raise RunError(f"{folder}: expected a folder of results, found none; nothing is written")
    if readme is not None and not readme.is_file():
        raise RunError(f"{readme}: expected the README whose table is to be generated, found none; nothing is written")
    for run in add or []:
        with figures.writing(folder):
            added = add_run(run, folder, TABLES.values())
        typer.echo(f"added {added}")
    own = folder.resolve() == Path("results").resolve()
    docs = docs or (Path("docs") if own else folder / "docs") / "results"
    picture = picture or docs.with_name("images") / "table-2.png"
    if readme is None and own:
        readme = Path("README.md")
    runs = read_results(folder)
    drawn = pictures(runs, picture, TABLES)
    pages = render(runs, docs, readme, TABLES, read_ensembles(folder, TABLES), [each.path for each in drawn])
    if readme in pages and (beside := beside_table(reports)):
        pages[readme] = filled(pages[readme], BESIDE_MARKS, beside)
    if own and card.exists():
        pages[card] = model_card_page([file.with_suffix(".json") for file in SHIPPED.values()])
    old = [each for each in drawn if each.is_stale]
    what = f"{len(pages)} pages and {len(drawn)} pictures"
    if check:
        if changed := [*stale(pages), *(each.path for each in old)]:
            again = "ferkit results" if own else shlex.join(["ferkit", "results", "--results", str(folder)])
            raise RunError(f"stale: {', '.join(map(str, changed))}; run `{again}`")
        if lone := left_over(pages, docs):
            raise RunError(f"left over, of no table any more: {', '.join(map(str, lone))}; delete them")
        typer.echo(f"{what} are what {folder}/ says")
        return
    changed = write(pages)
    for each in old:
        each.write()
    changed += [each.path for each in old]
    typer.echo(f"{what}, {len(changed)} changed: {', '.join(map(str, changed)) or 'none'}")
