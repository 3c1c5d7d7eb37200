"""Pages of the tables that are ours: what was reached beside what others published, and what each way brings."""

from collections.abc import Iterator, Mapping, Sequence, Set
from statistics import mean
from typing import Any

from ferkit.report.against import compare
from ferkit.report.pages_parts import GENERATED, grid, interval, number, runs_table, spread, values
from ferkit.report.results import Run, runs_of
from ferkit.report.table import Ensemble, Published, Row, Table


def contest_page(table: Table, runs: Sequence[Run], ensembles: Mapping[tuple[str, str], Mapping[str, Any]]) -> str:
    """Return the page of a table whose rows stand beside published ones.

    Args:
        table: With published rows.
        runs: Every finished run.
        ensembles: What was measured of them, by names of table and ensemble.
    """
    owned = {row.slug: runs_of(row, table, runs) for row in table.every}
    rows = [_single(row, owned[row.slug]) for row in table.every]
    networks = {slug: {run.network for run in mine} for slug, mine in owned.items()}
    measured = {each.slug: ensembles.get((table.name, each.slug)) for each in table.ensembles}
    rows += [
        _together(each, found if (found := measured[each.slug]) and _is_of(found, each, networks) else None)
        for each in table.ensembles
    ]
    ours = ("row", "settings", "networks", "test", "95 % interval", "test without copies", "validation", "runs")
    lines = [
        f"# {table.title}",
        "",
        GENERATED,
        "",
        *(f"{sentence}" for sentence in table.unclear),
        "",
        "Accuracy in percent, the mean over runs with different seeds, ± their standard deviation. The interval is",
        "the 95 % Wilson interval for that many faces; the spread between runs is not in it. *Without copies* leaves",
        "out test faces that also stand, pixel for pixel, in Training. *Minutes* are those of training: of one run, or",
        "of all members together. A row without a run shows dashes.",
        "",
        "## Ours",
        "",
        *grid((*ours, "million parameters", "minutes"), rows, left=2),
        "",
        "## Published",
        "",
        *grid(
            ("network", "outside images or weights", "source", "measured on", "networks", "accuracy"),
            (_published(row) for row in table.published),
            left=4,
        ),
        "",
        *(f"- {row.label}: {row.remark}" for row in table.published if row.remark),
        "",
        "## The runs",
        "",
        *runs_table((row.label, run) for row in table.every for run in owned[row.slug]),
    ]
    return "\n".join(lines) + "\n"


def ablation_page(table: Table, runs: Sequence[Run]) -> str:
    """Return the page of a table that says what each way brings, by a test over seeds of all ways together."""
    owned = {row.slug: runs_of(row, table, runs) for row in table.every}
    lines = [
        f"# {table.title}",
        "",
        GENERATED,
        "",
        *(f"{sentence}" for sentence in table.unclear),
        "",
        "In percent on the validation split, the mean over seeds, ± their standard deviation; differences are those of",
        "runs with the same seeds. *Without copies* leaves out validation faces that also stand, pixel for pixel, in",
        "Training: a way that learns by heart reads those. So it alone decides, where the runs of both rows have it",
        "(those made before it was counted do not), and where a row has every seed of the first one: by Dunnett's",
        "test, which takes the spread between runs from all such rows together, so a row whose runs lie far apart",
        "widens the intervals of all: it takes all rows for equally spread, which they need not be. Its 95 % intervals",
        "hold for all rows of a table at once. *Minutes* are those of one run. A row without a run shows dashes.",
        "",
        "## Accuracy",
        "",
        *grid(_COLUMNS, _ways(table, owned)),
        "",
        "## Macro F1",
        "",
        "The mean of the F1 of each expression, in which a rare one, as disgust is, weighs as much as any other.",
        "",
        *grid(_COLUMNS, _ways(table, owned, "macro avg")),
        "",
        *_unlike(table, owned),
        "## The runs",
        "",
        *runs_table((row.label, run) for row in table.every for run in owned[row.slug]),
    ]
    return "\n".join(lines) + "\n"


_COLUMNS = ("way", "all faces", "without copies", "difference", "95 % interval", "verdict", "runs", "minutes")


