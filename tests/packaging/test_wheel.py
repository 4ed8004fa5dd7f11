"""The wheel holds all that it must and works in a fresh environment, from another directory."""

from __future__ import annotations

import json
import tomllib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from isolate import __version__
from tests.support import source

if TYPE_CHECKING:
    from tests.packaging.conftest import Environment

pytestmark = pytest.mark.timeout(300)
PROJECT = tomllib.loads((source.ROOT / "pyproject.toml").read_text())


def test_the_listed_packages_are_the_folders() -> None:
    listed = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert listed == ["isolate", *(f"plugins/{name}" for name in source.plugin_packages())]


def test_every_plugin_has_its_entry_point() -> None:
    """One of its own name at least; a package may have several backends."""
    points = PROJECT["project"]["entry-points"]["isolate_runtime"]
    packages = source.plugin_packages()
    outside = {module for module in points.values() if not module.startswith("isolate.")}
    assert outside == {f"{name}.plugin" for name in packages}
    own = {name.removeprefix("isolate_"): f"{name}.plugin" for name in packages}
    assert own.items() <= points.items()


def test_every_package_is_typed() -> None:
    untyped = [
        name
        for name in ("isolate", *source.plugin_packages())
        if not (source.modules()[name].parent / "py.typed").exists()
    ]
    assert untyped == []


def test_the_wheel_holds_every_module_and_nothing_else(wheel: Path) -> None:
    expected = {
        str(
            path.relative_to(source.PLUGINS if path.is_relative_to(source.PLUGINS) else source.ROOT)
        )
        for path in source.modules().values()
    }
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    held = {name for name in names if ".dist-info/" not in name and ".data/" not in name}
    assert {name for name in held if name.endswith(".py")} == expected
    assert {name.split("/")[0] for name in held} == {"isolate", *source.plugin_packages()}
    assert [name for name in names if name.endswith(".data/scripts/isolate")]


def test_isolate_comes_from_the_wheel(environment: Environment) -> None:
    script = "import isolate, isolate_chroot; print(isolate.__file__, isolate_chroot.__file__)"
    done = environment.run(environment.python, "-c", script)
    assert done.stderr == ""
    assert all(Path(word).is_relative_to(environment.directory) for word in done.stdout.split()), (
        done.stdout
    )


def test_version(environment: Environment) -> None:
    done = environment.run(environment.command, "version")
    assert (done.returncode, done.stderr) == (0, "")
    assert __version__ in done.stdout


def test_backends(environment: Environment) -> None:
    done = environment.run(environment.command, "backends", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows.keys() >= {"chroot", "namespaces"}
    for row in rows.values():
        assert row["distribution"] == "isolate-runtime"
        assert row["version"] == __version__
        assert row["usable"] is (row["problems"] == [])
        assert bool(row["features"]) is row["usable"]


def test_run_without_a_backend_explains(environment: Environment) -> None:
    done = environment.run(environment.command, "run", "--backend=nosuch", "--", "true")
    assert done.returncode == 125
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
