"""Where a benchmark's report goes: what was found as JSON, and the Markdown made from it."""

import json
from pathlib import Path
from typing import Any

from ferkit.files import write_text


def write_report(folder: Path, name: str, found: dict[str, Any], text: str) -> None:
    """Write ``name-YYYY-MM-DD.json`` and ``.md`` to ``folder``, by the day it was ``finished``; print the latter."""
    path = folder / f"{name}-{found['finished'][:10]}.json"
    write_text(path, json.dumps(found, indent=1) + "\n")
    report = path.with_suffix(".md")
    write_text(report, text)
    print(text)
    print("written:", report)
