"""Every page with commands, executed as it is written."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.installation import Installation
from tests.support.pages import ROOT, Shell, run, steps

if TYPE_CHECKING:
    from tests.support.command import Isolate

AS_ROOT = [
    "README.md",
    "docs/tutorial/first-container.md",
    "docs/how-to/write-a-spec.md",
    "docs/how-to/choose-limits.md",
    "docs/how-to/clean-up-after-a-crash.md",
    "docs/how-to/use-from-python.md",
    "docs/how-to/compare-backends.md",
]
ROOTLESS = ["docs/how-to/run-rootless.md"]
WITH_PIP = ["docs/how-to/write-a-probe.md", "docs/tutorial/write-a-backend.md"]


def _follow(page: str, cmd: Isolate) -> None:
    """Do what the page says in an empty directory, with `isolate` and `python` on the PATH."""
    directory, programs = cmd.state.parent / "page", cmd.state.parent / "bin"
    for made in (directory, programs):
        made.mkdir(mode=0o755)
        if cmd.account is not None:
            os.chown(made, cmd.account.uid, cmd.account.gid)
    _put_command(programs, cmd)
    environment = {**cmd.environment, "PATH": f"{programs}:{cmd.environment['PATH']}"}
    bash = ["bash", "--norc", "--noprofile"]
    argv = cmd.account.argv(bash, directory) if cmd.account else bash
    with Shell(argv, environment, directory) as shell:
        wrong = run(ROOT / page, shell, directory)
    assert wrong == [], "\n\n".join(wrong)


def _put_command(directory: Path, cmd: Isolate) -> None:
    python = [cmd.installation.python, "-P"]
    for name, command in {"isolate": [*python, "-m", "isolate"], "python": python}.items():
        (directory / name).write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
        (directory / name).chmod(0o755)


@pytest.mark.needs("root", "cgroup:memory", "cgroup:pids", "cgroup:cpu", "cgroup:freezer")
@pytest.mark.parametrize("page", AS_ROOT)
def test_page(page: str, isolate_cmd: Isolate) -> None:
    _follow(page, isolate_cmd)


@pytest.mark.needs("root", "userns", "newuidmap")
@pytest.mark.parametrize("page", ROOTLESS)
def test_page_of_an_ordinary_user(page: str, rootless_cmd: Isolate) -> None:
    _follow(page, rootless_cmd)


@pytest.mark.needs("root", "bwrap", "index", "cgroup:memory", "cgroup:pids", "cgroup:freezer")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", WITH_PIP)
def test_page_that_installs(page: str, isolate_cmd: Isolate) -> None:
    """In an environment of its own, which has what this one has."""
    venv = isolate_cmd.state.parent / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    (site,) = venv.glob("lib/python*/site-packages")
    here = sysconfig.get_path("purelib")
    (site / "here.pth").write_text(f"import site; site.addsitedir({here!r})\n")
    for program in ("mypy", "ruff"):
        (venv / "bin" / program).symlink_to(Path(sys.executable).parent / program)
    del isolate_cmd.environment["PYTHONWARNINGS"]  # pip's own are no matter of ours
    isolate_cmd.environment["PATH"] = f"{venv}/bin:{isolate_cmd.environment['PATH']}"
    isolate_cmd.installation = Installation(str(venv / "bin" / "python"), None)
    _follow(page, isolate_cmd)


@pytest.mark.needs("root", "cgroup:memory", "cgroup:pids", "cgroup:freezer")
def test_the_docs_say_what_the_demo_shows(isolate_cmd: Isolate) -> None:
    demo = subprocess.run(
        [isolate_cmd.installation.python, "-P", "-m", "isolate.cli.demo"],
        cwd=isolate_cmd.state.parent,
        env=isolate_cmd.environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    shown = _columns([line.strip() for line in demo.split("began:\n\n")[1].splitlines()], "  ")
    page = (ROOT / "docs/explanation/security.md").read_text(encoding="utf-8")
    lines = page.partition("## What each backend enforces")[2].splitlines()
    rows = [line.strip("| ") for line in lines if line.startswith("|")]
    promised = _columns([rows[0], *rows[2:]], " | ")
    assert len(shown["namespaces"]) > 10
    assert promised == {name: shown[name] for name in promised}


def _columns(lines: list[str], between: str) -> dict[str, dict[str, str]]:
    """A table as cells by their column's head and their line's."""
    head, *rows = [[cell.strip() for cell in line.split(between) if cell] for line in lines]
    return {
        name: {row[0]: row[number] for row in rows} for number, name in enumerate(head, 1) if name
    }


def test_every_page_with_commands_is_executed() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    with_commands = {str(page.relative_to(ROOT)) for page in pages if steps(page)}
    shown = {"docs/reference/plugin-api.md"}  # its files are an example, and no command
    assert with_commands - shown == {*AS_ROOT, *ROOTLESS, *WITH_PIP}
