"""The wheel, a fresh environment that has it and not the checkout, and third-party plugins."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import needs, session, source

PLUGINS = Path(__file__).parent / "plugins"


class Environment:
    """A virtual environment away from the checkout, with the wheel installed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.python = directory / "bin" / "python"
        self.command = directory / "bin" / "isolate"

    def run(self, *argv: str | Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command in `/`, without the variables of this process; `path` is PYTHONPATH."""
        environment = {
            "HOME": str(self.directory),
            "ISOLATE_ROOT": str(session.directory() / "state"),
            "LANG": "C.UTF-8",
            "PATH": os.environ["PATH"],
            **({"PYTHONPATH": str(path)} if path else {}),
        }
        return subprocess.run(
            argv, cwd="/", env=environment, capture_output=True, text=True, check=False
        )


def checked(*argv: str | Path, timeout: float = 240) -> None:
    """Run a command that must succeed; its output is shown where it doesn't."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=timeout)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def wheel() -> Path:
    """The wheel, built from the source distribution as it would be published."""
    directory = session.directory() / "dist"
    build = (sys.executable, "-m", "build", "--no-isolation", "--outdir", directory)
    checked(*build, source.ROOT)
    (found,) = directory.glob("*.whl")
    return found


@pytest.fixture(scope="session")
def environment(wheel: Path) -> Environment:
    """The wheel in a fresh virtual environment, with the dependencies that it asks for."""
    needs.require("index")
    made = Environment(session.directory() / "environment")
    checked(sys.executable, "-m", "venv", made.directory)
    checked(made.python, "-m", "pip", "install", "-qq", "--disable-pip-version-check", wheel)
    return made


@pytest.fixture(scope="session")
def plugins() -> Path:
    """A directory for PYTHONPATH in which every third-party plugin of the tests is installed."""
    directory = session.directory() / "plugins"
    pip = (sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check")
    offline = ("--no-build-isolation", "--no-deps", "--no-index", "--target", directory)
    checked(*pip, *offline, *sorted(path.parent for path in PLUGINS.glob("*/pyproject.toml")))
    return directory
