"""What a person sees: commands, their output and their exit codes."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from conftest import exit_code, make_data, write_csv
from ferkit.data import Faces, Protocol, Split, read_fer2013
from ferkit.errors import RunError
from ferkit.evaluation.calibration import fit_temperature
from ferkit.inference.session import Session
from ferkit.models import model_names
from ferkit.training.events import Stopped
from ferkit.training.recipe import make_recipe
from networks import SEVEN_BITS, largest_weight, write_network

PORTRAIT = Path(__file__).parents[2] / "docs" / "images" / "astronaut.jpg"

SETTINGS = ("--set", "epochs=2", "--set", "batch_size=16", "--set", "optimizer=adam", "--set", "lr=0.01")


def train(ferkit, csv, out, *more):
    return ferkit("train", "--data", csv, "--out", out, "--workers", 0, *more)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a CSV and a run trained on it."""
    folder = tmp_path_factory.mktemp("trained")
    csv = write_csv(folder / "fer2013.csv", make_data(training=64, tests=30))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        arguments = ["train", "--recipe", "layers", "--data", csv, "--out", folder / "run", "--workers", 0, *SETTINGS]
        patch.setattr("sys.argv", ["ferkit", *map(str, arguments)])
        assert exit_code() == 0
    return csv, folder / "run"


def test_a_run_begins_with_the_weights_of_another(ferkit, trained, tmp_path):
    csv, before = trained
    settings = ("--recipe", "layers", *SETTINGS, "--set", "lr=1e-9", "--set", "epochs=1")
    assert train(ferkit, csv, tmp_path / "run", *settings, "--init", before)[0] == 0
    first, then = (json.loads((run / "result.json").read_text()) for run in (before, tmp_path / "run"))
    assert then["recipe"]["init"] == first["weights_sha256"][:16]
    ours, theirs = (load_file(run / "weights.safetensors") for run in (tmp_path / "run", before))
    learnt = [name for name in ours if "running" not in name and "num_batches" not in name]
    assert learnt
    for name in learnt:  # the rate is next to nothing, so they are what they were
        np.testing.assert_allclose(ours[name], theirs[name], atol=1e-6)


def test_a_run_that_asks_its_teacher_about_every_batch_goes_on_without_it(ferkit, trained, tmp_path):
    csv, before = trained
    teacher = shutil.copytree(before, tmp_path / "teacher")
    settings = ("--recipe", "layers", *SETTINGS, "--set", "lessons=every_batch", "--teacher", teacher)
    assert train(ferkit, csv, tmp_path / "whole", *settings)[0] == 0
    assert train(ferkit, csv, tmp_path / "parts", *settings, "--max-minutes", "0")[0] == 0
    shutil.rmtree(teacher)
    assert train(ferkit, csv, tmp_path / "parts", "--resume")[0] == 0
    whole, parts = ((tmp_path / name / "weights.safetensors").read_bytes() for name in ("whole", "parts"))
    assert whole == parts


@pytest.mark.parametrize(
    "command",
    [
        ("train", "--data", "x", "--out", "y", "--max-minutes"),
        ("train", "--data", "x", "--out", "y", "--save-seconds"),
        ("search", "--data", "x", "--recipe", "layers", "--space", "y", "--out", "z", "--max-minutes"),
        ("reproduce", "all", "--data", "x", "--max-minutes"),
    ],
    ids=" ".join,
)
def test_no_number_is_no_limit(ferkit, command):
    code, out, err = ferkit(*command, "nan")
    assert (code, out) == (2, "")
    assert "expected a number, got nan" in err


def test_train_prints_every_epoch_the_table_and_the_report(ferkit, small_csv, tmp_path):
    code, out, err = train(ferkit, small_csv, tmp_path / "run", "--recipe", "layers", *SETTINGS)
    assert code == 0
    assert "epoch 1: train loss" in err
    assert "valid loss" in err
    assert "faces/s" in err
    assert re.search(r"^test \(PublicTest\) +40 +\d\.\d{4} +\d+\.\d\d% +\d+\.\d\d to \d+\.\d\d%$", out, re.MULTILINE)
    assert re.search(r"^  without copies of Training +40 ", out, re.MULTILINE)
    assert "macro avg" in out
    assert (tmp_path / "run" / "report.html").exists()


def test_train_says_which_backend_augments_and_what_share_of_the_peak_it_reached(ferkit, small_csv, tmp_path):
    run, chosen = tmp_path / "run", ("--augment-backend", "batched", "--compile", "off")
    code, out, err = train(ferkit, small_csv, run, "--recipe", "layers", *SETTINGS, *chosen)
    assert code == 0
    assert "augmentation batched, not compiled (as asked)" in err
    result = json.loads((run / "result.json").read_text())
    assert (result["recipe"]["augment_backend"], result["augment_backend"]) == ("batched", "batched")
    assert f"speed: {result['peak_share']:.1%} of the {result['peak_flops'] / 1e12:.3g} TFLOP/s" in out
    page = (run / "report.html").read_text()
    assert "share of peak" in page
    assert "augmentation by" in page


