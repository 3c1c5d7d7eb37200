import hashlib
import json
import time
from dataclasses import replace

import pytest
import typer

from conftest import make_data, make_part, write_csv
from ferkit.cli import reproduce as cli
from ferkit.data import Split, read_fer2013
from ferkit.data.audit import faces_digest
from ferkit.errors import RunError
from ferkit.models.flops import forward_flops
from ferkit.report.table import Row, Table
from ferkit.sweeps.plan import State, check_faces, plan, run_name
from ferkit.sweeps.processes import Outcome
from ferkit.sweeps.runs import Done, Ended, Halted, folder_for_figures, quiet_peaks, reproduce
from ferkit.training.environment import choose_precision
from ferkit.training.folder import RunFolder
from ferkit.training.recipe import Recipe, make_recipe
from ferkit.training.speed import peak_flops
from ferkit.training.surroundings import describe

SMALL = Recipe(model="layers", options={"depth": 4})
WIDE = replace(SMALL, options={"depth": 5})
FACES = 96
HERE = describe("cpu")


def row(slug, recipe):
    return Row(slug=slug, label=slug, recipe=recipe)


def table(name, *rows, variations=()):
    return Table(name=name, title=name, source="a test", unclear=(), rows=rows, variations=variations)


WIDE_AND_SMALL = table("one", row("wide", WIDE), row("small", SMALL))
SMALL_AGAIN = table("two", row("again", SMALL))


SIDE = {"loss": 1.0, "accuracy": 0.5}


def result(recipe, seed=0, seconds=100.0, **changed):
    content = {
        "schema": 1,
        "key": recipe.key(),
        "seed": seed,
        "recipe": replace(recipe, seed=seed).to_dict(),
        "protocol": "standard",
        "evaluation": {"validation": make_part(0.5)},
        "epochs": [{"number": number, "train": SIDE, "valid": SIDE} for number in range(1, recipe.epochs + 1)],
        "parameters": 6_312,
        "versions": {"torch": "2.0"},
        "commit": None,
        "dirty": None,
        "weights_sha256": hashlib.sha256(f"{recipe.key()} {seed}".encode()).hexdigest(),
        "seconds": seconds,
        "data": {"md5": "", "training": FACES},
        "kept_epoch": 1,
        "best_epoch": 1,
        "platform": "a test",
        "finished": "2026-01-01T00:00:00+00:00",
        "device": HERE["device"],
        "threads": HERE["threads"],
        "processes": 1,
        "precision": choose_precision(recipe.precision, "cpu")[0],
    }
    return content | changed


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


@pytest.fixture
def planned(tmp_path):
    """Return a function that plans with the folders of this test."""

    def make(*tables, seeds=1, **options):
        data = make_data(training=FACES)
        places = {"results": tmp_path / "results", "runs": tmp_path / "runs"}
        return plan(tables, seeds, data, **places, device="cpu", **options)

    return make


def begin(runs, recipe, epochs):
    """Leave a run folder as a run leaves it that was killed after so many epochs of 10 seconds."""
    folder = RunFolder(runs / run_name(recipe))
    folder.last.parent.mkdir(parents=True)
    folder.last.touch()
    folder.recipe.write_text(recipe.to_toml())
    lines = ["epoch,seconds", *(f"{n + 1},10.0" for n in range(epochs))]
    (folder.path / "metrics.csv").write_text("\n".join(lines) + "\n")


def test_every_row_gets_seed_0_before_any_gets_seed_1_and_cheap_ones_come_first(planned):
    order = [(run.rows[0][1].slug, run.recipe.seed) for run in planned(WIDE_AND_SMALL, seeds=2)]
    assert order == [("small", 0), ("wide", 0), ("small", 1), ("wide", 1)]


def test_rows_with_the_same_setting_are_one_run_whatever_their_table(planned):
    runs = planned(WIDE_AND_SMALL, SMALL_AGAIN)
    assert [run.tables for run in runs] == [("one", "two"), ("one",)]


