"""Write the reference pages from the code: `python docs/generate.py`, `--check` only compares."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from generator import commands, plugins, probes, results, specs

if TYPE_CHECKING:
    from collections.abc import Callable

PAGES: dict[str, Callable[[], str]] = {
    "spec": specs.spec_page,
    "features": specs.features_page,
    "commands": commands.commands_page,
    "exit-status": results.exit_status_page,
    "result": results.result_page,
    "probes": probes.probes_page,
    "plugin-api": plugins.plugin_page,
}
_DIRECTORY = Path(__file__).parent / "reference"


def main(words: list[str]) -> int:
    """Write the pages; with --check name the stale ones, and exit with 1 if there are any."""
    stale = [
        path
        for name, page in PAGES.items()
        for path in (_DIRECTORY / f"{name}.md",)
        if not path.exists() or path.read_text(encoding="utf-8") != _whole(page())
    ]
    for path in stale:
        print(f"{path.name} is stale: run python docs/generate.py" if "--check" in words else path)
        if "--check" not in words:
            path.write_text(_whole(PAGES[path.stem]()), encoding="utf-8")
    return 1 if stale and "--check" in words else 0


def _whole(text: str) -> str:
    return f"<!-- Made by docs/generate.py from the code; edit that instead. -->\n\n{text}"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
