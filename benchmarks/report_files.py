"""Where a benchmark's report goes: what was found as JSON, and the Markdown made from it."""

import json
from pathlib import Path
from typing import Any

from ferkit.files import write_text


def write_report(folder: Path, name: str, found: dict[str, Any], text: str) -> Path:
    """Write ``name.json`` and ``name.md`` to ``folder``, each whole or not at all; return the latter's path."""
    report = folder / f"{name}.md"
    write_text(report.with_suffix(".json"), json.dumps(found, indent=1) + "\n")
    write_text(report, text)
    return report


def day_of(found: dict[str, Any]) -> str:
    """Return ``YYYY-MM-DD`` of what was ``finished``."""
    return str(found["finished"])[:10]