def test_a_run_takes_the_device_asked_for_and_keeps_its_name(planned):
    run = planned(SMALL_AGAIN)[0]
    assert run.recipe.device == "cpu"
    assert run.name == f"{SMALL.key()}-seed-0"


def test_variations_run_only_when_asked_for(planned):
    varied = table("one", row("small", SMALL), variations=(row("wide", WIDE),))
    assert len(planned(varied)) == 1
    assert len(planned(varied, variations=True)) == 2


def test_other_results_say_how_long_a_run_takes_and_count_as_nothing_else(planned, tmp_path):
    write(tmp_path / "others" / "seed-0.json", result(SMALL, seconds=50))
    (run,) = planned(SMALL_AGAIN, timed=tmp_path / "others")
    assert run.state is State.NEW
    assert run.left.seconds == pytest.approx(50)
    assert planned(SMALL_AGAIN, timed=tmp_path / "none")[0].left is None


@pytest.mark.parametrize("place", ["one/small", "other/name", "from-the-gpu/machine-2/one/small"])
def test_a_result_anywhere_below_the_folder_counts_for_its_seed_alone(planned, tmp_path, place):
    write(tmp_path / "results" / place / "seed-1.json", result(SMALL, seed=1))
    states = {run.recipe.seed: run.state for run in planned(SMALL_AGAIN, seeds=2)}
    assert states == {0: State.NEW, 1: State.DONE}


def test_a_row_whose_teachers_are_missing_waits_though_one_without_teachers_is_finished(planned, tmp_path):
    write(tmp_path / "runs" / f"{SMALL.key()}-seed-0" / "result.json", result(SMALL))
    taught = replace(row("taught", SMALL), taught_by=("wide",))
    states = {run.rows[0][1].slug: run.state for run in planned(table("one", *WIDE_AND_SMALL.rows, taught))}
    assert states == {"wide": State.NEW, "small": State.DONE, "taught": State.WAITS}


def test_nothing_that_chooses_reads_the_test_split(planned):
    rows = (row("small", SMALL), replace(row("taught", WIDE), taught_by=("small",)))
    for baseline in ("", "small"):
        runs = planned(replace(table("one", *rows), baseline=baseline))
        assert [run.tested for run in runs] == [not baseline] * 2


@pytest.mark.parametrize("place", ["one/small/seed-0.json", "from-elsewhere/one/small/seed-0-abc.json"])
def test_a_damaged_result_keeps_its_own_run_from_being_made_again_and_no_other(planned, tmp_path, place):
    path, folders = tmp_path / "results" / place, {"results": tmp_path / "results", "runs": tmp_path / "runs"}
    write(path, {"schema": 1})
    write(tmp_path / "results/other/seed-0.json", {})
    runs = planned(WIDE_AND_SMALL)
    assert {run.rows[0][1].slug: run.state for run in runs} == {"small": State.DAMAGED, "wide": State.NEW}
    executor = Finishing("")
    *events, end = reproduce(runs, tmp_path / "data.csv", executor, [WIDE_AND_SMALL], **folders)
    (told,) = (event for event in events if isinstance(event, Halted))
    assert (told.run.state, told.kind) == (State.DAMAGED, "failed")
    assert told.reason.startswith(f"{path}: not the result of a run (recipe is missing); ")
    assert (len(executor.jobs), end.left) == (1, 1)
    assert json.loads(path.read_text()) == {"schema": 1}
    path.unlink()
    states = {run.rows[0][1].slug: run.state for run in planned(WIDE_AND_SMALL)}
    assert states == {"wide": State.DONE, "small": State.NEW}


def test_a_damaged_result_whose_run_is_at_hand_is_taken_up_beside_it(planned, tmp_path):
    path, folders = tmp_path / "results/one/small/seed-0.json", {"results": tmp_path / "results"}
    write(path, "damaged")
    folder = RunFolder(tmp_path / "runs" / run_name(SMALL))
    write(folder.result, result(SMALL))
    folder.recipe.write_text(SMALL.to_toml())
    folders["runs"] = tmp_path / "runs"
    done, end = reproduce(planned(SMALL_AGAIN), tmp_path / "data.csv", Listening(), [SMALL_AGAIN], **folders)
    assert (type(done), end.left, path.read_text()) == (Done, 0, '"damaged"')
    assert [run.state for run in planned(SMALL_AGAIN)] == [State.DONE]


