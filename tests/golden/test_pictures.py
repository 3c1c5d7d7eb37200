"""The picture of Model 3 in the documentation is the one that its layers draw."""

import re
from importlib.metadata import version
from pathlib import Path

import pytest

from ferkit.models import build_model
from ferkit.report import explain

ROOT = Path(__file__).parents[2]


def test_the_diagram_in_the_documentation_is_not_stale(tmp_path):
    pinned = re.search(r"^matplotlib==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)[1]
    if version("matplotlib") != pinned:
        pytest.skip(f"drawn with matplotlib {pinned}, here is {version('matplotlib')}")
    explain.save(explain.diagram_figure(build_model("model3"), "model3"), tmp_path / "model-3.svg")
    drawn, kept = ((folder / "model-3.svg").read_bytes() for folder in (tmp_path, ROOT / "docs" / "images"))
    assert drawn == kept, "stale: ferkit explain diagram model3 --out docs/images/model-3.svg"
