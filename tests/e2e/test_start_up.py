"""The command line starts without what training needs."""

import subprocess
import sys

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
