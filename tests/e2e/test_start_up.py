"""The command line starts without what training needs."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "pandas", "matplotlib", "scipy", "sklearn", "albumentations", "cv2", "lightning_fabric", "optuna")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["train", "--help"],
        ["data", "check", "--help"],
        ["explain", "--help"],
        ["reproduce", "--help"],
        ["search", "--help"],
        ["--version"],
    ],
)
def test_help_loads_nothing_heavy(arguments):
    code = f"""
import sys
from ferkit.cli.main import app
try:
    app({arguments!r})
except SystemExit as end:
    assert not end.code, end.code
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]"), done.stdout[-200:]


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
    assert "run: pip install 'ferkit[train]'" in done.stderr
    assert "Traceback" not in done.stderr
