"""The command line starts without what training needs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ferkit.cli.main import main

PORTRAIT = Path(__file__).parents[2] / "docs" / "images" / "astronaut.jpg"
HEAVY = ("torch", "pandas", "matplotlib", "scipy", "sklearn", "albumentations", "cv2", "lightning_fabric", "optuna")


def test_help_loads_nothing_heavy():
    code = f"""
import sys
from ferkit.cli.main import app
for command in ("", "train", "data check", "explain", "reproduce", "search", "recognize", "serve", "export"):
    try:
        app([*command.split(), "--help"])
    except SystemExit as end:
        assert not end.code, end.code
    heavy = [name for name in {HEAVY!r} if name in sys.modules]
    assert not heavy, (command, heavy)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Usage: ") == 9


def test_a_missing_extra_names_the_command_that_installs_it():
    code = """
import sys
for name in ("torch", "pandas", "pydantic", "platformdirs"):
    sys.modules[name] = None
sys.argv = ["ferkit", "models"]
from ferkit.cli.main import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert 'run: pip install "ferkit[train]"' in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("library", "content", "why"),
    [
        (
            "cv2",
            'raise ImportError("libGL.so.1: cannot open shared object file")',
            "libGL.so.1: cannot open shared object file",
        ),
        ("onnxruntime", 'raise ImportError("std::bad_alloc")', "there is not enough memory"),
        (
            "onnxruntime",
            "raise ImportError('\\nREAD THIS') from ImportError('no such symbol')",
            "no such symbol",
        ),
    ],
)
def test_a_library_that_cannot_be_loaded_is_one_line(tmp_path, library, content, why):
    (tmp_path / library).mkdir()
    (tmp_path / library / "__init__.py").write_text(content)
    command = [sys.executable, "-m", "ferkit", "recognize", PORTRAIT]
    places = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": places}
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"error: {library} cannot be loaded ({why})\n"


def test_a_fault_of_our_own_imports_is_not_hidden(monkeypatch):
    def broken():
        raise ImportError("cannot import name 'x'", name="ferkit.x")

    monkeypatch.setattr("ferkit.cli.main.app", broken)
    with pytest.raises(ImportError):
        main()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", [["card"], ["--version"], ["--help"], ["recipes"]])
def test_what_cannot_be_printed_is_told(arguments):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "ferkit", *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (1, "error: standard output: No space left on device\n")


def test_a_folder_that_is_gone_is_told(tmp_path):
    command = (
        f"mkdir gone; cd gone; rmdir ../gone; exec '{sys.executable}' -m ferkit recognize '{PORTRAIT}' --save x.jpg"
    )
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "error: the folder from which this was started: No such file or directory\n"


def test_settings_of_libraries_that_are_empty_are_none():
    empty = {"OPENCV_IO_MAX_IMAGE_PIXELS": "", "OPENCV_FOR_THREADS_NUM": " ", "COLUMNS": "0", "TERMINAL_WIDTH": "abc"}
    command = [sys.executable, "-m", "ferkit", "recognize"]
    for more, words in ((["--bad"], "No such option"), ([PORTRAIT], "1 face")):
        done = subprocess.run(
            [*command, *more], capture_output=True, text=True, check=False, env={**os.environ, **empty}
        )
        assert words in done.stdout + done.stderr


def test_ctrl_c_while_the_program_is_loaded_ends_it_without_a_traceback():
    code = """
import sys
class Interrupted:
    def find_spec(self, name, *_):
        if name == "ferkit.cli.main":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted())
from ferkit.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