@pytest.mark.parametrize(
    ("given", "again"),
    [((), ""), (("--devices", "2", "--compile", "off", "--workers", "1"), " --devices 2 --compile off")],
    ids=["nothing else", "what the numbers depend on"],
)
def test_the_command_that_goes_on_says_all_that_the_numbers_depend_on(
    ferkit, small_csv, tmp_path, monkeypatch, given, again
):
    def stopped(*_, **__):
        yield Stopped(reason="time is up", signal=0, epoch=0, step=1)

    monkeypatch.setattr("ferkit.training.run.train", stopped)
    out = tmp_path / "run"
    code, _, err = ferkit("train", "--data", small_csv, "--recipe", "layers", "--out", out, *given)
    assert code == 0
    assert err.endswith(f"go on with: ferkit train --resume --data {small_csv} --out {out}{again}\n")


def test_train_again_asks_for_resume(ferkit, trained):
    csv, run = trained
    code, _, err = train(ferkit, csv, run, "--recipe", "layers", *SETTINGS)
    assert code == 1
    assert err.startswith("error: ")
    assert "add --resume" in err


def test_resume_needs_no_recipe_and_a_finished_run_is_told(ferkit, trained):
    csv, run = trained
    code, out, _ = train(ferkit, csv, run, "--resume")
    assert code == 0
    assert "weights of epoch 2" in out


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_run_whose_numbers_cannot_be_printed_has_its_page(trained, tmp_path):
    run = shutil.copytree(trained[1], tmp_path / "run")
    (run / "report.html").unlink()
    command = [sys.executable, "-m", "ferkit", "train", "--data", trained[0], "--out", run, "--resume"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "error: standard output: No space left on device\n")
    assert (run / "report.html").exists()


def test_a_run_whose_page_cannot_be_written_has_its_numbers_printed(ferkit, trained, tmp_path):
    run = shutil.copytree(trained[1], tmp_path / "run")
    (run / "report.html").unlink()
    (run / "report.html").mkdir()
    code, out, err = train(ferkit, trained[0], run, "--resume")
    assert (code, err) == (1, f"error: {run}: cannot be written to (Is a directory)\n")
    assert "weights of epoch 2" in out


def test_evaluate_prints_the_table_and_draws_the_matrix(ferkit, trained):
    csv, run = trained
    code, out, _ = ferkit("evaluate", run, "--data", csv)
    assert code == 0
    for word in ("PublicTest", "95 % interval", "without copies", "precision", "weighted avg", "rows true"):
        assert word in out
    assert (run / "confusion-PublicTest.png").read_bytes().startswith(b"\x89PNG")


def negative(data):
    return replace(data, faces=Faces(255 - data.faces.images, data.faces.labels))


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(make_data(training=64, tests=20, seed=1), id="fewer faces"),
        pytest.param(negative(make_data(training=64, tests=30)), id="other pixels"),
    ],
)
def test_evaluate_on_other_data_prints_the_numbers_and_writes_nothing(ferkit, trained, tmp_path, other):
    csv = write_csv(tmp_path / "other.csv", other)
    run = shutil.copytree(trained[1], tmp_path / "run")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    code, out, err = ferkit("evaluate", run, "--data", csv)
    assert (code, err) == (0, f"nothing is written to {run}: {csv} is other data than the run was evaluated on\n")
    assert "confusion matrix (rows true" in out
    assert str(run) not in out
    code, out, _ = ferkit("evaluate", run, "--data", csv, "--json")
    assert (code, json.loads(out)["confusion_png"]) == (0, None)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("split", ["validation", "Training"])
def test_other_faces_of_the_split_asked_for_are_other_data(ferkit, trained, tmp_path, split):
    data = make_data(training=64, tests=30)
    images = data.faces.images.copy()
    images[: 64 if split == "Training" else None] ^= 1
    images[64:94] = data.faces.images[64:94]  # PublicTest, which the run tests on, is the same
    csv = write_csv(tmp_path / "other.csv", replace(data, faces=replace(data.faces, images=images)))
    run = shutil.copytree(trained[1], tmp_path / "run", ignore=shutil.ignore_patterns("confusion-*"))
    assert ferkit("evaluate", run, "--data", csv, "--split", split)[2].startswith(f"nothing is written to {run}: ")
    assert not list(run.glob("confusion-*"))


def test_evaluate_says_where_nothing_tells_copies_and_where_a_test_is_used_up(ferkit, trained, tmp_path):
    csv, run = trained
    alone = write_csv(tmp_path / "tests.csv", read_fer2013(csv).without(Split.TRAINING))
    assert "without_copies" not in json.loads(ferkit("evaluate", run, "--data", alone, "--json")[1])
    untested = shutil.copytree(run, tmp_path / "run")
    result = json.loads((untested / "result.json").read_text())
    del result["evaluation"]["test"], result["evaluation"]["test_without_copies"]
    (untested / "result.json").write_text(json.dumps(result))
    warning = f"warning: {untested} had not read PublicTest; what is chosen by it now has no test left\n"
    for split in ("test", "PublicTest"):
        assert warning in ferkit("evaluate", untested, "--data", csv, "--split", split)[2]
    assert "warning" not in ferkit("evaluate", untested, "--data", csv, "--split", "validation")[2]
    assert "warning" not in ferkit("evaluate", run, "--data", csv)[2]
    own = make_recipe(json.loads((run / "result.json").read_text())["recipe"]).protocol
    other = next(each for each in Protocol if each is not own)
    warning = f"warning: {run} was chosen on {other.test.value}, by its protocol {own.value}\n"
    assert warning in ferkit("evaluate", run, "--data", csv, "--protocol", other.value)[2]


