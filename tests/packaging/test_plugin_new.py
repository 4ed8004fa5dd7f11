"""`isolate plugin new`: what it writes passes its own tests, beside the wheel, as it is written."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.packaging.conftest import Environment, checked
from tests.support import session, source

pytestmark = [pytest.mark.timeout(300), pytest.mark.needs("index")]
NAME = "made-up"


@pytest.fixture(scope="module")
def made(environment: Environment) -> Path:
    """The package, written by the wheel's own command."""
    target = session.directory() / "plugin-new" / "package"
    done = environment.run(environment.command, "plugin", "new", NAME, "--directory", target)
    assert (done.returncode, done.stderr) == (0, "")
    written = [Path(line) for line in done.stdout.splitlines() if line.startswith(str(target))]
    assert all(path.is_file() for path in written)
    assert written
    return target


@pytest.fixture(scope="module")
def beside(wheel: Path, made: Path) -> Environment:
    """A fresh environment with the wheel and the package, by the package's own extra."""
    fresh = Environment(session.directory() / "plugin-new" / "environment")
    checked(sys.executable, "-m", "venv", fresh.directory)
    pip = (fresh.python, "-m", "pip", "install", "-qq", "--disable-pip-version-check")
    checked(*pip, wheel)
    checked(*pip, "--editable", f"{made}[dev]")
    return fresh


def _in(made: Path, *argv: str | Path) -> None:
    """Run a command in the package's directory, as its author would."""
    done = subprocess.run(argv, cwd=made, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_wheel_ships_every_template(wheel: Path) -> None:
    folder = source.ROOT / "isolate" / "cli" / "template"
    expected = {str(path.relative_to(source.ROOT)) for path in folder.rglob("*") if path.is_file()}
    with zipfile.ZipFile(wheel) as archive:
        assert expected
        assert expected <= set(archive.namelist())


def test_it_is_listed_at_once(beside: Environment) -> None:
    done = beside.run(beside.command, "backends", "--json")
    assert done.returncode == 0, done.stderr
    (row,) = [row for row in json.loads(done.stdout) if row["name"] == NAME]
    assert (row["distribution"], row["version"]) == (f"isolate-backend-{NAME}", "0.1.0")


def test_its_linter_and_its_types_are_content(beside: Environment, made: Path) -> None:
    programs = beside.directory / "bin"
    _in(made, programs / "ruff", "check")
    _in(made, programs / "ruff", "format", "--check")
    _in(made, programs / "mypy")


@pytest.mark.needs("root")
def test_its_own_tests_pass_and_none_is_skipped(beside: Environment, made: Path) -> None:
    report = made.parent / "report.xml"
    _in(made, beside.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}")
    text = report.read_text()
    assert 'skipped="0"' in text
    assert 'failures="0"' in text
    assert int(text.partition(' tests="')[2].partition('"')[0]) > 90


@pytest.mark.needs("root")
def test_isolate_verifies_it(beside: Environment) -> None:
    done = beside.run(beside.command, "verify", NAME, "--json")
    assert done.returncode == 0, done.stdout
    report = json.loads(done.stdout)
    assert report["counts"]["fail"] == report["counts"]["skip"] == 0
    held = {row["feature"] for row in report["results"] if row["result"] == "pass"}
    assert held >= {"root", "root.fence", "view.users", "view.pids"}


@pytest.mark.needs("root")
def test_it_grows_as_its_readme_says(beside: Environment, made: Path) -> None:
    """A claim alone is caught; with the step that keeps it, it holds."""
    (module,) = made.glob("isolate_*/backend.py")
    before = module.read_text()
    claimed = before.replace('"root",\n', '"root",\n        "mounts.tmpfs",\n')
    last = "        *parts.devices(spec, VIEWS, single_id=True),\n"
    step = "        *[parts.mount_of(asked) for asked in spec.mounts],\n"
    only = (beside.command, "verify", NAME, "--only", "tmpfs")
    try:
        module.write_text(claimed)
        assert beside.run(*only).returncode == 1
        module.write_text(claimed.replace(last, last + step))
        done = beside.run(*only)
        assert done.returncode == 0, done.stdout
    finally:
        module.write_text(before)