def test_a_run_folder_whose_result_is_damaged_stops_no_other(planned, tmp_path):
    damaged = tmp_path / "runs" / run_name(SMALL) / "result.json"
    write(damaged, {"schema": 1})
    runs = planned(WIDE_AND_SMALL)
    check_faces(runs, make_data(training=FACES), results=tmp_path / "results", runs=tmp_path / "runs")
    assert {run.rows[0][1].slug: run.state for run in runs} == {"small": State.DAMAGED, "wide": State.NEW}
    assert next(run for run in runs if run.state is State.DAMAGED).problem.startswith(f"{damaged}: not the result")


def test_damaged_metrics_of_a_run_say_nothing_of_its_pace(planned, tmp_path):
    begin(tmp_path / "runs", SMALL, epochs=4)
    RunFolder(tmp_path / "runs" / run_name(SMALL)).metrics.write_text("epoch,sec\n1,2\n")
    assert [(run.state, run.epochs) for run in planned(SMALL_AGAIN)] == [(State.BEGUN, 0)]


def test_every_damaged_result_is_told_in_a_line_before_anything_runs(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for place in ("one/small", "other/name"):
        write(tmp_path / "results" / place / "seed-0.json", {})
    csv = write_csv(tmp_path / "fer2013.csv", make_data(training=FACES))
    monkeypatch.setattr("ferkit.experiments.TABLES", {"one": WIDE_AND_SMALL})
    cli.reproduce(["one"], csv, dry_run=True)
    out, err = capsys.readouterr()
    assert [line.partition(": not the result of a run (")[0] for line in err.splitlines()] == [
        "warning: results/one/small/seed-0.json",
        "warning: results/other/name/seed-0.json",
    ]
    assert "2 runs, 0 done, 1 to go, 1 with a damaged result" in out


def test_a_finished_run_folder_is_done_but_not_taken_up(planned, tmp_path):
    write(tmp_path / "runs" / f"{SMALL.key()}-seed-0" / "result.json", result(SMALL))
    (run,) = planned(SMALL_AGAIN)
    assert (run.state, run.taken_up) == (State.DONE, False)


def test_a_begun_run_comes_first_and_knows_its_own_pace(planned, tmp_path):
    begin(tmp_path / "runs", WIDE, epochs=4)
    first, second = planned(WIDE_AND_SMALL)
    assert (first.rows[0][1].slug, first.state, first.epochs) == ("wide", State.BEGUN, 4)
    assert (first.left.seconds, first.left.scaled) == (pytest.approx(60), False)
    assert second.left is None


def test_a_run_begun_with_a_higher_seed_waits_for_the_lower_ones(planned, tmp_path):
    begin(tmp_path / "runs", replace(WIDE, seed=1), epochs=4)
    assert [run.recipe.seed for run in planned(WIDE_AND_SMALL, seeds=2)] == [0, 0, 1, 1]


def test_another_seed_of_a_finished_run_takes_as_long_as_it_did(planned, tmp_path):
    write(tmp_path / "results/one/small/seed-0.json", result(SMALL, seconds=120))
    run = planned(SMALL_AGAIN, seeds=2)[1]
    assert (run.left.seconds, run.left.scaled) == (pytest.approx(120), False)


def test_of_several_finished_seeds_the_one_in_the_middle_says_how_long(planned, tmp_path):
    for seed, seconds in enumerate((600, 120, 100)):
        write(tmp_path / f"results/one/small/seed-{seed}.json", result(SMALL, seed=seed, seconds=seconds))
    assert planned(SMALL_AGAIN, seeds=4)[3].left.seconds == pytest.approx(120)


def test_half_the_threads_take_twice_as_long(planned, tmp_path):
    write(tmp_path / "results/one/small/seed-0.json", result(SMALL, seconds=120, threads=2))
    assert planned(SMALL_AGAIN, seeds=2, threads=1)[1].left.seconds == pytest.approx(240)


def test_other_settings_of_the_network_scale_by_operations_and_say_so(planned, tmp_path):
    write(tmp_path / "results/one/small/seed-0.json", result(SMALL, seconds=120))
    wide = planned(WIDE_AND_SMALL)[1]
    assert wide.rows[0][1].slug == "wide"
    assert wide.left.scaled
    assert wide.left.seconds > 120
    half = planned(table("x", row("short", replace(SMALL, epochs=5))))[0]
    assert half.left.seconds == pytest.approx(60)


def test_of_several_networks_the_one_nearest_in_size_says_how_long(planned, tmp_path):
    """A small network reaches fewer operations a second than a large one; here a tenth."""
    deeper, deepest = (replace(SMALL, options={"depth": depth}) for depth in (6, 7))
    work = {recipe.options["depth"]: forward_flops("layers", **recipe.options) for recipe in (SMALL, deeper, deepest)}
    for recipe, speed in ((SMALL, 1e6), (deeper, 1e7)):
        seconds = work[recipe.options["depth"]] * recipe.epochs * FACES / speed
        write(tmp_path / f"results/t/{recipe.key()}/seed-0.json", result(recipe, seconds=seconds))
    (run,) = planned(table("deep", row("deepest", deepest)))
    assert run.left.seconds == pytest.approx(work[7] * deepest.epochs * FACES / 1e7)


@pytest.mark.parametrize(
    "changed",
    [{"device": "a GPU elsewhere"}, {"precision": "another"}, {"processes": 2}, {"seconds": 0}, {"data": {}}],
    ids=lambda changed: next(iter(changed)),
)
def test_nothing_is_said_where_no_comparable_run_says_it(planned, tmp_path, changed):
    write(tmp_path / "results/one/small/seed-0.json", result(SMALL, **changed))
    assert planned(SMALL_AGAIN, seeds=2)[1].left is None


def test_figures_are_drawn_from_the_preferred_run_else_from_the_best(tmp_path):
    with pytest.raises(RunError, match="found none"):
        folder_for_figures(tmp_path, [])
    for name, recipe, accuracy in (("a", SMALL, 0.5), ("b", WIDE, 0.4), ("c", SMALL, 0.6)):
        write(tmp_path / name / "result.json", result(recipe, evaluation={"validation": make_part(accuracy)}))
        (tmp_path / name / "recipe.toml").write_text(recipe.to_toml())
        (tmp_path / name / "weights.safetensors").touch()
    write(tmp_path / "damaged" / "result.json", {})
    assert folder_for_figures(tmp_path, []).name == "c"
    assert folder_for_figures(tmp_path, [WIDE.key()]).name == "b"


class Listening:
    """An executor that runs nothing and keeps what it is asked to."""

    slots = 2

    def __init__(self):
        self.jobs = []

    def start(self, job):
        self.jobs.append(job)

    def poll(self):
        return [Outcome(name=job.name, kind="failed", reason="not run") for job in self.jobs[-self.slots :]]

    def stop(self):
        """Nothing runs."""

    def close(self):
        """Nothing runs."""


def test_where_runs_share_a_device_its_peak_is_measured_before_and_given_to_each(planned, tmp_path):
    runs = planned(table("one", row("a", SMALL), row("b", replace(SMALL, precision="float32", lr=0.5))))
    peaks = quiet_peaks(runs)
    assert peaks == {p: peak_flops("cpu", p) for p in {choose_precision(SMALL.precision, "cpu")[0], "float32"}}
    asked = {}
    for given in (peaks, None):
        executor = Listening()
        folders = {"results": tmp_path / "results", "runs": tmp_path / "runs"}
        list(reproduce(runs, tmp_path / "data.csv", executor, [], peaks=given, **folders))
        asked[given is None] = [json.loads(job.request())["peak"] for job in executor.jobs]
    assert asked[True] == [None, None]
    assert sorted(asked[False]) == sorted([peaks[choose_precision(SMALL.precision, "cpu")[0]], peaks["float32"]])


class Ending(Listening):
    """An executor whose jobs all end in one way, at once or, without one, when they are asked to."""

    slots = 1

    def __init__(self, kind=""):
        super().__init__()
        self.kind, self.ended, self.asked = kind, 0, 0.0

    def poll(self):
        assert len(self.jobs) < 9, "or it would go on for ever"
        time.sleep(0.01)
        kind = self.kind or ("stopped" if self.asked else "")
        new = self.jobs[self.ended :] if kind else []
        self.ended += len(new)
        return [Outcome(name=job.name, kind=kind, reason="as told") for job in new]

    def stop(self):
        self.asked = time.monotonic()


@pytest.mark.parametrize(("kind", "tries"), [("killed", 2), ("stopped", 2), ("failed", 1)])
def test_a_run_that_somebody_ends_is_tried_once_more_and_one_that_fails_is_not(planned, tmp_path, kind, tries):
    executor, folders = Ending(kind), {"results": tmp_path / "results", "runs": tmp_path / "runs"}
    runs = planned(SMALL_AGAIN, table("other", row("wide", WIDE)))
    *events, end = reproduce(runs, tmp_path / "data.csv", executor, [], **folders)
    assert sorted(job.name for job in executor.jobs) == sorted(run.name for run in runs for _ in range(tries))
    halts = [event.kind for event in events if isinstance(event, Halted)]
    assert halts.count("again") == 2 * (tries - 1)
    assert halts[-2:] == ["failed"] * 2
    assert (end.left, end.reason) == (2, "")


class Finishing(Ending):
    """An executor whose jobs finish at once, but for one that cannot begin."""

    def __init__(self, refused):
        super().__init__("finished")
        self.refused = refused

    def start(self, job):
        if job.name == self.refused:
            raise RunError("its folder cannot be written to")
        super().start(job)

    def poll(self):
        jobs = {job.name: job for job in self.jobs}
        return [replace(told, result=result(make_recipe(jobs[told.name].recipe))) for told in super().poll()]


@pytest.mark.parametrize("where", ["run folder", "results"])
def test_a_folder_that_cannot_be_written_to_fails_its_own_runs_alone(planned, tmp_path, where):
    folders = {"results": tmp_path / "results", "runs": tmp_path / "runs"}
    runs = planned(WIDE_AND_SMALL)
    executor = Finishing(runs[0].name if where == "run folder" else "")
    if where == "results":
        (tmp_path / "results").mkdir()
        (tmp_path / "results" / "other").touch()  # where the results of no table go
    *events, end = reproduce(runs, tmp_path / "data.csv", executor, [], **folders)
    told = [(type(event), event.run) for event in events if isinstance(event, Halted | Done)]
    assert told == [(Halted, runs[0]), (Done if where == "run folder" else Halted, runs[1])]
    assert [event.kind for event in events if isinstance(event, Halted)] == ["failed"] * end.left
    assert end.left == (1 if where == "run folder" else 2)
    assert all(RunFolder(tmp_path / "runs" / job.name).result.exists() for job in executor.jobs), "or work is lost"


def test_a_finished_run_whose_result_cannot_be_taken_up_fails_alone(planned, tmp_path):
    folder, folders = RunFolder(tmp_path / "runs" / run_name(SMALL)), {"results": tmp_path / "results"}
    write(folder.result, result(SMALL))
    folder.recipe.write_text(SMALL.to_toml())
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "other").touch()  # where the results of no table go
    executor = Ending("failed")
    *events, end = reproduce(
        planned(WIDE_AND_SMALL), tmp_path / "data.csv", executor, [], runs=tmp_path / "runs", **folders
    )
    assert [event.run.rows[0][1].slug for event in events if isinstance(event, Halted)] == ["small", "wide"]
    assert (len(executor.jobs), end.left) == (1, 2)