def _ways(table: Table, owned: Mapping[str, Sequence[Run]], of_class: str = "") -> Iterator[list[str]]:
    """Yield the rows: of accuracy, or of the F1 of a class."""
    whole, alone = "validation", "validation_without_copies"
    compared = compare(owned, table.baseline, alone, of_class)
    for row in table.every:
        mine, found = owned[row.slug], compared.get(row.slug)
        if row.slug == table.baseline:
            cells = ["", "", "the others differ from this in one thing"]
        elif found is None:
            cells = ["-", "-", "not measured without copies" if mine else "-"]
        else:
            between = "-" if found.interval is None else "{:+.1f} to {:+.1f}".format(*found.interval)
            cells = [f"{found.mean:+.1f}", between, found.verdict]
        reached = [spread(values(mine, part, of_class)) for part in (whole, alone)]
        minutes = [run.content["seconds"] / 60 for run in mine]
        yield [row.label, *reached, *cells, str(len(mine)), f"{mean(minutes):.1f}" if minutes else "-"]


def _unlike(table: Table, owned: Mapping[str, Sequence[Run]]) -> list[str]:
    """Return a sentence about the rows with a run on a device, or in a precision, that no run of the first one had."""
    usual = {run.conditions for run in owned[table.baseline]}
    unlike = [row.label for row in table.every if any(run.conditions not in usual for run in owned[row.slug])]
    if not usual or not unlike:
        return []
    return [
        "These rows have runs of another processor, or in another precision, than the first row has: "
        f"{'; '.join(unlike)}. Processors compute the same but for rounding, float32 and bf16 but for more of it;",
        "whether that matters was not measured.",
        "",
    ]


def _single(row: Row, runs: Sequence[Run]) -> list[str]:
    minutes = [run.content["seconds"] / 60 for run in runs]
    parameters = f"{runs[0].content['parameters'] / 1e6:.1f}" if runs else "-"
    return [
        row.label,
        _settings(row, runs),
        "1",
        spread(values(runs, "test")),
        interval(runs, "test"),
        spread(values(runs, "test_without_copies")),
        spread(values(runs, "validation")),
        str(len(runs)),
        parameters,
        f"{mean(minutes):.1f}" if minutes else "-",
    ]


def _settings(row: Row, runs: Sequence[Run]) -> str:
    recipe = row.recipe
    begun = f", begun with {row.begun_by}" if row.begun_by else ""
    taught = f", taught by {_teachers(runs)} {' and '.join(row.taught_by)}" if row.taught_by else ""
    alone = recipe.distill == 1
    votes = f", {'taught by FER+ votes alone' if alone else 'beside FER+ votes'}" if recipe.votes else ""
    copies = ", without copies" if recipe.drop_copies else ""
    return f"{recipe.model}, {recipe.epochs} epochs{begun}{taught}{votes}{copies}"


def _teachers(runs: Sequence[Run]) -> str:
    """Return how many runs taught each of ``runs``: those begun with few seeds had fewer than later ones."""
    numbers = sorted({len(run.teachers) for run in runs})
    if not numbers:
        return "all"
    return f"{' or '.join(map(str, numbers))} run{'s' * (numbers[-1] > 1)} of"


def _is_of(content: Mapping[str, Any], ensemble: Ensemble, networks: Mapping[str, Set[str]]) -> bool:
    """Return whether it was measured of networks that the runs of its rows still are, and with its views."""
    members = set(content["members"])
    known = set[str]().union(*(networks[slug] for slug in ensemble.members))
    each = all(members & networks[slug] for slug in ensemble.members)
    return each and members <= known and content["views"] == list(ensemble.views)


def _together(ensemble: Ensemble, content: Mapping[str, Any] | None) -> list[str]:
    views = f", each face with {' and '.join(ensemble.views)}" if ensemble.views else ""
    settings = f"all {' and '.join(ensemble.members)}{views}"
    if content is None:
        return [ensemble.label, settings, *"-" * 8]
    test = content["evaluation"]["test"]
    parts = [content["evaluation"].get(name) for name in ("test_without_copies", "validation")]
    low, high = test["interval"]
    return [
        ensemble.label,
        settings,
        str(len(content["members"])),
        number(100 * test["accuracy"]),
        f"{100 * low:.1f} to {100 * high:.1f}",
        *(number(None if part is None else 100 * part["accuracy"]) for part in parts),
        "1",
        f"{content['parameters'] / 1e6:.1f}",
        f"{content['seconds'] / 60:.1f}",
    ]


def _published(row: Published) -> list[str]:
    return [row.label, row.outside or "none", row.source, row.split, str(row.networks), f"{row.accuracy:.1f}"]
