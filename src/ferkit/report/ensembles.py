"""Networks that answer together, measured and kept: ``results/<table>/<ensemble>/ensemble.json``.

An ensemble is the mean of its members' probabilities. It is made of finished runs, so it costs an evaluation and no
training; it is measured once its members are there, and again only if they, or their views, are others.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ferkit.data import Fer2013, Protocol
from ferkit.errors import FerkitError
from ferkit.files import write_json
from ferkit.report.results import Run, runs_of, sound_results
from ferkit.report.table import Ensemble, Table
from ferkit.training.evaluate import evaluate_together, to_content
from ferkit.training.folder import RunFolder
from ferkit.training.result import SCHEMA, Seconds, Tested, described_by, load_checked
from ferkit.training.surroundings import describe

FILE = "ensemble.json"

_CONTENT = described_by(
    {"members": list[str], "views": list[str], "parameters": int, "seconds": Seconds, "evaluation": Tested}
)


def take_up_ensembles(
    table: Table, seeds: int, data: Fer2013, *, results: Path, runs: Path, device: str = "cpu"
) -> list[Path]:
    """Measure the ensembles of ``table`` whose members are finished, and return the files that were written.

    Args:
        table: Whose ensembles are meant.
        seeds: Members are the runs of its rows with seeds 0 to ``seeds - 1``.
        data: The data set.
        results: Folder of result files.
        runs: Folder of run folders; an ensemble with a member that has none there, as its result came from another
            machine, is left as it is.
        device: ``cpu`` or ``cuda``.

    Raises:
        RunError: A member, or what was measured before, is damaged.
        DataError: ``data`` has no faces to measure on.
        OSError: What was measured cannot be written.
    """
    finished, _ = sound_results(results)
    folders = _folders(runs)
    written = []
    for ensemble in table.ensembles:
        members = _members(ensemble, table, finished, seeds)
        if not members or not {run.network for run in members} <= set(folders):
            continue
        path = results / table.name / ensemble.slug / FILE
        networks = sorted(run.network for run in members)
        if path.exists() and _is_of(read_ensemble(path), networks, ensemble):
            continue
        where = [folders[name] for name in networks]
        protocol = Protocol(members[0].content["protocol"])
        content = {
            "schema": SCHEMA,
            "members": networks,
            "views": list(ensemble.views),
            "protocol": protocol.value,
            "parameters": sum(int(run.content["parameters"]) for run in members),
            "seconds": sum(float(run.content["seconds"]) for run in members),
            "evaluation": to_content(
                protocol, evaluate_together(where, data, list(protocol.roles.values()), ensemble.views, device)
            ),
            **describe(device),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        write_json(path, content)
        written.append(path)
    return written


def read_ensemble(path: Path) -> dict[str, Any]:
    """Return what :func:`take_up_ensembles` wrote.

    Raises:
        RunError: It is something else, or damaged; the message names the field.
    """
    return load_checked(path, _CONTENT, "an ensemble")


def read_ensembles(results: Path, tables: Mapping[str, Table]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return every ensemble that was measured, by names of table and ensemble.

    Raises:
        RunError: A file is damaged.
    """
    places = {
        (table.name, ensemble.slug): results / table.name / ensemble.slug / FILE
        for table in tables.values()
        for ensemble in table.ensembles
    }
    return {place: read_ensemble(path) for place, path in places.items() if path.exists()}


def _is_of(content: dict[str, Any], networks: list[str], ensemble: Ensemble) -> bool:
    """Return whether it is the measurement of these networks with the ensemble's views."""
    return (content["members"], content["views"]) == (networks, list(ensemble.views))


def _members(ensemble: Ensemble, table: Table, finished: Sequence[Run], seeds: int) -> list[Run]:
    """Return the members; none where one is not finished."""
    found: list[Run] = []
    for row in table.every:
        if row.slug in ensemble.members:
            mine = [run for run in runs_of(row, table, finished) if run.seed < seeds]
            if {run.seed for run in mine} != set(range(seeds)):
                return []
            found += mine
    return found


def _folders(runs: Path) -> dict[str, Path]:
    """Return the finished run folders below ``runs`` that have their weights, by the name of the network."""
    found = {}
    for path in sorted(runs.glob("*/result.json")):
        folder = RunFolder(path.parent)
        if folder.weights.exists():
            with suppress(FerkitError):  # damaged: no member of anything
                found[folder.network()] = folder.path
    return found