def test_some_of_the_minutes_are_kept_for_saving(planned, tmp_path):
    executor, folders = Ending(), {"results": tmp_path / "results", "runs": tmp_path / "runs"}
    runs = planned(SMALL_AGAIN)
    began = time.monotonic()
    *_, end = reproduce(runs, tmp_path / "data.csv", executor, [], max_minutes=10 / 60, **folders)
    assert 8.9 <= executor.asked - began < 9.9, "a tenth of ten seconds"
    assert (end.left, bool(end.reason)) == (1, True)


@pytest.mark.parametrize("place", ["results/one/small/seed-0.json", "runs"])
def test_what_was_evaluated_on_other_faces_is_not_taken_for_done(planned, tmp_path, place):
    data = make_data(training=FACES)
    counts = data.split(Split.PUBLIC_TEST).counts().values()
    confusion = [[*[0] * k, n, *[0] * (6 - k)] for k, n in enumerate(counts)]
    fitting = make_part(1.0, faces=sum(counts), confusion=confusion)
    path = tmp_path / (f"runs/{run_name(SMALL)}/result.json" if place == "runs" else place)
    places = {"results": tmp_path / "results", "runs": tmp_path / "runs"}
    write(path, result(SMALL, evaluation={"validation": fitting}))
    path.with_name("recipe.toml").write_text(SMALL.to_toml())
    check_faces(planned(WIDE_AND_SMALL), data, **places)
    write(path, result(SMALL, evaluation={"validation": make_part(0.5)}))
    check_faces(planned(table("other", row("wide", WIDE))), data, **places)  # asks for other runs
    with pytest.raises(RunError) as caught:
        check_faces(planned(WIDE_AND_SMALL), data, **places)
    assert str(caught.value) == (
        f"{path}: the run was trained or evaluated on other faces than those of {data.source}; "
        "name other folders with --results and --runs"
    )
    known = {split.value: faces_digest(data.split(split)) for split in Split}
    of = {"md5": "", "training": FACES, "faces_sha256": known}
    write(path, result(SMALL, evaluation={"validation": fitting}, data=of))
    check_faces(planned(WIDE_AND_SMALL), data, **places)
    known["Training"] = "of other faces"
    write(path, result(SMALL, evaluation={"validation": fitting}, data=of))
    with pytest.raises(RunError, match="was trained or evaluated on other faces"):
        check_faces(planned(WIDE_AND_SMALL), data, **places)


