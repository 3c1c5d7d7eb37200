"""The runner of the report's tables: every row ends with a result, whatever is killed on the way."""

import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import make_data, write_csv
from ferkit.experiments import TABLES

SCRIPT = Path(__file__).with_name("small_tables.py")
MINUTES = 10 * 60

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def csv(tmp_path_factory) -> Path:
    return write_csv(tmp_path_factory.mktemp("data") / "fer2013.csv", make_data(training=96, tests=20))


def begin(folder, csv, *arguments):
    """Start the runner in ``folder``."""
    command = [sys.executable, SCRIPT, "reproduce", *arguments, "--data", csv, "--results", "results", "--runs", "runs"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([str(part) for part in command], cwd=folder, **pipes)


@pytest.fixture
def start(tmp_path, csv):
    """Return a function that starts the runner in this test's folder."""
    begun = []

    def start(*arguments):
        begun.append(begin(tmp_path, csv, *arguments))
        return begun[-1]

    yield start
    for process in begun:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def several(tmp_path_factory, csv):
    """Return the folder of four tables that share rows, one of which cannot be trained, and how the runner ended."""
    folder = tmp_path_factory.mktemp("several")
    return folder, *end(begin(folder, csv, "pair", "again", "broken", "ways", "--jobs", 2))


def end(process):
    """Return exit code, stdout and stderr of a process that ends by itself."""
    out, err = process.communicate(timeout=MINUTES)
    assert "Traceback" not in err, err
    return process.returncode, out, err


def wait(condition, runner=None):
    """Return what ``condition`` finds; fail where the runner ends before it finds anything."""
    began = time.monotonic()
    while not (found := condition()):
        assert runner is None or runner.poll() is None, runner.communicate()
        assert time.monotonic() - began < MINUTES
        time.sleep(0.05)
    return found


def results(folder):
    return sorted(str(path.relative_to(folder / "results")) for path in folder.glob("results/**/seed-*.json"))


def trained(folder, lines=1):
    """Return the metrics of runs with so many epochs."""
    return [p for p in folder.glob("runs/*/metrics.csv") if len(p.read_text().splitlines()) > lines]


def children(folder):
    """Return the processes that train below ``folder``, as pid and parent."""
    if not Path("/proc/self/cmdline").exists():
        pytest.skip("needs /proc to find the processes of runs")
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().split(b"\0")
            if b"ferkit.sweeps.child" in words and any(word.startswith(os.fsencode(folder)) for word in words):
                status = (path / "status").read_text()
                found.append((int(path.name), int(re.search(r"PPid:\s+(\d+)", status)[1])))
        except OSError:  # it has just ended
            continue
    pids = {pid for pid, _ in found}
    return [(pid, parent) for pid, parent in found if parent not in pids]  # without the loaders of a run


def test_two_side_by_side_a_shared_row_runs_once(several):
    folder, _, out, err = several
    assert "4 runs, 0 done, 4 to go" in out
    assert "pair, again, broken" in out
    assert len(re.findall("^begins: ", err, re.MULTILINE)) == 4
    assert re.search(r"done \d/4: pair, Longer, seed 0: accuracy validation [\d.]+ %, test [\d.]+ %", err)
    assert results(folder) == ["pair/base/seed-0.json", "pair/longer/seed-0.json", "ways/base/seed-0.json"]


def test_a_failing_row_leaves_the_others_alone_and_is_told_at_the_end(several):
    _, code, _, err = several
    assert code == 1
    last = err.splitlines()[-2:]
    assert last[0].startswith("failed: broken, Explodes, seed 0: the loss is ")
    assert last[1].startswith("1 of 4 runs are left; go on with: ferkit reproduce pair again broken ways")


def test_runs_that_choose_have_no_test_result(several):
    result = json.loads((several[0] / "results/ways/base/seed-0.json").read_text())
    assert set(result["evaluation"]) == {"validation", "validation_without_copies"}


def test_where_results_were_copied_to_nothing_runs_again(several, tmp_path, start):
    shutil.copytree(several[0] / "results", tmp_path / "results" / "from-another-machine")
    code, out, err = end(start("pair", "again"))
    assert code == 0
    assert "2 runs, 2 done, 0 to go" in out
    assert "begins" not in err
    assert not list(tmp_path.glob("runs/*/result.json"))


def test_all_of_it_trained_elsewhere_is_done_without_figures(several, ferkit, csv, tmp_path, monkeypatch):
    monkeypatch.setattr("ferkit.experiments.TABLES", {"pair": runpy.run_path(str(SCRIPT))["TABLES"]["pair"]})
    shutil.copytree(several[0] / "results", tmp_path / "results")
    places = ("--data", csv, "--results", tmp_path / "results", "--runs", tmp_path / "runs")
    code, out, _ = ferkit("reproduce", "all", *places)
    assert (code, "2 runs, 2 done, 0 to go" in out) == (0, True)
    last = f"no figures: {tmp_path / 'runs'}: expected a finished run to draw figures from, found none"
    assert out.splitlines()[-1] == last
    code, _, err = ferkit("reproduce", "figures", *places)
    assert (code, err.strip()) == (1, f"error: {last.removeprefix('no figures: ')}")


def test_whatever_is_killed_the_next_call_goes_on_where_it_stopped(tmp_path, start):
    runner = start("slow", "--jobs", 2)
    wait(lambda: len(trained(tmp_path)) == 2, runner)
    runner.kill()
    runner.communicate(timeout=60)
    wait(lambda: not children(tmp_path))
    before = max(len(path.read_text().splitlines()) for path in trained(tmp_path))
    runner = start("slow", "--jobs", 2)
    wait(lambda: trained(tmp_path, before + 2), runner)
    victim, _ = wait(lambda: children(tmp_path))[0]
    os.kill(victim, signal.SIGKILL)
    code, out, err = end(runner)
    assert code == 0, err
    assert out.count("part done, epoch ") == 2
    assert "tried again later: slow, Slow" in err
    assert "killed by SIGKILL" in err
    assert results(tmp_path) == ["slow/slow/seed-0.json", "slow/slower/seed-0.json"]
    for log in tmp_path.glob("runs/*/log.txt"):
        text = log.read_text()
        assert "going on after epoch" in text
        told = set(re.findall(r"epoch \d+: train .*(?=; \d+ faces/s)", text))  # one that was not saved is told again
        assert len(told) == len({line.partition(":")[0] for line in told})
        assert len(told) > 2


def test_asked_to_stop_or_out_of_time_everything_is_saved(tmp_path, start):
    runner = start("slow", "--jobs", 2)
    wait(lambda: len(trained(tmp_path)) == 2, runner)
    runner.send_signal(signal.SIGTERM)
    code, _, err = end(runner)
    assert code == 143
    assert err.count("stopped: slow, Slow") == 2
    assert "stopped (SIGTERM): 2 of 2 runs are left; go on with: ferkit reproduce slow" in err
    assert not children(tmp_path)
    began = time.monotonic()
    code, out, err = end(start("slow", "--max-minutes", 0.25))
    assert code == 0
    assert time.monotonic() - began < 90
    assert "stopped (the time is up)" in err or "every run is done" in out  # on a very fast machine


def test_a_dry_run_lists_every_row_and_begins_none(ferkit, csv, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where there are no results that say how long runs take
    places = ("--data", csv, "--results", tmp_path / "results", "--runs", tmp_path / "runs")
    code, out, err = ferkit("reproduce", "table-1", "--seeds", 2, *places, "--dry-run")
    assert (code, err) == (0, "")
    rows = [line for line in out.splitlines() if line.startswith("table-1")]
    assert len(rows) == 2 * len(TABLES["table-1"].rows)
    assert all(re.search(r" [01]  to do +-$", line.rstrip()) for line in rows)
    assert f"{len(rows)} runs, 0 done, {len(rows)} to go" in out
    assert not (tmp_path / "runs").exists()


def test_votes_that_are_not_there_are_told_before_anything_begins(ferkit, csv, tmp_path):
    places = ("--data", csv, "--results", tmp_path / "results", "--runs", tmp_path / "runs")
    missing = tmp_path / "nothing.csv"
    code, out, err = ferkit("reproduce", "champion", "--votes", missing, *places, "--dry-run")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert str(missing) in err


def test_results_that_cannot_be_written_are_told_before_anything_begins(ferkit, csv, tmp_path):
    (tmp_path / "results").write_text("a file")
    places = ("--data", csv, "--results", tmp_path / "results", "--runs", tmp_path / "runs")
    code, _, err = ferkit("reproduce", "table-7", *places)
    assert (code, (tmp_path / "runs").exists()) == (1, False)
    assert err.endswith(f"error: {tmp_path / 'results'}: cannot be written to (File exists)\n")


def test_rows_are_chosen_by_name_variations_among_them(ferkit, csv, tmp_path):
    places = ("--data", csv, "--results", tmp_path / "results", "--runs", tmp_path / "runs", "--dry-run")
    _, out, _ = ferkit("reproduce", "table-1", "table-7", "--row", "layers-6-*", "--row", "filters-2-kernel-5", *places)
    listed = {line.split("  ")[1].strip() for line in out.splitlines() if line.startswith("table-")}
    six_layers = "6 layers, at most 128 channels"
    assert listed == {
        "Filters version 2, kernel size 5",
        f"{six_layers}, CrossEntropyLoss, Adam",
        f"{six_layers}, NLLLoss, SGD",
    }
    assert "3 runs, 0 done" in out
    variation = TABLES["table-1"].variations[0]
    _, out, _ = ferkit("reproduce", "table-1", "--row", variation.slug, *places)
    assert variation.label in out
    assert "1 runs, 0 done" in out
    code, _, err = ferkit("reproduce", "table-7", "--row", "layers-6-sgd", *places)
    assert (code, err.strip()) == (1, "error: unknown row 'layers-6-sgd'; did you mean 'layers-6-nll-sgd'?")


def test_a_student_is_trained_once_its_teachers_are_and_then_they_are_measured_together(tmp_path, start):
    code, out, err = end(start("taught", "--seeds", 2, "--jobs", 2))
    assert code == 0, err
    assert re.findall(r"^begins: taught, (\w+), seed", err, re.MULTILINE) == ["Teacher"] * 2 + ["Student"] * 2
    student = json.loads((tmp_path / "results/taught/student/seed-1.json").read_text())
    teachers = [json.loads((tmp_path / f"results/taught/teacher/seed-{n}.json").read_text()) for n in (0, 1)]
    assert student["recipe"]["teachers"] == sorted(teacher["weights_sha256"][:16] for teacher in teachers)
    together = json.loads((tmp_path / "results/taught/both/ensemble.json").read_text())
    assert len(together["members"]) == 4
    assert "measured together: results/taught/both/ensemble.json" in out
    code, out, err = end(start("taught", "--seeds", 2))
    assert (code, "begins" in err, "measured" in out) == (0, False, False)
    damaged = tmp_path / "results/taught/both/ensemble.json"
    damaged.write_text("{")
    code, out, err = end(start("taught", "--seeds", 2))
    assert code == 1
    assert "failed: taught, ensembles: results/taught/both/ensemble.json: " in err
    assert "Traceback" not in err
    assert damaged.read_text() == "{"  # nobody's to write over
    damaged.unlink()
    code, out, err = end(start("taught", "--seeds", 2))
    assert (code, "begins" in err, "measured together" in out) == (0, False, True)


def test_an_unknown_target_gets_its_near_match(ferkit, csv):
    code, _, err = ferkit("reproduce", "tabel-1", "--data", csv)
    assert (code, err.strip()) == (1, "error: unknown target 'tabel-1'; did you mean 'table-1'?")


def test_ray_starts_a_run_again_when_its_worker_is_killed(tmp_path, start):
    pytest.importorskip("ray")
    runner = start("slow", "--executor", "ray", "--jobs", 2)
    wait(lambda: len(trained(tmp_path, 2)) == 2, runner)
    _, worker = wait(lambda: children(tmp_path))[0]
    os.kill(worker, signal.SIGKILL)
    code, _, err = end(runner)
    assert code == 0, err
    assert results(tmp_path) == ["slow/slow/seed-0.json", "slow/slower/seed-0.json"]
    logs = [path.read_text() for path in tmp_path.glob("runs/*/log.txt")]
    assert sum("going on after epoch" in log for log in logs) == 1
    for path in tmp_path.glob("results/**/seed-*.json"):
        assert len(json.loads(path.read_text())["epochs"]) == 36
