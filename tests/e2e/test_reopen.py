"""The script that turns an exported network back into a run folder: the network says what it said."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from conftest import make_data, small_recipe, write_csv
from ferkit.data import Split, read_fer2013
from ferkit.errors import ModelError
from ferkit.evaluation import predict
from ferkit.export import export_run
from ferkit.training.folder import RunFolder, load_run
from ferkit.training.run import train
from networks import write_network

SCRIPT = Path(__file__).parents[2] / "tools" / "reopen.py"


@pytest.fixture(scope="module")
def reopen():
    spec = importlib.util.spec_from_file_location("reopen", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a small data set, its file, and a run of a small `compact` network."""
    folder = tmp_path_factory.mktemp("trained")
    csv = write_csv(folder / "fer2013.csv", make_data(training=128))
    recipe = small_recipe(model="compact", options={"width": 0.25}, epochs=3)
    data = read_fer2013(csv, use_cache=False)
    list(train(recipe, data, folder / "run", workers=0))
    return data, csv, folder / "run"


def test_another_network_is_told_to_be_one(reopen, tmp_path, monkeypatch):
    file = write_network(tmp_path / "other.onnx")
    monkeypatch.setattr("sys.argv", ["reopen", str(file), "--data", "x.csv", "--out", str(tmp_path / "again")])
    monkeypatch.setattr(reopen, "read_fer2013", lambda _: None)
    with pytest.raises(ModelError, match=r"other\.onnx: expected a compact network, got "):
        reopen.main()
    assert not (tmp_path / "again").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("int8", "tolerance"), [(False, 1e-4), (True, 0.1)], ids=["float32", "8-bit integers"])
def test_a_reopened_network_says_what_it_said_under_the_same_name(
    reopen, trained, tmp_path, monkeypatch, capsys, ferkit, int8, tolerance
):
    data, csv, run = trained
    file, folder = tmp_path / "model.onnx", tmp_path / "again"
    export_run(run, data, file, int8=int8)
    monkeypatch.setattr("sys.argv", ["reopen", str(file), "--data", str(csv), "--out", str(folder)])
    reopen.main()
    assert f"{folder}: " in capsys.readouterr().out
    images = data.split(Split.PUBLIC_TEST).images
    before, after = (np.exp(predict(load_run(path)[1], images)) for path in (run, folder))
    assert np.ptp(before, axis=0).max() > 2 * tolerance  # faces differ by more than networks may
    np.testing.assert_allclose(after, before, atol=tolerance)
    assert RunFolder(folder).network() == RunFolder(run).network()
    if not int8:
        again = export_run(folder, data, tmp_path / "again.onnx")
        assert again.card.weights_sha256.startswith(RunFolder(run).network())
        code, out, _ = ferkit("evaluate", folder, "--data", csv)
        assert (code, out.count("report: ")) == (0, 0)
        assert f"confusion matrix: {folder / 'confusion-PrivateTest.png'}" in out
        assert ferkit("explain", "figures", folder, "--data", csv)[0] == 0
        for command in (("train", "--resume", "--data", csv, "--out", folder), ("results", "--add", folder)):
            line = f"error: {folder}: holds a network that tools/reopen.py made of a file; no run trained it\n"
            assert ferkit(*command) == (1, "", line)


def test_only_compact_networks_can_be_reopened(reopen, tmp_path):
    from ferkit.models import build_model

    layers = {"another.weight": (np.zeros((32, 1, 7, 7), np.float32), np.zeros(32, np.float32))}
    with pytest.raises(
        SystemExit, match=r"expected one layer for features\.0\.weight in the file, got 0: only `compact`"
    ):
        reopen.restore(build_model("compact"), layers, None)