def test_a_test_of_nothing_but_copies_is_told_and_one_that_is_not_there_uses_nothing_up(ferkit, trained, tmp_path):
    csv, run = trained
    data = read_fer2013(csv)
    images, place = data.faces.images.copy(), data.splits == 1
    images[np.flatnonzero(place)] = images[0]
    copies = write_csv(tmp_path / "copies.csv", replace(data, faces=replace(data.faces, images=images)))
    note = (
        "note: Every face of PublicTest also stands in Training: what is measured on it says nothing of other faces.\n"
    )
    assert note in ferkit("evaluate", run, "--data", copies)[2]
    assert note not in ferkit("evaluate", run, "--data", csv)[2]
    assert note in train(ferkit, copies, tmp_path / "run", "--recipe", "layers", "--set", "epochs=1")[2]
    recipe = make_recipe(json.loads((run / "result.json").read_text())["recipe"])
    no_test = write_csv(tmp_path / "no-test.csv", data.without(recipe.protocol.test))
    code, _, err = ferkit("evaluate", run, "--data", no_test)
    assert code == 1
    others = " and ".join(split for split in Split if split is not recipe.protocol.test)
    line = f"error: {no_test}: expected faces in {recipe.protocol.test}, got none; there are some in {others}"
    assert err.splitlines() == [line]


