"""The notebook runs from its first cell to its last, offline, and goes on where it was stopped."""

import json
import re
import sys
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell

from conftest import make_data, write_csv
from ferkit.training.folder import RunFolder

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "ferkit_colab.ipynb"

SMALL = {"RECIPE": "model1", "SETTINGS": ["widths=2,2,2,2", "batch_size=16", "epochs=5"], "WORKERS": 0}

QUIET = f"""
import sys
assert sys.executable == {sys.executable!r}
sys.path.insert(0, {str(Path(__file__).parent)!r})
import quiet_ferkit
quiet_ferkit.NOTES = "notes"
sys.addaudithook(quiet_ferkit.watch)
"""

STOP_AFTER_THE_FIRST_EPOCH = """
import os, signal, threading, time
from pathlib import Path
def stop():
    while not list(Path(HOME).glob("runs/*/checkpoints/last.pt")):
        time.sleep(0.005)
    os.kill(os.getpid(), signal.SIGINT)  # what the stop button sends
threading.Thread(target=stop, daemon=True).start()
"""

COLAB = """
import shutil, sys, types
def upload():
    shutil.copy("elsewhere.csv", "my upload.csv")
    return {"my upload.csv": b""}
sys.modules["google.colab"] = types.ModuleType("google.colab")
sys.modules["google.colab"].files = types.SimpleNamespace(upload=upload)
"""


def read():
    return nbformat.read(NOTEBOOK, as_version=4)


@contextmanager
def jupyter_in(folder):
    """Keep Jupyter's files in ``folder``, and let it start the kernel of this interpreter, not the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(folder / "ipython"))
        patch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
        for name in ("CONFIG", "DATA", "RUNTIME"):
            patch.setenv(f"JUPYTER_{name}_DIR", str(folder / "jupyter"))
        yield patch


def execute(notebook, folder, code="", **parameters):
    """Run ``notebook`` in ``folder`` with other parameters and, after them, ``code``; return its cells by their ids."""
    at = next(n for n, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", ()))
    given = {**SMALL, "HOME": str(folder / "home"), **parameters}
    lines = [f"{name} = {value!r}" for name, value in given.items()]
    notebook.cells.insert(at + 1, new_code_cell("\n".join([*lines, code])))
    NotebookClient(notebook, kernel_name="python3", timeout=120).execute(cwd=str(folder))
    return {cell.id: cell for cell in notebook.cells}


def printed(cell):
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


def up_to(name):
    notebook = read()
    del notebook.cells[[cell.id for cell in notebook.cells].index(name) + 1 :]
    return notebook


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """Return the folder and the cells of a notebook whose training was stopped and its cell run twice more."""
    folder = tmp_path_factory.mktemp("executed")
    notebook = read()
    at = [cell.id for cell in notebook.cells].index("train")
    notebook.cells[at + 1 : at + 1] = [new_code_cell(notebook.cells[at].source, id=name) for name in ("again", "done")]
    with jupyter_in(folder) as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setenv("FER2013_CSV", str(write_csv(folder / "fer2013.csv", make_data())))
        return folder, execute(notebook, folder, QUIET + STOP_AFTER_THE_FIRST_EPOCH)


@pytest.mark.slow
def test_it_runs_from_the_data_to_the_page(executed):
    folder, cells = executed
    run = folder / "home/runs/model1-widths=2,2,2,2-batch_size=16-epochs=5"
    test = RunFolder(run).read_result()["evaluation"]["test"]
    assert "176 faces; not the original file" in printed(cells["audit"])
    assert f"PublicTest, all faces: accuracy {test['accuracy']:.2%} (" in printed(cells["evaluate"])
    assert "macro avg" in printed(cells["evaluate"])
    pictures = [name for name, cell in cells.items() if "image/png" in str(cell.get("outputs"))]
    assert pictures == ["faces", "curves", "confusion", "samples"]
    assert str(run / "report.html") in printed(cells["page"])
    assert (run / "report.html").exists()


@pytest.mark.slow
def test_the_stop_button_saves_and_the_cell_run_again_goes_on(executed):
    stopped, again, done = (printed(executed[1][name]) for name in ("train", "again", "done"))
    assert re.search(r"epoch  1: train loss \d\.\d{3} accuracy .* faces/s", stopped)
    assert "stopped after epoch" in stopped
    assert "run this cell again to go on" in stopped
    assert "going on after epoch" in again
    assert "epoch  1: train loss" not in again
    assert "epoch  5: train loss" in again
    assert done.startswith("\rfinished")


@pytest.mark.slow
def test_it_attempts_no_connection(executed):
    notes = executed[0] / "notes"
    assert not notes.exists(), notes.read_text()


def test_in_colab_an_uploaded_file_is_kept_where_the_next_session_finds_it(small_csv, tmp_path, monkeypatch):
    monkeypatch.delenv("FER2013_CSV", raising=False)
    small_csv.rename(tmp_path / "elsewhere.csv")
    with jupyter_in(tmp_path):
        cells = execute(up_to("audit"), tmp_path, COLAB)
    assert "176 faces" in printed(cells["audit"])
    assert (tmp_path / "home" / "fer2013.csv").exists()
    assert not (tmp_path / "my upload.csv").exists()
    with jupyter_in(tmp_path):
        cells = execute(up_to("faces"), tmp_path, RECIPE="compact", SETTINGS=[])
    assert "176 faces" in printed(cells["audit"])
    assert "image/png" in str(cells["faces"].outputs), "the augmentation of every recipe can be shown"


def test_without_data_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.delenv("FER2013_CSV", raising=False)
    votes = tmp_path / "home" / "fer2013new.csv"
    votes.parent.mkdir()
    votes.touch()
    with jupyter_in(tmp_path), pytest.raises(CellExecutionError, match="no data: set DATA at the top"):
        execute(up_to("data"), tmp_path)


def test_it_is_committed_without_outputs_pictures_or_traces_of_a_machine():
    notebook = read()
    nbformat.validate(notebook)
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert notebook.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        assert not cell.get("attachments")
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)
            assert set(cell.metadata) <= {"tags"}
    assert "base64" not in text
    assert json.dumps(json.loads(text), indent=1, ensure_ascii=False, sort_keys=True) + "\n" == text


def test_its_links_lead_to_files_of_the_repository():
    text = "\n".join(cell.source for cell in read().cells if cell.cell_type == "markdown")
    local = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert len(local) == 3
    for link in local:
        assert (NOTEBOOK.parent / link).resolve().is_file(), link
