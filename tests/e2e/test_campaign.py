"""The script for a lent GPU: stops in time, packs within its limits, and goes on elsewhere with what it packed."""

import importlib.util
import itertools
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import make_data, small_recipe, write_csv
from ferkit.errors import RunError
from ferkit.experiments import REPORTED, TABLES
from ferkit.files import write_bytes
from ferkit.report.results import Run, add_run
from ferkit.sweeps.plan import State, plan, run_name
from ferkit.training.folder import load_run
from ferkit.training.recipe import make_recipe
from ferkit.training.run import train

SCRIPT = Path(__file__).parents[2] / "tools" / "campaign.py"


@pytest.fixture(scope="module")
def campaign():
    spec = importlib.util.spec_from_file_location("campaign", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["campaign"] = module  # dataclasses look it up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Return a work folder with three finished runs, one of them a teacher of our own table."""
    work = tmp_path_factory.mktemp("work")
    recipes = [small_recipe(seed=seed) for seed in (0, 1)]
    teacher = next(row.recipe for row in TABLES["champion"].every if row.slug == "cpu-teacher")
    for recipe in recipes:
        folder = work / "runs" / run_name(recipe)
        list(train(recipe, make_data(), folder, workers=0))
        add_run(folder, work / "results", TABLES.values())
    # a run of the teacher's recipe, as far as names and files say
    folder = work / "runs" / run_name(teacher)
    list(train(replace(teacher, epochs=1, precision="float32"), make_data(), folder, workers=0))
    (folder / "recipe.toml").write_text(teacher.to_toml())
    result = json.loads((folder / "result.json").read_text())
    said = {"recipe": teacher.to_dict(), "key": teacher.key(), "epochs": teacher.epochs * result["epochs"]}
    (folder / "result.json").write_text(json.dumps({**result, **said}))
    add_run(folder, work / "results", TABLES.values())
    return work


def test_everything_comes_home_within_the_limits_and_serves_elsewhere(campaign, work, tmp_path):
    limits = campaign.Limits(files=12, bytes=1_000_000, total=10**9)
    said = campaign.pack(work, tmp_path / "out", limits)
    assert said == f"{tmp_path / 'out'}: 3 results, weights of 3 runs, 0 left"
    files = list((tmp_path / "out").iterdir())
    assert len(files) <= 12
    assert max(path.stat().st_size for path in files) <= 1_000_000
    elsewhere = tmp_path / "elsewhere"
    assert campaign.unpack(tmp_path / "out", elsewhere) == ({path.name for path in (work / "runs").iterdir()}, [])
    for folder in (work / "runs").iterdir():
        here, there = (load_run(runs / "runs" / folder.name)[1].state_dict() for runs in (work, elsewhere))
        assert all((here[name] == there[name]).all() for name in here)
    places = {"results": elsewhere / "results", "runs": elsewhere / "runs"}
    states = {
        run.rows[0][1].slug: run.state for run in plan([TABLES["champion"]], 1, make_data(), **places, variations=True)
    }
    assert states["cpu-teacher"] is State.DONE
    assert states["cpu-compact"] is State.NEW  # its teacher is there
    assert states["member"] is State.WAITS


def test_what_teaches_comes_first_where_there_is_little_room(campaign, work, tmp_path):
    teacher = run_name(next(row.recipe for row in TABLES["champion"].every if row.slug == "cpu-teacher"))
    campaign.pack(work, tmp_path / "out", campaign.Limits(files=3, bytes=30_000_000, total=10**9))
    index = json.loads((tmp_path / "out/index.json").read_text())
    assert list(index["runs"]) == [teacher]
    assert len(index["left"]) == 2


def test_all_files_together_stay_below_a_limit_and_what_is_at_home_takes_no_room(campaign, work, tmp_path):
    names = [path.name for path in campaign._wanted(work)]
    sizes = {}
    campaign.pack(work, tmp_path / "all", campaign.Limits(files=12, bytes=30_000_000, total=10**9))
    for path in (tmp_path / "all").iterdir():
        sizes[path.name.partition(".")[0]] = path.stat().st_size
    total = sizes["results"] + sizes[names[0]] + sizes[names[1]]
    for limit, packed in ((total, names[:2]), (total - 1, [names[0]])):
        campaign.pack(work, tmp_path / "out", campaign.Limits(files=12, bytes=30_000_000, total=limit))
        index = json.loads((tmp_path / "out/index.json").read_text())
        assert [name for name in names if name in index["runs"]][: len(packed)] == packed
        spent = sum(path.stat().st_size for path in (tmp_path / "out").iterdir() if path.name != "index.json")
        assert spent <= limit
    campaign.pack(work, tmp_path / "out", campaign.Limits(files=12, bytes=30_000_000, total=10**9), {names[0]})
    assert json.loads((tmp_path / "out/index.json").read_text())["left"] == []
    assert list(json.loads((tmp_path / "out/index.json").read_text())["runs"]) == names[1:]


def test_a_second_large_network_takes_no_small_ones_place(campaign, tmp_path, monkeypatch):
    recipes = {row.slug: row.recipe for row in TABLES["champion"].rows}
    wanted = [("champion", 0), ("compact-taught", 0), ("speedrun", 0), ("champion", 1), ("compact-taught", 1)]
    runs = [Run(tmp_path, "", {"seed": s, "recipe": replace(recipes[slug], seed=s).to_dict()}) for slug, s in wanted]
    runs.append(Run(tmp_path, "", {"seed": 0, "recipe": small_recipe().to_dict()}))
    names = [run_name(make_recipe(run.content["recipe"])) for run in runs]
    for name in names:
        (tmp_path / "runs" / name).mkdir(parents=True)
        for file in ("result.json", "weights.safetensors"):
            (tmp_path / "runs" / name / file).touch()
    monkeypatch.setattr(campaign, "sound_results", lambda _: (runs[::-1], {}))
    assert [path.name for path in campaign._wanted(tmp_path)] == names


def test_a_second_call_leaves_nothing_of_the_first(campaign, work, tmp_path):
    campaign.pack(work, tmp_path / "out", campaign.Limits(files=12, bytes=1_000_000, total=10**9))
    campaign.pack(work, tmp_path / "out", campaign.Limits(files=3, bytes=30_000_000, total=10**9))
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_a_call_that_fails_or_is_killed_leaves_what_an_earlier_one_packed(campaign, work, tmp_path, monkeypatch):
    out = tmp_path / "out"
    campaign.pack(work, out, campaign.Limits(files=12, bytes=1_000_000, total=10**9))
    with pytest.raises(RunError, match="bytes of results, more than 10 in one file"):
        campaign.pack(work, out, campaign.Limits(files=12, bytes=10, total=10**9))
    assert len(campaign.unpack(out, tmp_path / "first")[0]) == 3
    calls = itertools.count()

    def killed(path, content):
        if next(calls) == 3:
            raise KeyboardInterrupt
        write_bytes(path, content)

    monkeypatch.setattr(campaign, "write_bytes", killed)
    with pytest.raises(KeyboardInterrupt):
        campaign.pack(work, out, campaign.Limits(files=12, bytes=1_000_000, total=10**9))
    assert len(campaign.unpack(out, tmp_path / "second")[0]) == 3


def test_a_damaged_piece_is_named(campaign, work, tmp_path):
    campaign.pack(work, tmp_path / "out", campaign.Limits(files=12, bytes=1_000_000, total=10**9))
    piece = next((tmp_path / "out").glob("*.part-0"))
    piece.write_bytes(piece.read_bytes()[:-1] + b"x")
    names, problems = campaign.unpack(tmp_path / "out", tmp_path / "elsewhere")
    assert [problem.endswith("the pieces are not what was packed") for problem in problems] == [True]
    assert {path.name for path in (tmp_path / "elsewhere/runs").iterdir()} == names
    assert len(names) == 2  # the others are there
    piece.unlink()
    again, problems = campaign.unpack(tmp_path / "out", tmp_path / "elsewhere")
    assert (again, problems[0].endswith(f"{piece.name} is missing")) == (names, True)


@pytest.mark.parametrize("damage", ["flipped", "cut"])
def test_damaged_results_are_told_and_none_is_unpacked(campaign, work, tmp_path, damage):
    campaign.pack(work, tmp_path / "out", campaign.Limits(files=12, bytes=1_000_000, total=10**9))
    results = tmp_path / "out" / campaign.RESULTS
    content = bytearray(results.read_bytes())
    if damage == "cut":
        del content[2 * len(content) // 3 :]
    else:
        content[len(content) // 2] ^= 1
    results.write_bytes(content)
    with pytest.raises(RunError, match="expected what an earlier call packed"):
        campaign.unpack(tmp_path / "out", tmp_path / "elsewhere")
    assert not (tmp_path / "elsewhere").exists()


def test_what_is_known_is_not_owed_and_what_was_measured_here_stands(campaign, work, tmp_path):
    results = tmp_path / "results"
    (first, *_) = sorted((work / "results").rglob("seed-*.json"))
    here = results / first.relative_to(work / "results")
    here.parent.mkdir(parents=True)
    here.write_text("of this machine")
    assert campaign.learn(work / "results", results) == 2
    assert len(list(results.rglob("seed-*.json"))) == 3
    assert here.read_text() == "of this machine"
    assert campaign.learn(tmp_path / "nothing", results) == 0


def test_all_rows_of_the_report_are_known_to_a_fresh_checkout(campaign, tmp_path):
    campaign.learn(campaign.KNOWN, tmp_path / "results")
    places = {"results": tmp_path / "results", "runs": tmp_path / "runs"}
    reported = [TABLES[name] for name in REPORTED]
    assert {run.state for run in plan(reported, 1, make_data(), **places)} == {State.DONE}


def arguments(tmp_path, *more):
    places = ["--work", tmp_path / "work", "--out", tmp_path / "out", "--known", tmp_path / "nothing"]
    return [str(part) for part in ("--data", tmp_path / "fer2013.csv", *places, "--device", "cpu", *more)]


def test_what_is_finished_is_packed_after_every_step(campaign, tmp_path, monkeypatch):
    packed = []
    monkeypatch.setattr(sys, "argv", ["campaign", *arguments(tmp_path, "--minutes", "5")])
    with pytest.raises(SystemExit, match=r"^error: .*fer2013\.csv: no such file or folder$"):
        campaign.main()
    (tmp_path / "fer2013.csv").touch()
    monkeypatch.setattr(campaign, "_reproduce", lambda *_: packed.append((tmp_path / "out/index.json").exists()) or 1)
    campaign.main()
    assert packed == [False, *[True] * (len(campaign.STEPS) - 1)]


def test_a_step_that_does_not_stop_is_ended(campaign, tmp_path, monkeypatch, capfd):
    stuck = tmp_path / "stuck"
    stuck.write_text("#!/bin/sh\nexec sleep 600\n")
    stuck.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(stuck))
    monkeypatch.setattr(campaign, "GRACE", 0.2)
    asked = campaign._parser().parse_args(arguments(tmp_path, "--minutes", "1"))
    assert not campaign._reproduce(campaign.Step(("table-1",), 1), 0.01, asked, lambda: None)
    assert "it had not stopped" in capfd.readouterr().out


def test_what_is_finished_is_packed_while_others_are_trained(campaign, tmp_path, monkeypatch, capfd):
    runs = tmp_path / "runs.py"
    runs.write_text(
        "import pathlib, time\n"
        f"folder = pathlib.Path({str(tmp_path / 'results/champion/champion')!r})\n"
        "folder.mkdir(parents=True)\n"
        "(folder / 'seed-0.json').write_text('{}')\n"
        "time.sleep(600)\n"
    )
    monkeypatch.setattr(campaign, "LOOK", 0.05)

    def renew():
        process.kill()  # so it was called while the process lived
        raise RunError("no room")

    with subprocess.Popen([sys.executable, runs]) as process:
        campaign._watch(process, time.monotonic() + 120, tmp_path / "results", renew)
    assert capfd.readouterr().out == "not packed: no room\n"


@pytest.mark.slow
def test_asked_to_stop_it_saves_and_packs(tmp_path):
    write_csv(tmp_path / "fer2013.csv", make_data(training=64, tests=20))
    command = [sys.executable, SCRIPT, *arguments(tmp_path, "--minutes", "9", "--jobs", "1")]
    with subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True) as process:
        while not list((tmp_path / "work").glob("runs/*/recipe.toml")):
            time.sleep(0.1)
            assert process.poll() is None
        process.terminate()
        said, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    assert said.count("$ ferkit reproduce") == 1
    assert (tmp_path / "out/index.json").exists()


@pytest.mark.slow
def test_it_stops_in_time_and_packs_what_there_is(campaign, tmp_path):
    csv = write_csv(tmp_path / "fer2013.csv", make_data(training=64, tests=20))
    command = [sys.executable, SCRIPT, "--data", csv, "--work", tmp_path / "work", "--out", tmp_path / "out"]
    command += ["--minutes", "1", "--device", "cpu", "--jobs", "1", "--known", tmp_path / "nothing"]
    began = time.monotonic()
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True)
    assert time.monotonic() - began < 60 + campaign.GRACE
    assert "ferkit reproduce champion" in done.stdout
    assert "results, weights of" in done.stdout
    assert (tmp_path / "out/index.json").exists()
    begun = list((tmp_path / "work/runs").iterdir())
    assert begun