def test_a_damaged_ensemble_is_told_at_the_end(tmp_path, capsys, monkeypatch):
    def damaged(*_, **__):
        raise RunError("ensemble.json: not the result of an ensemble")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ferkit.report.ensembles.take_up_ensembles", damaged)
    monkeypatch.setattr("ferkit.experiments.TABLES", {name: table(name) for name in ("one", "two")})
    csv = write_csv(tmp_path / "fer2013.csv", make_data(training=FACES))
    with pytest.raises(typer.Exit) as caught:
        cli.reproduce(["one", "two"], csv)
    assert caught.value.exit_code == 1
    told = [f"failed: {name}, ensembles: ensemble.json: not the result of an ensemble" for name in ("one", "two")]
    assert capsys.readouterr().err.splitlines() == told


def test_minutes_count_from_the_start_of_the_command(tmp_path, monkeypatch):
    def slowly(path):
        time.sleep(0.3)
        return read_fer2013(path)

    def runs(*_, max_minutes, **__):
        given.append(60 * max_minutes)
        yield Ended(left=0, reason="", signal=0)

    given = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ferkit.data.read_fer2013", slowly)
    monkeypatch.setattr("ferkit.sweeps.runs.reproduce", runs)
    monkeypatch.setattr("ferkit.experiments.TABLES", {"one": WIDE_AND_SMALL})
    cli.reproduce(["one"], write_csv(tmp_path / "fer2013.csv", make_data(training=FACES)), max_minutes=10)
    assert all(500 < seconds <= 600 - 0.3 for seconds in given)
    assert given
