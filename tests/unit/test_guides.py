"""The Python in the guides: every name that they import is there."""

import ast
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCKS = [
    pytest.param(code, id=f"{path.name}-{number}")
    for path in (ROOT / "README.md", ROOT / "MODEL_CARD.md", *sorted(ROOT.glob("docs/**/*.md")))
    for number, code in enumerate(re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL), 1)
]


@pytest.mark.parametrize("code", BLOCKS)
def test_what_a_guide_imports_exists(code):
    imports = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom)]
    for node in imports:
        module = importlib.import_module(node.module)
        missing = [alias.name for alias in node.names if not hasattr(module, alias.name)]
        assert not missing, f"{node.module} has no {missing}"


def test_there_are_guides():
    assert len(BLOCKS) >= 6