@pytest.mark.parametrize("arguments", [["--out", ""], ["--out="], ["--data", "", "--out", "x"]])
def test_an_empty_path_is_not_the_current_folder(ferkit, trained, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    code, out, err = ferkit("train", "--data", trained[0], "--recipe", "layers", *arguments)
    option = "--data" if "--data" in arguments else "--out"
    assert (code, out, err) == (2, "", f"error: {option}: expected a value, got an empty one\n")
    assert not list(tmp_path.iterdir())


def test_a_card_named_in_place_of_its_network_is_told(ferkit, tmp_path):
    network = write_network(tmp_path / "a.onnx")
    network.with_suffix(".json").write_text('{"sha256": "0"}')
    line = f"error: {tmp_path}/a.json: expected the ONNX file of a network; is this its card?\n"
    assert ferkit("card", tmp_path / "a.json") == (1, "", line)


def test_a_recipe_in_another_encoding_is_one_line(ferkit, trained, tmp_path):
    run = shutil.copytree(trained[1], tmp_path / "run")
    (run / "recipe.toml").write_bytes((run / "recipe.toml").read_text().encode("utf-16"))
    code, _, err = ferkit("evaluate", run, "--data", trained[0])
    assert (code, err) == (1, f"error: {run / 'recipe.toml'}: expected a recipe in UTF-8, got something else\n")


def test_evaluate_speaks_json_and_agrees_with_the_run(ferkit, trained):
    csv, run = trained
    page = run / "report.html"
    page.unlink()
    code, out, _ = ferkit("evaluate", run, "--data", csv, "--json")
    found = json.loads(out)
    result = json.loads((run / "result.json").read_text())
    assert code == 0
    assert (found["report_html"], page.exists()) == (str(page), True)
    assert found["split"] == "PublicTest"
    assert found["all"]["accuracy"] == result["evaluation"]["test"]["accuracy"]
    assert found["all"]["confusion"] == result["evaluation"]["test"]["confusion"]
    assert sum(map(sum, found["without_copies"]["confusion"])) == 30


@pytest.mark.parametrize(
    ("options", "split"),
    [
        (["--protocol", "standard"], "PrivateTest"),
        (["--split", "validation"], "PrivateTest"),
        (["--protocol", "standard", "--split", "validation"], "PublicTest"),
        (["--split", "Training"], "Training"),
    ],
)
def test_evaluate_reads_the_split_it_is_asked_for(ferkit, trained, tmp_path, options, split):
    csv, run = trained
    code, out, _ = ferkit("evaluate", run, "--data", csv, "--json", "--out", tmp_path, *options)
    assert code == 0
    assert (json.loads(out)["split"], json.loads(out)["report_html"]) == (split, None)
    assert (tmp_path / f"confusion-{split}.png").exists()


@pytest.mark.parametrize(
    ("device", "expected", "message"),
    [
        pytest.param("tpu", 2, "'tpu' is not one of 'auto', 'cpu', 'cuda'", id="tpu"),
        pytest.param("cuda", 1, "error: device is cuda, but PyTorch finds no CUDA device here; ", id="cuda"),
    ],
)
def test_evaluate_says_that_a_device_is_not_there(ferkit, trained, monkeypatch, device, expected, message):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    csv, run = trained
    code, out, err = ferkit("evaluate", run, "--data", csv, "--device", device)
    assert (code, out) == (expected, "")
    assert message in err


@pytest.mark.parametrize(("options", "device"), [((), "cuda"), (("--device", "cpu"), "cpu")])
def test_evaluate_takes_the_gpu_there_is(ferkit, trained, monkeypatch, options, device):
    taken = []

    def measure(runs, faces, splits, views, where, votes):
        taken.append(where)
        raise RunError("far enough")

    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("ferkit.training.evaluate.evaluate_together", measure)
    csv, run = trained
    assert ferkit("evaluate", run, "--data", csv, *options) == (1, "", "error: far enough\n")
    assert taken == [device]


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--mirror", "--int8"]], ids=["plain", "mirror and int8"])
def test_an_exported_run_prints_its_card_and_recognises(ferkit, trained, tmp_path, options):
    csv, run = trained
    file = tmp_path / "model.onnx"
    code, out, err = ferkit("export", run, "--data", csv, "--out", file, *options)
    assert (code, err) == (0, "")
    for words in ("layers, ", "PublicTest", "PrivateTest", "95 % interval", "calibration", "temperature", "sha256"):
        assert words in out
    assert f"written: {file}; its card: {file.with_suffix('.json')}" in out
    card = json.loads(ferkit("card", file, "--json")[1])
    assert (card["mirror"], card["int8"]) == (bool(options), bool(options))
    assert card["sha256"] == json.loads(file.with_suffix(".json").read_text())["sha256"]
    test = card["metrics"]["PrivateTest"]
    assert ("with_mirror" in test, "with mirror images" in out) == (not options, not options)
    if not options:  # one network is as good as the other, but it hardly says the same
        assert test["with_mirror"]["faces"] == test["faces"]
        assert test["with_mirror"]["without_copies"]["faces"] == test["without_copies"]["faces"]
        assert test["with_mirror"]["loss"] != test["loss"]
    if options:
        assert largest_weight(file) <= SEVEN_BITS
        fitting = read_fer2013(csv).split(Protocol(card["protocol"]).validation)
        scores = card["temperature"] * np.log(Session(file)(fitting.images))
        assert fit_temperature(scores, fitting.labels) == pytest.approx(card["temperature"], rel=1e-3)
    (tmp_path / "face.pgm").write_bytes(b"P5 48 48 255\n" + bytes(48 * 48))
    code, out, err = ferkit("recognize", tmp_path / "face.pgm", "--detector", "none", "--model", file, "--json")
    assert (code, err) == (0, "")
    assert sum(json.loads(out)["faces"][0]["probabilities"].values()) == pytest.approx(1, abs=1e-4)


def test_other_faces_than_the_runs_are_not_measured(ferkit, trained, tmp_path):
    run, file = trained[1], tmp_path / "model.onnx"
    for name, data in (
        ("others", make_data(training=64, tests=30, seed=1)),
        ("fewer", make_data(training=64, tests=0)),
    ):
        csv = write_csv(tmp_path / f"{name}.csv", data)
        code, out, err = ferkit("export", run, "--data", csv, "--out", file)
        assert (code, out) == (1, "")
        assert err == f"error: {csv}: expected the faces the run was trained and evaluated on, got others\n"
    assert not file.exists()


def test_the_same_faces_in_another_form_are(ferkit, trained, tmp_path):
    csv, run = trained
    other = tmp_path / "fer2013.csv"
    other.write_bytes(csv.read_bytes().replace(b"\n", b"\r\n"))
    code, _, err = ferkit("export", run, "--data", other, "--out", tmp_path / "model.onnx")
    assert (code, err) == (0, "")


def test_a_card_takes_no_others_place(ferkit, trained):
    csv, run = trained
    before = (run / "result.json").read_bytes()
    code, _, err = ferkit("export", run, "--data", csv, "--out", run / "result.onnx")
    assert (code, err.count("\n")) == (1, 1)
    assert "result.json: exists, is not the card of a network, and would be replaced" in err
    assert (run / "result.json").read_bytes() == before
    assert not (run / "result.onnx").exists()


BAD = [
    pytest.param(["train", "--data", "CSV", "--out", "OUT"], "--recipe NAME is missing", id="no recipe"),
    pytest.param(
        ["train", "--data", "CSV", "--out", "OUT", "--recipe", "modle1"], "did you mean 'model1'?", id="recipe's name"
    ),
    pytest.param(
        ["train", "--data", "CSV", "--out", "OUT", "--recipe", "model1", "--set", "epoch=3"],
        "did you mean 'epochs'?",
        id="field's name",
    ),
    pytest.param(
        ["train", "--data", "CSV", "--out", "OUT", "--recipe", "model1", "--set", "epochs=0"],
        "epochs: input should be greater than or equal to 1, got 0",
        id="field's value",
    ),
    pytest.param(
        ["train", "--data", "CSV", "--out", "OUT", "--recipe", "model1", "--set", "kernel=4"], "kernel", id="option"
    ),
    pytest.param(
        ["train", "--data", "CSV", "--out", "OUT", "--recipe", "model1", "--set", "lr"],
        "--set expects field=value, got 'lr'",
        id="no equals sign",
    ),
    pytest.param(
        ["train", "--data", "CSV", "--out", "OUT", "--recipe", "model1", "--augment-backend", "torch"],
        "augment_backend: input should be 'auto', 'albumentations' or 'batched', got 'torch'",
        id="augmentation backend",
    ),
    pytest.param(
        ["train", "--data", "CSV", "--out", "OUT", "--recipe", "model1", "--compile", "of"],
        "unknown choice of --compile 'of'; did you mean 'off'?",
        id="when to compile",
    ),
    pytest.param(
        ["train", "--data", "no.csv", "--out", "OUT", "--recipe", "model1"], "no.csv: no such file", id="data"
    ),
    pytest.param(
        ["train", "--data", "CSV", "--out", "OUT", "--recipe", "no.toml"], "no.toml: cannot be read", id="toml"
    ),
    pytest.param(["evaluate", "OUT", "--data", "CSV"], "expected a folder written by `ferkit train`", id="no run"),
    pytest.param(["evaluate", "RUN", "--data", "CSV", "--split", "tset"], "did you mean 'test'?", id="split"),
    pytest.param(
        ["evaluate", "RUN", "--data", "CSV", "--protocol", "standart"], "did you mean 'standard'?", id="protocol"
    ),
    pytest.param(
        ["export", "OUT", "--data", "CSV", "--out", "m.onnx"],
        "expected a folder written by `ferkit train`",
        id="export",
    ),
    pytest.param(["export", "RUN", "--data", "CSV", "--out", "m.pt"], "expected a name that ends in .onnx", id="onnx"),
    pytest.param(["card", "CSV"], "expected the ONNX file of a network, got another", id="no network"),
    pytest.param(["models", "modl1"], "unknown model 'modl1'; did you mean 'model1'?", id="model"),
    pytest.param(["models", "model1", "--set", "lr=5"], "unknown option of model1 'lr'", id="no option"),
    pytest.param(["models", "model1", "--set", "kernl=3"], "did you mean 'kernel'?", id="option's name"),
    pytest.param(["recipes", "modle2"], "did you mean 'model2'?", id="recipe"),
    pytest.param(["data", "check", "nowhere"], "nowhere: no such file or folder", id="no data"),
    pytest.param(
        ["data", "preview", "--data", "CSV", "--out", "sheet.gif"], "expected a name that ends in", id="picture"
    ),
    pytest.param(["data", "votes", "CSV", "--data", "CSV"], "expected the columns of fer2013new.csv", id="no votes"),
    pytest.param(
        ["train", "--recipe", "model1", "--data", "CSV", "--out", "OUT", "--votes", "nowhere", "--teacher", "RUN"],
        "learns from teachers or from votes, not from both",
        id="votes and a teacher",
    ),
    pytest.param(
        ["train", "--recipe", "layers", "--data", "CSV", "--out", "OUT", "--set", "votes=0123", "--teacher", "RUN"],
        "learns from teachers or from votes, not from both",
        id="votes in the recipe and a teacher",
    ),
    pytest.param(
        ["train", "--recipe", "compact", "--data", "CSV", "--out", "OUT", "--init", "RUN"],
        "expected initial weights of compact, got others",
        id="weights of another network",
    ),
    pytest.param(
        ["train", "--recipe", "compact-7", "--data", "CSV", "--out", "OUT", "--teacher", "RUN"],
        "the recipe compact-7 is made for --init RUN, as `ferkit recipes` says",
        id="a recipe without the network it begins with",
    ),
    pytest.param(
        ["train", "--resume", "--recipe", "compact-7", "--data", "CSV", "--out", "OUT"],
        "the recipe compact-7 is made for --init RUN and --teacher RUN",
        id="to go on with a run that is not there, of such a recipe",
    ),
    pytest.param(
        ["train", "--recipe", "compact-votes", "--data", "CSV", "--out", "OUT"],
        "the recipe compact-votes is made for --init RUN and --votes FILE, as `ferkit recipes` says",
        id="a recipe without its votes",
    ),
    pytest.param(
        ["train", "--recipe", "ensemble", "--data", "CSV", "--out", "OUT"],
        "the recipe ensemble is made for --teacher RUN",
        id="a recipe without its teachers",
    ),
    pytest.param(
        ["search", "--recipe", "compact-8", "--data", "CSV", "--space", "BELOW", "--out", "OUT"],
        "the recipe compact-8 is made for --init RUN and --teacher RUN",
        id="a search of a recipe that needs other networks",
    ),
    pytest.param(
        ["train", "--recipe", "RUN", "--data", "CSV", "--out", "OUT"],
        "expected a recipe, got a run; the one it was trained with is ",
        id="a run in place of a recipe",
    ),
    pytest.param(
        ["train", "--recipe", "layers", "--data", "CSV", "--out", "CSV"],
        "expected a folder for the run, got a file",
        id="a run folder that is a file",
    ),
    pytest.param(["evaluate", "RUN", "RUN", "--data", "CSV", "--views", "mirrow"], "did you mean 'mirror'?", id="view"),
    pytest.param(
        ["results", "--add", "OUT", "--results", "OUT"], "expected a folder written by `ferkit train`", id="unfinished"
    ),
    pytest.param(["data", "preview", "--data", "CSV", "--out", "BELOW"], "x.png: cannot be written to (", id="sheet"),
    pytest.param(["results", "--results", "RUN", "--docs", "CSV"], "table-1.md: cannot be written to (", id="page"),
    pytest.param(["results", "--results", "OUT"], "expected a folder of results, found none; nothing is", id="typo"),
    pytest.param(["results", "--results", "RUN", "--readme", "OUT"], "expected the README whose table", id="no README"),
    pytest.param(
        ["train", "--resume", "--data", "CSV", "--out", "OUT"], "found none; begin one with --recipe", id="resume"
    ),
    pytest.param(
        ["train", "--recipe", "layers", "--data", "CSV", "--out", "OUT", "--teacher", "RUN", "--teacher", "RUN"],
        "expected different teachers, got one twice",
        id="teacher",
    ),
    pytest.param(
        ["train", "--recipe", "layers", "--data", "CSV", "--out", "OUT", "--set", f"batch_size={10**20}"],
        "less than or equal to 1000000",
        id="batch",
    ),
    pytest.param(
        ["results", "--add", "RUN", "--results", "CSV"], "fer2013.csv: cannot be written to (", id="place of a result"
    ),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_input_is_one_clear_line_and_leaves_nothing(ferkit, trained, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    names = {"CSV": trained[0], "OUT": tmp_path / "out", "RUN": trained[1], "BELOW": trained[0] / "x.png"}
    code, out, err = ferkit(*(names.get(argument, argument) for argument in arguments))
    assert code == 1
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err
    assert not (tmp_path / "out").exists()


def test_a_bad_row_is_named_by_its_line_and_nothing_is_left(ferkit, small_csv, tmp_path, cache_home):
    lines = small_csv.read_text().splitlines()
    lines[5] = lines[5].replace(" ", " 300 ", 1)
    small_csv.write_text("\n".join(lines))
    code, _, err = ferkit("data", "check", small_csv)
    assert code == 1
    assert f"{small_csv}:6: " in err
    assert not list(cache_home.rglob("*.npz"))


def test_check_prints_counts_and_speaks_json(ferkit, small_csv):
    code, out, _ = ferkit("data", "check", small_csv)
    assert code == 0
    assert "not the original" in out
    assert "Training" in out
    code, out, _ = ferkit("data", "check", small_csv, "--json")
    assert sum(json.loads(out)["counts"]["Training"].values()) == 96


def test_votes_say_how_far_people_agree_and_can_be_learnt_from(ferkit, small_csv, tmp_path):
    columns = ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral", "contempt", "unknown", "NF"]
    lines = [",".join(["Usage", *columns])]
    for number, row in enumerate(small_csv.read_text().splitlines()[1:]):
        label, _, split = row.split(",")
        chosen = int(label) if number % 4 else (int(label) + 1) % 7
        lines.append(",".join([split, *(str(8 * (n == chosen)) for n in range(7)), "1", "1", "0"]))
    votes = tmp_path / "fer2013new.csv"
    votes.write_text("\n".join(lines) + "\n")
    code, out, _ = ferkit("data", "votes", votes, "--data", small_csv)
    assert code == 0
    assert re.search(r"^label is a first choice +75.0% +75.0% +75.0%$", out, re.MULTILINE)
    found = json.loads(ferkit("data", "votes", votes, "--data", small_csv, "--json")[1])
    assert found["agreement"] == {"Training": 0.75, "PublicTest": 0.75, "PrivateTest": 0.75}
    run = ("--data", small_csv, "--recipe", "layers", "--set", "epochs=1", "--out", tmp_path / "run")
    assert ferkit("train", *run, "--votes", votes)[0] == 0
    other = (*run[:-1], tmp_path / "other", "--votes", votes, "--set", "lessons=every_batch")
    assert ferkit("train", *other) == (1, "", "error: votes are of faces as they are; set lessons to once\n")
    _, _, err = ferkit("train", "--data", small_csv, "--resume", "--out", run[-1], "--teacher", run[-1])
    assert "learns from teachers or from votes, not from both" in err
    recipe = json.loads((tmp_path / "run/result.json").read_text())["recipe"]
    assert len(recipe["votes"]) == 16
    assert recipe["teachers"] == []

    evaluate = ("evaluate", tmp_path / "run", "--data", small_csv, "--split", "validation")
    _, out, _ = ferkit(*evaluate, "--votes", votes)
    assert out.count("\n  by FER+ votes ") == 1
    found = json.loads(ferkit(*evaluate, "--votes", votes, "--json")[1])
    assert found["by_votes"]["faces"] == found["all"]["faces"]
    assert found["by_votes"]["confusion"] != found["all"]["confusion"]
    assert "by_votes" not in json.loads(ferkit(*evaluate, "--json")[1])

    export = ("export", tmp_path / "run", "--data", small_csv, "--out")
    code, out, err = ferkit(*export, tmp_path / "votes.onnx", "--votes", votes)
    assert (code, err) == (0, "")
    assert out.count("  by FER+ votes ") == out.count("  mirror images, by FER+ votes ") == 2
    assert "FER+ votes: right is what taggers chose most often" in out
    code, _, err = ferkit(*export, tmp_path / "labels.onnx")
    assert (code, err) == (
        0,
        "note: calibrated by labels; --votes FILE calibrates by what the network learnt from\n",
    )
    by_votes, by_labels = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("votes", "labels"))
    assert (by_votes["name"], by_labels["name"]) == ("layers", "layers")  # beside the labels, not in their place
    assert (by_votes["calibrated_by"], by_labels["calibrated_by"]) == ("FER+ votes", "labels")
    assert by_votes["temperature"] != by_labels["temperature"]
    assert {"by_votes" in card["metrics"]["PublicTest"] for card in (by_votes, by_labels)} == {True, False}
    votes.write_text("\n".join([*lines[:-1], lines[-1].replace(",1,1,0", ",2,1,0")]) + "\n")
    assert ferkit(*export, tmp_path / "same.onnx", "--votes", votes)[0] == 0  # votes for no class say nothing
    votes.write_text("\n".join([*lines[:-1], lines[-1].replace(",8,", ",9,").replace(",8,", ",9,")]) + "\n")
    code, _, err = ferkit(*export, tmp_path / "other.onnx", "--votes", votes)
    assert (code, err.count("\n")) == (1, 1)
    assert f"expected the votes the run learnt from ({recipe['votes']}), got others" in err
    assert not (tmp_path / "other.onnx").exists()


@pytest.mark.parametrize("views", ["", "mirror", "mirror,shifts"])
def test_several_runs_and_views_answer_together(views, ferkit, trained, tmp_path):
    csv, run = trained
    where = ("--data", csv, "--split", "validation", "--json", "--out", tmp_path / "out")
    twin = shutil.copytree(run, tmp_path / "twin")
    result = json.loads((twin / "result.json").read_text())
    save_file(load_file(twin / "weights.safetensors"), twin / "weights.safetensors", {"a": "twin"})
    digest = hashlib.sha256((twin / "weights.safetensors").read_bytes()).hexdigest()
    (twin / "result.json").write_text(json.dumps({**result, "weights_sha256": digest}))  # not the same network twice
    code, out, _ = ferkit("evaluate", run, twin, "--views", views, *where)
    assert code == 0
    found = json.loads(out)
    assert found["runs"] == [str(run), str(twin)]
    assert found["views"] == [name for name in views.split(",") if name]
    alone = json.loads(ferkit("evaluate", run, *where)[1])
    if not views:  # a network together with its twin says what it says alone
        assert found["all"]["confusion"] == alone["all"]["confusion"]
    assert Path(found["confusion_png"]).exists()


@pytest.mark.parametrize("augmentation", ["report", "faces", "none"])
def test_preview_draws_a_sheet(augmentation, ferkit, small_csv, tmp_path):
    where = ("--data", small_csv, "--out", tmp_path / "sheet.png")
    code, out, _ = ferkit("data", "preview", *where, "--augmentation", augmentation)
    assert code == 0
    assert "8 faces, 8 versions each" in out
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert min(sheet.shape[:2]) > 300
    assert np.ptp(sheet) > 100


def test_faces_cut_out_of_photos_are_read_as_the_photos_are(ferkit, tmp_path):
    photos, faces = tmp_path / "photos", tmp_path / "faces"
    (photos / "happy").mkdir(parents=True)
    shutil.copy(PORTRAIT, photos / "happy")
    code, out, err = ferkit("data", "cut", photos, "--out", faces)
    assert (code, out, err) == (0, f"1 face of 1 photo: {faces}\n", "")
    code, out, _ = ferkit("recognize", "--detector", "none", faces / "happy" / "astronaut.jpg.png", "--json")
    assert [face["expression"] for face in json.loads(out)["faces"]] == ["happy"]
    code, _, err = ferkit("data", "cut", photos, "--out", faces)
    assert (code, err) == (1, f"error: {faces}: expected a new or an empty folder for the faces\n")


def test_photos_without_a_face_and_damaged_ones_are_listed(ferkit, tmp_path):
    photos, faces = tmp_path / "photos", tmp_path / "faces"
    photos.mkdir()
    shutil.copy(PORTRAIT, photos)
    (photos / "bad.png").write_bytes(b"x")
    cv2.imwrite(str(photos / "grey.png"), np.full((200, 200), 99, np.uint8))
    code, out, err = ferkit("data", "cut", photos, "--out", faces)
    assert (code, out) == (1, f"1 face of 3 photos: {faces}\n")
    first, grey, second, bad = err.splitlines()
    assert (first, grey) == ("without a face:", f"  {photos / 'grey.png'}")
    assert (second, bad.split(": ")[0]) == ("error: could not be read:", f"  {photos / 'bad.png'}")
    code, out, _ = ferkit("data", "cut", photos, "--out", tmp_path / "all", "--detector", "none")
    assert (code, out) == (1, f"2 faces of 3 photos: {tmp_path / 'all'}\n")


def test_preview_needs_training_faces(ferkit, tmp_path):
    csv = write_csv(tmp_path / "tests.csv", make_data(training=0))
    line = f"error: {csv}: expected faces in Training, got none\n"
    assert ferkit("data", "preview", "--data", csv, "--out", tmp_path / "sheet.png") == (1, "", line)


def test_check_puts_every_number_under_its_split(ferkit, small_csv):
    found = json.loads(ferkit("data", "check", small_csv, "--json")[1])
    lines = {line.split()[0]: line.split()[1:] for line in ferkit("data", "check", small_csv)[1].splitlines()[2:13]}
    assert lines.pop("Training") == ["PublicTest", "PrivateTest"]
    assert lines["rows"] == ["96", "40", "40"]
    for expression in found["counts"]["Training"]:
        assert lines[expression] == [str(counts[expression]) for counts in found["counts"].values()]


@pytest.mark.parametrize(
    "command",
    [
        ["recipes"],
        ["recipes", "final"],
        ["models"],
        *(["models", name, "--summary"] for name in model_names()),
        ["data", "check", "fer2013.csv"],
        ["evaluate", "run", "--data", "fer2013.csv"],
    ],
    ids=" ".join,
)
def test_what_is_printed_fits_a_terminal_of_80_columns(ferkit, trained, monkeypatch, command):
    monkeypatch.chdir(trained[0].parent)
    code, out, err = ferkit(*command)
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    assert "Units." not in out


def test_a_network_larger_than_memory_can_be_listed(ferkit):
    code, out, _ = ferkit("models", "model1", "--set", "widths=100000,100000,100000,100000")
    assert code == 0
    assert "750,239,100,647" in out


def test_models_and_recipes_are_listed(ferkit):
    assert "20,582,432" in ferkit("models")[1]
    assert {row["name"] for row in json.loads(ferkit("models", "--json")[1])} == {
        "compact",
        "convnext",
        "layers",
        "model1",
        "model2",
        "model3",
        "residual",
    }
    assert "82,309,184" in ferkit("models", "model3", "--set", "width=2", "--summary")[1]
    assert json.loads(ferkit("models", "model1", "--json")[1])["parameters"] == 1_669_511
    code, out, err = ferkit("models", "--summary")
    assert (code, out) == (2, "")
    assert "--summary prints one network: name it" in err
    assert "final" in ferkit("recipes")[1]
    assert json.loads(ferkit("recipes", "final", "--json")[1])["lr"] == 0.02
    assert "lr = 0.02" in ferkit("recipes", "final")[1]


def test_what_recipes_prints_can_be_trained_from(ferkit, small_csv, tmp_path):
    (tmp_path / "mine.toml").write_text(ferkit("recipes", "layers")[1])
    code, _, err = train(ferkit, small_csv, tmp_path / "run", "--recipe", tmp_path / "mine.toml", "--set", "epochs=1")
    assert code == 0, err


def test_results_take_up_a_run_render_it_and_notice_stale_pages(ferkit, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "README.md").write_text(
        "# x\n<!-- results: generated by `ferkit results` -->\nold\n<!-- results end -->\nrest\n"
    )
    assert ferkit("results", "--add", trained[1])[0] == 0
    assert list(tmp_path.glob("results/other/*/seed-0.json"))
    assert "layers" in (tmp_path / "docs/results/other.md").read_text()
    assert "rows have a run" in (tmp_path / "README.md").read_text()
    assert (tmp_path / "README.md").read_text().endswith("rest\n")
    assert ferkit("results", "--check")[0] == 0
    assert ferkit("results", "--check", "--add", "runs/mine")[0] == 2
    before = (tmp_path / "docs/results/other.md").read_text(), (tmp_path / "README.md").read_text()
    assert ferkit("results", "--results", "mine", "--add", trained[1])[0] == 0
    assert ferkit("results", "--results", "mine", "--check")[0] == 0
    assert "layers" in (tmp_path / "mine/docs/results/other.md").read_text()
    shutil.rmtree(tmp_path / "mine/other")
    assert "1 changed: mine/docs/results/other.md" in ferkit("results", "--results", "mine")[1]
    now = (tmp_path / "docs/results/other.md").read_text(), (tmp_path / "README.md").read_text()
    assert now == before, "results of one's own change nothing of these"
    (tmp_path / "docs/results/table-1.md").write_text("typed by hand")
    code, _, err = ferkit("results", "--check")
    assert code == 1
    assert "stale: docs/results/table-1.md" in err


def test_evaluate_prints_the_numbers_before_a_folder_refuses_its_picture(ferkit, trained, tmp_path):
    (tmp_path / "file").write_text("")
    code, out, err = ferkit("evaluate", trained[1], "--data", trained[0], "--out", tmp_path / "file")
    assert code == 1
    assert "confusion matrix (rows true" in out
    assert re.search(r"PublicTest\.png: cannot be written to \(.*\); name another folder with --out", err)


@pytest.mark.parametrize("name", ["confusion-PublicTest.png", "report.html"])
def test_evaluate_speaks_json_with_the_file_it_could_not_write_as_null(ferkit, trained, tmp_path, name):
    run = shutil.copytree(trained[1], tmp_path / "run")
    (run / name).unlink(missing_ok=True)
    (run / name).mkdir()
    code, out, err = ferkit("evaluate", run, "--data", trained[0], "--json")
    assert code == 1
    assert "cannot be written to (Is a directory)" in err
    found = json.loads(out)
    assert found["all"]["faces"] == 30
    assert found["report_html"] is None
    assert (found["confusion_png"] is None) == (name != "report.html")


def test_a_file_that_is_no_result_is_named(ferkit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results/table-1/x").mkdir(parents=True)
    (tmp_path / "results/table-1/x/seed-0.json").write_text("{}")
    code, _, err = ferkit("results")
    assert code == 1
    assert "seed-0.json: not the result of a run" in err


def test_a_copied_run_folder_can_be_evaluated_anywhere(ferkit, trained, tmp_path):
    csv, run = trained
    shutil.copytree(run, tmp_path / "elsewhere")
    assert ferkit("evaluate", tmp_path / "elsewhere", "--data", csv)[0] == 0
