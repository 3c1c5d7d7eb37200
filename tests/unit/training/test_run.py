import csv
import errno
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from conftest import make_data, small_recipe
from ferkit.data import Faces, Fer2013, Protocol, Split
from ferkit.data.audit import faces_digest
from ferkit.errors import DataError, RecipeError, RunError, TrainingError, UntrainableError
from ferkit.evaluation import predict
from ferkit.report.page import write_page
from ferkit.training import checkpoint, evaluate, run, surroundings
from ferkit.training.events import Finished, Started, Stopped
from ferkit.training.folder import RunFolder, load_run
from ferkit.training.needs import Others
from ferkit.training.recipe_text import recipe_from_toml
from ferkit.training.run import train
from ferkit.training.state import Epoch
from ferkit.training.stopping import StopRequest
from ferkit.training.surroundings import describe
from ferkit.training.teaching import Lesson

RECIPE = small_recipe(epochs=3, augmentation="report", augment_backend="albumentations")


@pytest.fixture(scope="module")
def data():
    return make_data()


@pytest.fixture(scope="module")
def finished(tmp_path_factory, data):
    """Return a finished run and its events."""
    folder = tmp_path_factory.mktemp("run") / "out"
    return folder, list(train(RECIPE, data, folder, workers=0))


def test_a_run_folder_explains_itself(finished):
    folder, events = finished
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Finished)
    assert recipe_from_toml((folder / "recipe.toml").read_text(), "recipe.toml") == RECIPE
    result = json.loads((folder / "result.json").read_text())
    assert result["protocol"] == "standard"
    assert {part: values["split"] for part, values in result["evaluation"].items()} == {
        "validation": "PublicTest",
        "validation_without_copies": "PublicTest",
        "test": "PrivateTest",
        "test_without_copies": "PrivateTest",
    }
    assert len(result["epochs"]) == 3
    assert result["versions"]["torch"] == torch.__version__
    assert result["device"]
    assert result["seconds"] > 0
    with (folder / "metrics.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert float(rows[2]["valid_f1"]) == result["epochs"][2]["valid"]["f1"]
    assert "finished" in (folder / "log.txt").read_text()
    assert list((folder / "tensorboard").iterdir())
    assert not list(folder.rglob("*.part"))


def test_tensorboard_reads_what_the_run_wrote(finished):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder, events = finished
    board = EventAccumulator(str(folder / "tensorboard"))
    board.Reload()
    values = [event.value for event in board.Scalars("valid/accuracy")]
    assert values == pytest.approx([e["valid"]["accuracy"] for e in events[-1].result["epochs"]])


def test_the_kept_weights_are_those_of_the_best_epoch(finished, data):
    folder, events = finished
    result = events[-1].result
    best = max(result["epochs"], key=lambda epoch: epoch["valid"]["accuracy"])
    assert result["kept_epoch"] == result["best_epoch"] == best["number"]
    assert result["evaluation"]["validation"]["accuracy"] == pytest.approx(best["valid"]["accuracy"])
    _, model = load_run(folder)
    faces = data.split(data_split("PublicTest"))
    accuracy = (predict(model, faces.images).argmax(1) == faces.labels).mean()
    assert accuracy == pytest.approx(best["valid"]["accuracy"])


def data_split(name):
    from ferkit.data import Split

    return Split(name)


def test_keep_last_keeps_the_last_epoch(tmp_path, data):
    recipe = replace(RECIPE, keep="last", epochs=2)
    events = list(train(recipe, data, tmp_path / "out", workers=0))
    kept = load_file(tmp_path / "out" / "weights.safetensors")
    last = checkpoint.load(RunFolder(tmp_path / "out").last)["model"]
    assert events[-1].result["kept_epoch"] == 2
    assert all(torch.equal(kept[name], last[name]) for name in kept)


def test_a_second_run_does_not_overwrite_the_first(finished, data):
    folder, _ = finished
    with pytest.raises(RunError, match="holds a run already; add --resume"):
        list(train(RECIPE, data, folder))


def test_weights_of_a_finished_run_that_are_gone_are_made_anew_of_its_checkpoint(finished, data, tmp_path):
    folder = RunFolder(shutil.copytree(finished[0], tmp_path / "run"))
    elsewhere = {**json.loads(folder.result.read_text()), "device": "another machine", "commit": "another commit"}
    folder.result.write_text(json.dumps(elsewhere))
    before = folder.weights.read_bytes()
    folder.weights.unlink()
    (last,) = train(RECIPE, data, folder.path, resume=True, workers=0)
    assert folder.weights.read_bytes() == before
    assert last.result == json.loads(folder.result.read_text()) == elsewhere, "the run is the one that was"
    folder.weights.unlink()
    folder.result.write_text(json.dumps({**elsewhere, "weights_sha256": "0" * 64}))
    with pytest.raises(RunError, match=r"is finished, but weights\.safetensors is gone, and its checkpoint gives"):
        list(train(RECIPE, data, folder.path, resume=True, workers=0))
    assert not folder.weights.exists()
    folder.weights.write_bytes(before[:3000])
    with pytest.raises(RunError, match=r"weights\.safetensors is damaged, and its checkpoint gives other weights"):
        list(train(RECIPE, data, folder.path, resume=True, workers=0))
    folder.weights.unlink()
    shutil.rmtree(folder.last.parent)
    with pytest.raises(RunError, match=r"no such checkpoint; delete checkpoints and result\.json in .*run, and"):
        list(train(RECIPE, data, folder.path, resume=True, workers=0))
    assert folder.result.exists()
    folder.result.unlink()  # what it advises helps
    *_, again = train(RECIPE, data, folder.path, resume=True, workers=0)
    assert again.result["weights_sha256"] == elsewhere["weights_sha256"]


def test_the_weights_of_an_epoch_are_no_checkpoint_to_go_on_from(finished, data, tmp_path):
    folder = RunFolder(shutil.copytree(finished[0], tmp_path / "run"))
    folder.result.unlink()
    shutil.copy(folder.best, folder.last)
    with pytest.raises(RunError, match=r"last\.pt: expected a checkpoint to go on from, got the weights of"):
        list(train(RECIPE, data, folder.path, resume=True, workers=0))


@pytest.mark.parametrize("name", ["weights.safetensors", "checkpoints/best.pt", "metrics.csv"])
def test_what_is_of_no_known_run_is_not_overwritten(tmp_path, data, name):
    own = tmp_path / "own" / name
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    with pytest.raises(
        RunError,
        match=rf"own: holds {Path(name).name} but no recipe.toml, so it is unknown of which run; choose another",
    ):
        list(train(RECIPE, data, tmp_path / "own"))
    assert [path for path in (tmp_path / "own").rglob("*") if path.is_file()] == [own]
    assert own.read_text() == "mine"


def test_damaged_weights_of_a_finished_run_are_made_anew_of_its_checkpoint(finished, data, tmp_path):
    folder = RunFolder(shutil.copytree(finished[0], tmp_path / "run"))
    before = folder.weights.read_bytes()
    for damaged in (before[:3000], before[:-1] + bytes([before[-1] ^ 1]), b""):
        folder.weights.write_bytes(damaged)
        with pytest.raises(RunError, match=r"; made again of the checkpoint by: ferkit train --resume --out .*run "):
            load_run(folder.path)
        list(train(RECIPE, data, folder.path, resume=True, workers=0))
        assert folder.weights.read_bytes() == before
    shutil.rmtree(folder.last.parent)
    folder.weights.write_bytes(before[:3000])
    assert len(list(train(RECIPE, data, folder.path, resume=True, workers=0))) == 1, "the numbers are there"
    with pytest.raises(RunError, match=r"not the weights of \w+ \(.*\)$"):
        load_run(folder.path)


def test_a_folder_in_which_another_process_trains_is_left_alone(tmp_path, data, monkeypatch):
    monkeypatch.setattr("ferkit.training.folder.PATIENCE", 0)
    first = train(RECIPE, data, tmp_path / "out", workers=0)
    assert isinstance(next(first), Started)
    half_written = tmp_path / "out" / ".metrics.csv.0123456789abcdef.part"
    half_written.touch()
    with pytest.raises(
        RunError,
        match=r"another process, or an open train\(...\) of this one, trains in this folder and holds .training.lock",
    ):
        list(train(RECIPE, data, tmp_path / "out", resume=True, workers=0))
    assert half_written.exists(), "it is for the other process to finish"
    first.close()
    *_, finished = train(RECIPE, data, tmp_path / "out", resume=True, workers=0)
    assert isinstance(finished, Finished)
    assert not half_written.exists()


def test_resuming_a_finished_run_only_tells_its_result(finished, data):
    folder, events = finished
    before = (folder / "result.json").read_bytes()
    again = list(train(RECIPE, data, folder, resume=True))
    assert [e.result["weights_sha256"] for e in again] == [events[-1].result["weights_sha256"]]
    assert (folder / "result.json").read_bytes() == before


def test_resuming_with_other_settings_is_refused(finished, data):
    folder, _ = finished
    with pytest.raises(RunError, match="holds a run with other settings"):
        list(train(replace(RECIPE, lr=0.5), data, folder, resume=True))


def stop_after(events, steps):
    """Consume ``steps`` batches and give up, as a killed process would."""
    seen = 0
    for event in events:
        seen += isinstance(event, run.Step)
        if seen == steps:
            events.close()
            return


@pytest.mark.parametrize("steps", [1, 5, 6, 7, 12, 17])
def test_a_run_broken_off_anywhere_ends_with_the_same_numbers(tmp_path, finished, data, steps):
    _, events = finished
    folder = tmp_path / "out"
    stop_after(train(RECIPE, data, folder, workers=0, save_seconds=0), steps)
    again = list(train(RECIPE, data, folder, workers=0, resume=True))
    expected, got = events[-1].result, again[-1].result
    assert got["weights_sha256"] == expected["weights_sha256"]
    assert [strip(e) for e in got["epochs"]] == [strip(e) for e in expected["epochs"]]
    assert got["evaluation"] == expected["evaluation"]


def test_killed_between_its_two_checkpoints_a_run_keeps_the_weights_of_its_best_epoch(
    tmp_path, finished, data, monkeypatch
):
    class Killed(BaseException):
        pass

    def save_the_last(path, content):
        if path.name == "best.pt":
            raise Killed
        save(path, content)

    save, folder = checkpoint.save, RunFolder(tmp_path / "out")
    monkeypatch.setattr(checkpoint, "save", save_the_last)
    with pytest.raises(Killed):
        list(train(RECIPE, data, folder.path, workers=0))
    assert not folder.best.exists()
    monkeypatch.setattr(checkpoint, "save", save)
    stop_after(train(RECIPE, data, folder.path, workers=0, resume=True), 1)
    last, best = checkpoint.load(folder.last), checkpoint.load(folder.best)
    assert best["epoch"] == last["epoch"] == 1
    assert all(torch.equal(best["model"][name], value) for name, value in last["model"].items())
    *_, end = train(RECIPE, data, folder.path, workers=0, resume=True)
    assert end.result["weights_sha256"] == finished[1][-1].result["weights_sha256"]


def test_an_epoch_is_saved_once_and_before_it_is_shown(tmp_path, data):
    folder = RunFolder(tmp_path / "out")
    for event in train(RECIPE, data, folder.path, workers=0):
        if isinstance(event, Epoch):
            assert checkpoint.load(folder.last)["epoch"] == event.number
            assert len(folder.metrics.read_text().splitlines()) == event.number + 1
    assert folder.log.read_text().count("saved after") == RECIPE.epochs


def test_a_wish_to_stop_after_an_epoch_is_met_at_once(tmp_path, data):
    events, stop = [], StopRequest()
    for event in train(RECIPE, data, tmp_path / "out", workers=0, stop=stop):
        events.append(event)
        stop.wish = "enough" if isinstance(event, Epoch) else ""
    assert str(events[-1]) == "stopped after epoch 1, batch 0 (enough), saved"
    assert isinstance(events[-2], Epoch)
    assert RunFolder(tmp_path / "out").log.read_text().count("saved after") == 1


@pytest.mark.parametrize("epoch", [1, 3], ids=["the first", "the last"])
def test_metrics_that_an_epoch_could_not_write_are_written_when_the_run_goes_on(tmp_path, data, monkeypatch, epoch):
    def full(folder, history):
        if len(history) == epoch:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(folder, history)

    write, folder = RunFolder.write_metrics, RunFolder(tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "write_metrics", full)
        with pytest.raises(TrainingError, match=r"No space left on device; the last checkpoint is intact$"):
            list(train(RECIPE, data, folder.path, workers=0))
    again = train(RECIPE, data, folder.path, workers=0, resume=True)
    assert next(again).epoch == epoch == len(folder.metrics.read_text().splitlines()) - 1
    *_, end = again
    with folder.metrics.open() as lines:
        losses = [float(row["valid_loss"]) for row in csv.DictReader(lines)]
    assert losses == [found["valid"]["loss"] for found in end.result["epochs"]]


def test_a_result_names_the_commit_that_its_run_began_with(tmp_path, data, monkeypatch):
    commits = iter("ab")
    monkeypatch.setattr(run, "describe", lambda device: {**describe(device), "commit": next(commits)})
    events = train(replace(RECIPE, epochs=1), data, tmp_path / "out", workers=0)
    next(events)
    assert next(commits) == "b", "asked once, by now"
    *_, end = events
    assert end.result["commit"] == "a"


def test_a_checkout_behind_a_link_has_its_commit(tmp_path, monkeypatch):
    here = describe("cpu")
    if here["commit"] is None:
        pytest.skip("ferkit does not run from a checkout")
    root = Path(surroundings.__file__).resolve().parents[3]
    (tmp_path / "link").symlink_to(root, target_is_directory=True)
    monkeypatch.setattr(surroundings, "__file__", str(tmp_path / "link/src/ferkit/training/surroundings.py"))
    assert describe("cpu")["commit"] == here["commit"]


BATCHED = replace(RECIPE, augment_backend="batched")


@pytest.fixture(scope="module")
def finished_batched(tmp_path_factory, data):
    """Return the result of a run whose faces live on the device."""
    return list(train(BATCHED, data, tmp_path_factory.mktemp("batched") / "out"))[-1].result


@pytest.mark.parametrize("steps", [1, 5, 6, 7, 17])
def test_so_does_one_whose_faces_live_on_the_device(tmp_path, finished_batched, data, steps):
    folder = tmp_path / "out"
    stop_after(train(BATCHED, data, folder, save_seconds=0), steps)
    got = list(train(BATCHED, data, folder, resume=True))[-1].result
    assert got["weights_sha256"] == finished_batched["weights_sha256"]
    assert [strip(e) for e in got["epochs"]] == [strip(e) for e in finished_batched["epochs"]]
    assert got["evaluation"] == finished_batched["evaluation"]


def test_a_result_says_how_the_device_was_used(finished, finished_batched):
    result = finished[1][-1].result
    assert (result["augment_backend"], finished_batched["augment_backend"]) == ("albumentations", "batched")
    assert result["weights_sha256"] != finished_batched["weights_sha256"]
    assert result["key"] == finished_batched["key"]
    assert result["compiled"] is False
    assert result["flops_per_face"] == 33_842_496
    speeds = sorted(epoch["faces_per_second"] for epoch in result["epochs"])
    assert result["peak_share"] == pytest.approx(speeds[1] * 33_842_496 / result["peak_flops"], abs=1e-4)
    assert f"{result['peak_share']:.1%} of the peak in float32" in str(finished[1][-1])


def test_where_a_device_is_shared_the_share_is_of_the_peak_it_is_given(tmp_path, data):
    *_, last = train(RECIPE, data, tmp_path / "run", workers=0, peak=2e12)
    assert last.result["peak_flops"] == 2_000_000_000_000
    speeds = sorted(epoch["faces_per_second"] for epoch in last.result["epochs"])
    assert last.result["peak_share"] == pytest.approx(speeds[len(speeds) // 2] * 33_842_496 / 2e12, abs=1e-3)


def test_a_run_says_at_its_start_what_augments_and_why_it_is_not_compiled(finished):
    assert ", augmentation albumentations, not compiled (on a CPU)" in str(finished[1][0])


def test_resuming_with_another_augmentation_backend_is_refused(tmp_path, data):
    folder = RunFolder(tmp_path / "out")
    stop_after(train(BATCHED, data, folder.path, save_seconds=0), 2)
    folder.recipe.write_text(RECIPE.to_toml())
    with pytest.raises(RunError, match="cannot go on: augmentation backend was 'batched', is now 'albumentations'"):
        list(train(RECIPE, data, folder.path, resume=True))


@pytest.mark.parametrize("begun", ["bf16", "float32"])
def test_a_run_that_chose_its_precision_keeps_it_on_another_processor(tmp_path, data, monkeypatch, begun):
    folder, recipe = RunFolder(tmp_path / "out"), replace(RECIPE, precision="auto")

    def processor(*, able):
        monkeypatch.setattr("ferkit.training.environment.cpu_capabilities", lambda: {"bf16": able})

    processor(able=begun == "bf16")
    stop_after(train(recipe, data, folder.path, workers=0, save_seconds=0), 7)
    processor(able=begun != "bf16")
    first, *_, last = train(recipe, data, folder.path, workers=0, resume=True)
    assert f"precision {begun} (as the run began)" in str(first)
    assert last.result["precision"] == begun


def test_a_compiler_that_is_missing_is_told_and_the_run_goes_on(tmp_path, data, finished, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    events = list(train(RECIPE, data, tmp_path / "out", workers=0, compiling="on"))
    assert "not compiled (torch.compile needs a C++ compiler (no-such-compiler), which is not here)" in str(events[0])
    assert events[-1].result["weights_sha256"] == finished[1][-1].result["weights_sha256"]


def strip(epoch):
    return {name: value for name, value in epoch.items() if name not in {"seconds", "faces_per_second"}}


def test_resuming_with_other_faces_is_refused(tmp_path, data):
    stop_after(train(RECIPE, data, tmp_path / "out", workers=0, save_seconds=0), 2)
    other = make_data(seed=9)
    with pytest.raises(RunError, match="cannot go on: training faces was"):
        list(train(RECIPE, other, tmp_path / "out", resume=True))


def test_resuming_with_other_faces_to_validate_on_is_refused(tmp_path, data):
    stop_after(train(RECIPE, data, tmp_path / "out", workers=0, save_seconds=0), 2)
    labels = np.where(data.splits == 1, (data.faces.labels + 1) % 7, data.faces.labels)
    other = Fer2013(faces=Faces(data.faces.images, labels), splits=data.splits, source="other labels")
    with pytest.raises(RunError, match="cannot go on: validation faces was"):
        list(train(RECIPE, other, tmp_path / "out", resume=True))


def test_resuming_in_another_number_of_processes_is_refused(tmp_path, data):
    folder = RunFolder(tmp_path / "out")
    stop_after(train(RECIPE, data, folder.path, workers=0, save_seconds=0), 2)
    content = checkpoint.load(folder.last)
    content["identity"]["number of processes"] = 2  # as --devices 2 leaves it
    checkpoint.save(folder.last, content)
    with pytest.raises(RunError, match="cannot go on: number of processes was 2, is now 1"):
        list(train(RECIPE, data, folder.path, resume=True))


@pytest.mark.parametrize("change", ["renamed", "another shape"])
def test_resuming_with_a_network_that_has_changed_since_is_refused(tmp_path, data, change):
    folder = RunFolder(tmp_path / "out")
    stop_after(train(RECIPE, data, folder.path, workers=0, save_seconds=0), 2)
    content = checkpoint.load(folder.last)
    name = next(iter(content["model"]))
    values = content["model"].pop(name)
    content["model"] |= {"before": values} if change == "renamed" else {name: values[:1]}
    checkpoint.save(folder.last, content)
    before = folder.last.read_bytes()
    with pytest.raises(RunError, match=rf"last\.pt: cannot go on: .* has other layers \(.*{re.escape(name)}") as caught:
        list(train(RECIPE, data, folder.path, resume=True))
    assert "\n" not in str(caught.value)
    assert folder.last.read_bytes() == before


def test_the_time_being_up_stops_cleanly_and_says_so(tmp_path, data, finished):
    events = list(train(RECIPE, data, tmp_path / "out", workers=0, max_minutes=0))
    assert isinstance(events[-1], Stopped)
    assert "time is up" in events[-1].reason
    again = list(train(RECIPE, data, tmp_path / "out", workers=0, resume=True))
    assert again[0].step == 1
    assert again[-1].result["weights_sha256"] == finished[1][-1].result["weights_sha256"]


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 not a checkpoint"], ids=["empty", "garbage"])
def test_a_damaged_checkpoint_is_told_plainly(tmp_path, data, damage):
    stop_after(train(RECIPE, data, tmp_path / "out", workers=0, save_seconds=0), 2)
    RunFolder(tmp_path / "out").last.write_bytes(damage)
    with pytest.raises(RunError, match=r"last\.pt: not a checkpoint that can be read"):
        list(train(RECIPE, data, tmp_path / "out", resume=True))


def test_a_full_disk_is_told_plainly_and_the_last_checkpoint_is_intact(tmp_path, data, monkeypatch):
    folder = tmp_path / "out"
    stop_after(train(RECIPE, data, folder, workers=0, save_seconds=0), 2)
    before = RunFolder(folder).last.read_bytes()

    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "write_bytes", full)
    with pytest.raises(TrainingError, match=r"could not write .*: No space left on device; .* is intact"):
        list(train(RECIPE, data, folder, workers=0, resume=True, save_seconds=0))
    assert RunFolder(folder).last.read_bytes() == before
    with pytest.raises(TrainingError, match=r"last\.pt: No space left on device; nothing had been saved$"):
        list(train(RECIPE, data, tmp_path / "new", workers=0))
    monkeypatch.undo()
    list(train(replace(RECIPE, epochs=1), data, tmp_path / "new", workers=0))  # where nothing holds its place


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("what", ["log", "board"])
def test_a_disk_that_is_full_to_the_last_byte_is_told_in_one_line(tmp_path, data, monkeypatch, capfd, what):
    from tensorboard.summary.writer.record_writer import RecordWriter

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    folder = tmp_path / "out"
    stop_after(train(RECIPE, data, folder, workers=0, save_seconds=0), 2)
    if what == "log":
        RunFolder(folder).log.unlink()
        RunFolder(folder).log.symlink_to("/dev/full")
    else:
        monkeypatch.setattr(RecordWriter, "write", full)
    with pytest.raises(TrainingError, match=r"out: No space left on device; the last checkpoint is intact$"):
        list(train(RECIPE, data, folder, workers=0, resume=True))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
    ids=["python", "gpu", "cpu"],
)
def test_out_of_memory_is_told_plainly(tmp_path, data, monkeypatch, error):
    def explode(*_):
        raise error

    monkeypatch.setattr("ferkit.training.loop.network_input", explode)
    with pytest.raises(TrainingError, match="out of memory with batches of 16 faces; try --set batch_size=8"):
        list(train(RECIPE, data, tmp_path / "out", workers=0))
    monkeypatch.undo()
    smaller = replace(RECIPE, batch_size=8, epochs=1)
    *_, end = train(smaller, data, tmp_path / "out", workers=0)
    assert isinstance(end, Finished), "the corrected command finds no run in its way"


GONE = r"^a process of this run has gone, perhaps for want of memory if it does not say why; {}$"


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly"),
        ConnectionResetError(104, "Connection reset by peer"),
        EOFError(),
        RuntimeError("[/gloo/transport/tcp/pair.cc:537] Read error [127.0.0.1]:17823: Connection reset by peer. GLHF!"),
        RuntimeError("[/gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:4994"),
        RuntimeError("[/gloo/transport/tcp/pair.cc:312] writev [127.0.0.1]:4994: Broken pipe"),
        RuntimeError("NCCL error: remote process exited or there was a network error, NCCL version 2.27.5"),
        RuntimeError(
            "Failed to recv, got 0 bytes. Connection was likely closed. Did the remote server shutdown or crash?"
        ),
    ],
    ids=["a loader", "its pipe", "its end", "gloo reads", "gloo closed", "gloo writes", "nccl", "the store"],
)
def test_a_process_that_has_gone_is_told_plainly(tmp_path, data, monkeypatch, error):
    def lose(*_):
        raise error

    folder = tmp_path / "out"
    stop_after(train(RECIPE, data, folder, workers=0, save_seconds=0), 2)
    monkeypatch.setattr("ferkit.training.loop.network_input", lose)
    with pytest.raises(TrainingError, match=GONE.format("the last checkpoint is intact")) as caught:
        list(train(RECIPE, data, folder, workers=0, resume=True))
    assert not isinstance(caught.value, UntrainableError), "another machine may train it"


