"""The documentation fits the code: no stale reference, no dead link, no unknown command."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.pages import ROOT, blocks

if TYPE_CHECKING:
    from pathlib import Path

DOCS = ROOT / "docs"
OWN_PAGES = [*sorted(DOCS.rglob("*.md")), ROOT / "README.md"]
PAGES = [*OWN_PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)

# Commands that a reader may run and no test does, as they change the machine or make an
# environment; each is one that CI runs itself, or a line of a manual page.
ONLY_SHOWN = {
    "make bench",
    "make bench BENCH='cold rate'",
    "make demo",
    "isolate compare --quick -o report.html",
    "make docs",
    "make test",
    "apt-get install python3 python3-venv libseccomp2 make",
    "apt-get install uidmap",
    "apt-get install bubblewrap",
    "python3 -m venv ~/isolate-venv",
    "~/isolate-venv/bin/pip install .",
    "export PATH=~/isolate-venv/bin:$PATH",
    "usermod --add-subuids 1000000-1065535 --add-subgids 1000000-1065535 ada",
    "python docs/generate.py",
}


def _id(page: Path) -> str:
    return str(page.relative_to(ROOT))


def test_the_reference_is_what_the_code_says() -> None:
    done = subprocess.run(
        [sys.executable, str(DOCS / "generate.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    local = [link for link in _LINK.findall(text) if not link.startswith(("https:", "mailto:"))]
    dead = [link for link in local if not _leads_somewhere(page, link)]
    assert dead == []


def _leads_somewhere(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.parent / path) if path else page
    if not target.exists():
        return False
    return not anchor or anchor in _anchors(target.read_text(encoding="utf-8"))


def _anchors(text: str) -> set[str]:
    """As Markdown's slugs are made: lower case, punctuation dropped, hyphens for blanks."""
    plain = (re.sub(r"[^\w\s-]", "", title).strip().lower() for title in _HEADING.findall(text))
    return {re.sub(r"[\s-]+", "-", title) for title in plain}


@pytest.mark.parametrize("page", OWN_PAGES, ids=_id)
def test_pages_name_no_path_of_the_machine_that_they_were_written_on(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert [path for path in (str(ROOT), sys.prefix, sys.base_prefix) if f"{path}/" in text] == []


def test_commands_that_are_only_shown_are_known() -> None:
    shown = {
        line.partition("  #")[0].strip()
        for page in OWN_PAGES
        for block in blocks(page)
        if block.info.split()[0] in ("sh", "shell", "bash")
        for line in block.text.splitlines()
    }
    assert shown == ONLY_SHOWN


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert (tmp_path / "reference" / "spec.html").exists()
