"""The guides: every name that their Python imports is there, and every command and option that their lines have."""

import ast
import importlib
import json
import re
import shlex
from hashlib import sha256
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from ferkit import Recognizer
from ferkit.cli.main import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "MODEL_CARD.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]
BLOCKS = [
    pytest.param(code, id=f"{path.name}-{number}")
    for path in PAGES
    for number, code in enumerate(re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL), 1)
]


@pytest.mark.parametrize("code", BLOCKS)
def test_what_a_guide_imports_exists(code):
    imports = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom)]
    for node in imports:
        module = importlib.import_module(node.module)
        missing = [alias.name for alias in node.names if not hasattr(module, alias.name)]
        assert not missing, f"{node.module} has no {missing}"


def commands(page):
    """Yield the words of each `ferkit` command in the blocks of a page that are for a shell."""
    for block in re.findall(r"```(?:sh|console)\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if words[:1] == ["ferkit"]:
                yield words[1:]


@pytest.mark.parametrize("page", [pytest.param(page, id=page.name) for page in PAGES if list(commands(page))])
def test_commands_and_options_of_a_guide_exist(page):
    for words in commands(page):
        command, rest = typer.main.get_command(app), list(words)
        while rest and rest[0] in getattr(command, "commands", {}):
            command = command.commands[rest.pop(0)]
        assert not hasattr(command, "commands") or rest[0].startswith("-"), f"no command: ferkit {' '.join(words)}"
        known = {"--help", *(option for parameter in command.params for option in parameter.opts)}
        unknown = {word.partition("=")[0] for word in rest if word.startswith("--")} - known
        assert not unknown, f"no option: ferkit {' '.join(words)}"


def test_there_are_guides():
    assert len(BLOCKS) >= 6
    assert len([words for page in PAGES for words in commands(page)]) >= 60


def sample(guide, kind):
    """Return what a guide shows of what comes out."""
    text = (ROOT / "docs" / "guides" / guide).read_text(encoding="utf-8")
    return re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL)[0]


def test_the_answers_that_guides_show_are_those_of_the_shipped_network():
    portrait = ROOT / "docs" / "images" / "astronaut.jpg"
    (face,) = (found.to_dict() for found in Recognizer().recognize(portrait))
    printed, answered = json.loads(sample("recognize.md", "json")), json.loads(sample("serve.md", "json"))
    digest = sha256((ROOT / "src" / "ferkit" / "inference" / "weights" / "compact.onnx").read_bytes()).hexdigest()
    assert digest.startswith(answered["model"]["sha256"].removesuffix("..."))
    for picture in (printed, answered["images"][0]):
        (shown,) = picture["faces"]
        assert (picture["width"], picture["height"]) == (512, 512)
        assert list(shown) == list(face)
        assert (shown["box"], shown["expression"]) == (face["box"], face["expression"])
        assert shown["probabilities"] == pytest.approx(face["probabilities"], abs=0.02)  # processors differ


def test_the_table_that_a_guide_shows_is_what_is_printed(monkeypatch):
    monkeypatch.chdir(ROOT)
    printed = CliRunner().invoke(app, ["recognize", "docs/images/astronaut.jpg"]).stdout
    without_numbers = [re.sub(r"[\d.█]+", "#", text).split() for text in (sample("recognize.md", "text"), printed)]
    assert without_numbers[0] == without_numbers[1]