def test_a_fault_in_a_process_that_prepares_batches_is_no_lost_process(tmp_path, data, monkeypatch):
    def fail(*_):
        raise RuntimeError("Caught ValueError in DataLoader worker process 0.\nOriginal Traceback")

    monkeypatch.setattr("ferkit.training.loop.network_input", fail)
    with pytest.raises(RuntimeError, match="Caught ValueError"):
        list(train(RECIPE, data, tmp_path / "out", workers=0))


def test_a_split_the_protocol_needs_must_have_faces(tmp_path, data):
    faces = Faces(data.faces.images[:96], data.faces.labels[:96])
    only = Fer2013(faces=faces, splits=np.zeros(96, np.uint8), source="training only")
    with pytest.raises(
        DataError, match=r"training only: protocol standard needs at least 2 faces in PublicTest, got 0$"
    ):
        list(train(RECIPE, only, tmp_path / "out"))
    folder_form = Fer2013(faces=faces, splits=np.repeat(np.uint8([0, 2]), 48), source="no PublicTest")
    with pytest.raises(DataError, match=r"got 0; protocol=report validates on PrivateTest$"):
        list(train(RECIPE, folder_form, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_network_that_its_last_batch_broke_is_no_result(tmp_path, data):
    recipe = replace(RECIPE, augmentation="none", epochs=1, batch_size=96, lr=1e30)
    with pytest.raises(UntrainableError, match=r"^the validation loss is nan after epoch 1, learning rate 4e\+24"):
        list(train(recipe, data, tmp_path / "out", workers=0))
    assert not RunFolder(tmp_path / "out").result.exists()


COPIES = np.tile(make_data().faces.images[:40], (3, 1, 1))


@pytest.mark.parametrize(
    ("settings", "devices", "message"),
    [
        ({"drop_copies": True}, 1, "copies: expected at least 2 Training faces that stand in no test, got 0"),
        ({"batch_size": 3}, 2, "batch_size must be at least 4, two faces a process, got 3"),
        ({"device": "cuda"}, 1, "device is cuda, but PyTorch finds no CUDA device here"),
    ],
    ids=["no faces left", "batches too small", "no such device"],
)
def test_a_run_that_cannot_begin_leaves_its_folder_to_one_that_can(tmp_path, monkeypatch, settings, devices, message):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    splits = np.repeat([0, 1, 2], 40).astype(np.uint8)
    copies = Fer2013(faces=Faces(COPIES, np.arange(120) % 7), splits=splits, source="copies")
    with pytest.raises((DataError, RecipeError), match=message):
        list(train(replace(RECIPE, **settings), copies, tmp_path / "out", devices=devices))
    assert not (tmp_path / "out").exists()


def test_without_a_test_split_the_run_finishes_and_tells_only_the_validation(tmp_path):
    data = make_data(training=32, tests=20)
    keep = data.splits != 2
    shorter = Fer2013(faces=data.faces[keep], splits=data.splits[keep], source="no PrivateTest")
    events = list(train(replace(RECIPE, epochs=1), shorter, tmp_path / "out", workers=0))
    assert list(events[-1].result["evaluation"]) == ["validation", "validation_without_copies"]


def test_weights_of_another_run_or_with_a_flipped_bit_are_refused(tmp_path, finished, data):
    folder = RunFolder(shutil.copytree(finished[0], tmp_path / "copy"))
    load_run(folder.path)
    other = tmp_path / "other"
    list(train(replace(RECIPE, seed=1, epochs=1), data, other, workers=0))
    flipped = bytearray(folder.weights.read_bytes())
    flipped[-1] ^= 1
    for content in (RunFolder(other).weights.read_bytes(), bytes(flipped)):
        folder.weights.write_bytes(content)
        with pytest.raises(RunError, match=r"not the weights that result.json names"):
            load_run(folder.path)


@pytest.mark.parametrize("split", ["Training", "PublicTest", "PrivateTest"])
def test_a_finished_run_is_not_shown_as_one_of_other_faces(finished, data, split):
    images = data.faces.images.copy()
    images[data.splits == list(Split).index(Split(split))] ^= 1
    other = replace(data, faces=replace(data.faces, images=images))
    with pytest.raises(RunError, match="the run is finished, with other faces than those of made by a test"):
        list(train(RECIPE, other, finished[0], resume=True))


def test_weights_of_another_network_are_refused(tmp_path, finished):
    from shutil import copytree

    folder = copytree(finished[0], tmp_path / "copy")
    (folder / "recipe.toml").write_text(replace(RECIPE, options={"depth": 5}).to_toml())
    with pytest.raises(RunError, match=r"weights\.safetensors: not the weights of layers"):
        load_run(folder)


@pytest.mark.parametrize("missing", ["recipe.toml", "result.json", "weights.safetensors"])
def test_a_folder_that_is_not_a_finished_run_is_refused(tmp_path, finished, missing):
    from shutil import copytree

    folder = copytree(finished[0], tmp_path / "copy")
    (folder / missing).unlink()
    with pytest.raises(RunError):
        load_run(folder)


def test_weights_that_are_gone_are_told_with_what_makes_them_again(tmp_path, finished):
    folder = RunFolder(shutil.copytree(finished[0], tmp_path / "copy"))
    folder.weights.unlink()
    message = (
        rf"copy/weights\.safetensors: no such file; made again .*: ferkit train --resume --out {folder.path} --data"
    )
    with pytest.raises(RunError, match=message):
        load_run(folder.path)
    shutil.rmtree(folder.last.parent)
    with pytest.raises(RunError, match=r"no such file$"):
        load_run(folder.path)


def test_a_run_folder_may_be_a_text(tmp_path, finished, data):
    assert load_run(str(finished[0]))[0] == RECIPE
    *_, end = train(replace(RECIPE, epochs=1), data, str(tmp_path / "out"), workers=0)
    assert RunFolder(tmp_path / "out").read_result()["seconds"] == end.result["seconds"]
    assert write_page(str(tmp_path / "out"), data) == tmp_path / "out" / "report.html"


@pytest.mark.parametrize("missing", ["data", "evaluation", "seed"])
def test_a_result_that_lacks_what_its_readers_need_is_named(tmp_path, finished, missing):
    from shutil import copytree

    folder = RunFolder(copytree(finished[0], tmp_path / "copy"))
    content = json.loads(folder.result.read_text())
    del content[missing]
    folder.result.write_text(json.dumps(content))
    with pytest.raises(RunError, match=rf"result\.json: not the result of a run \({missing} is missing\)$"):
        folder.read_result()
    assert folder.network() == content["weights_sha256"][:16]  # which needs neither


# ---------------------------------------------------------------------------------------------------- ways of training


@pytest.mark.parametrize(
    "settings",
    [
        {"cutmix": 1.0, "mixup": 0.2},
        {"sam": 0.05},
        {"balance": 1.0},
        {"augmentation": "faces", "mirror": "alternating", "augment_backend": "auto"},
        {"optimizer": "muon", "scheduler": "warmup"},
        {"loss": "gce"},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_each_way_learns_and_goes_on_to_the_same_weights(settings, data, tmp_path):
    recipe = replace(RECIPE, **settings)
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    *_, finished = train(recipe, data, whole, workers=0)
    losses = [epoch["train"]["loss"] for epoch in finished.result["epochs"]]
    assert losses[-1] < losses[0]
    *_, stopped = train(recipe, data, parted, workers=0, max_minutes=0)
    assert isinstance(stopped, Stopped)
    list(train(recipe, data, parted, workers=0, resume=True))
    assert (whole / "weights.safetensors").read_bytes() == (parted / "weights.safetensors").read_bytes()


def test_without_copies_no_training_face_stands_in_a_test(tmp_path):
    data = make_data()
    images = data.faces.images.copy()
    images[5] = images[100]  # Training 5 is PublicTest 4
    images[7] = images[140]
    copied = Fer2013(faces=Faces(images, data.faces.labels), splits=data.splits, source="made by a test")
    *_, all_of_them = train(replace(RECIPE, epochs=1), copied, tmp_path / "all", workers=0)
    *_, fewer = train(replace(RECIPE, epochs=1, drop_copies=True), copied, tmp_path / "fewer", workers=0)
    assert all_of_them.result["data"]["training"] == 96
    assert fewer.result["data"]["training"] == 94


def test_what_teachers_say_of_a_face_stays_with_it_where_copies_are_left_out(tmp_path, monkeypatch):
    data = make_data()
    images = data.faces.images.copy()
    images[5], images[7] = images[100], images[140]
    copied = Fer2013(faces=Faces(images, data.faces.labels), splits=data.splits, source="made by a test")
    said = np.arange(96 * 7, dtype=np.float32).reshape(96, 7)
    lesson = Lesson(("a" * 16,), said, faces_digest(copied.split(Split.TRAINING)))
    given = []
    monkeypatch.setattr(
        run, "fit", lambda _, state, recipe, train, valid, *rest, **more: given.append((train, more["taught"])) or []
    )
    recipe = replace(RECIPE, drop_copies=True, teachers=lesson.teachers)
    with pytest.raises(AssertionError):  # as nothing was trained
        list(train(recipe, copied, tmp_path / "run", workers=0, others=Others(lesson=lesson)))
    ((faces, taught),) = given
    kept = [n for n in range(96) if n not in {5, 7}]
    assert np.array_equal(faces.images, images[kept])
    assert np.array_equal(taught, said[kept])


def test_the_reports_protocol_validates_on_private_test(tmp_path, data):
    recipe = replace(RECIPE, epochs=1, protocol=Protocol.REPORT)
    *_, end = train(recipe, data, tmp_path / "run", workers=0)
    _, model = load_run(tmp_path / "run")
    assert not model.training
    found = end.result["epochs"][0]["valid"]
    losses = {}
    for split in (Split.PUBLIC_TEST, Split.PRIVATE_TEST):
        faces = data.split(split)
        losses[split] = float(-predict(model, faces.images)[np.arange(len(faces)), faces.labels].mean())
    assert (
        found["loss"] == pytest.approx(losses[Split.PRIVATE_TEST], rel=1e-4) != pytest.approx(losses[Split.PUBLIC_TEST])
    )
    assert end.result["evaluation"]["validation"]["split"] == "PrivateTest"


def test_a_run_is_evaluated_in_whole_float32(tmp_path, data, monkeypatch):
    seen = []
    monkeypatch.setattr(
        evaluate, "predict", lambda *given: seen.append(torch.get_float32_matmul_precision()) or predict(*given)
    )
    torch.set_float32_matmul_precision("medium")
    try:
        list(train(replace(RECIPE, epochs=1), data, tmp_path / "run", workers=0))
    finally:
        torch.set_float32_matmul_precision("highest")
    assert seen == ["highest"] * 2


def test_sharpness_aware_steps_count_twice(finished, data, tmp_path):
    *_, twice = train(replace(RECIPE, epochs=1, sam=0.05), data, tmp_path / "run", workers=0)
    assert twice.result["flops_per_face"] == 2 * finished[1][-1].result["flops_per_face"]


def test_a_resumed_run_adds_up_with_as_many_threads_as_it_began_with(tmp_path, data):
    recipe = replace(RECIPE, device="cpu")
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        *_, stopped = train(recipe, data, tmp_path / "run", workers=0, max_minutes=0)
        assert isinstance(stopped, Stopped)
        torch.set_num_threads(2)
        *_, finished = train(recipe, data, tmp_path / "run", workers=0, resume=True)
        assert torch.get_num_threads() == finished.result["threads"] == 1
    finally:
        torch.set_num_threads(before)


def test_both_splits_are_counted_without_copies_of_training(tmp_path):
    data = make_data()
    images = data.faces.images.copy()
    images[100] = images[5]  # PublicTest 4 is Training 5
    copied = Fer2013(faces=Faces(images, data.faces.labels), splits=data.splits, source="made by a test")
    *_, finished = train(replace(RECIPE, epochs=1), copied, tmp_path / "run", workers=0)
    faces = {part: sum(map(sum, found["confusion"])) for part, found in finished.result["evaluation"].items()}
    assert faces["validation_without_copies"] == faces["validation"] - 1
    assert faces["test_without_copies"] == faces["test"]
