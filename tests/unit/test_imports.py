"""The hot path, what `isolate run` loads, imports from the standard library only what is cheap."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest

from tests.support import source

if TYPE_CHECKING:
    from tests.support.command import Isolate

# What CONTRIBUTING.md allows, and the C halves of json and socket, which import nothing more.
CHEAP = frozenset(
    "__future__ _json _socket abc collections.abc ctypes errno fcntl gc marshal os select stat "
    "struct sys time".split()
)

# Late imports that a run may make besides: C, and nothing behind it.
CHEAP_LATE = sorted({*CHEAP, "pwd"} - {"__future__"})

HOT_FOLDERS = {"backend", "linux", "native", "runtime", "state"}
COLD = {"isolate.runtime.host"}  # the facts of `isolate doctor`
HOT_MODULES = {"isolate", "isolate.cli", "isolate.cli.run", "isolate.errors", "isolate.spec.model"}


def entry_point_modules() -> set[str]:
    """The modules by which our own backends are loaded."""
    project = tomllib.loads((source.ROOT / "pyproject.toml").read_text())["project"]
    modules = project["entry-points"]["isolate_runtime"].values()
    return {module for module in modules if not module.startswith("isolate.")}


def loaded_by(modules: set[str]) -> set[str]:
    """The modules of this repository that are loaded with these, themselves included."""
    found: set[str] = set()
    todo = set(modules)
    while todo:
        module = todo.pop()
        if module not in source.modules():
            continue
        found.add(module)
        parents = {module.rpartition(".")[0]} if "." in module else set()
        targets = {item.target for item in source.imports(module) if item.at_module_level}
        todo |= (targets | parents) - found
    return found


def hot() -> list[str]:
    """Every module that the hot path may load."""
    of_folders = {name for name in source.modules() if set(name.split(".")[1:2]) & HOT_FOLDERS}
    return sorted(loaded_by((of_folders - COLD) | HOT_MODULES | entry_point_modules()))


@pytest.mark.parametrize("module", hot())
def test_a_hot_module_imports_what_is_cheap(module: str) -> None:
    dear = [
        f"line {item.line}: {item.target}"
        for item in source.imports(module)
        if item.at_module_level
        and item.target not in CHEAP
        and item.target.split(".")[0] not in {"isolate", module.split(".", maxsplit=1)[0]}
    ]
    assert dear == [], "import it late, inside the function (CONTRIBUTING.md)"


def test_the_interpreter_agrees() -> None:
    """What the source says is one thing, sys.modules another: an allowed module may grow."""
    allowed = loaded_modules(sorted(CHEAP - {"__future__"}))
    ours = {"isolate", *source.plugin_packages()}
    dear = {
        name
        for name in loaded_modules(hot()) - allowed
        if name.partition(".")[0] not in ours and name != "__future__"
    }
    assert dear == set()


@pytest.mark.parametrize("backend", ["chroot", "namespaces"])
def test_a_run_loads_the_chosen_backend_and_what_is_cheap(
    isolate_cmd: Isolate, backend: str
) -> None:
    """The late imports on the way, too: here the whole command runs, up to its plan."""
    profile = {"PYTHONPROFILEIMPORTTIME": "1"}
    run = ("run", f"--backend={backend}", "--rootfs=host", "--dry-run", "--", "true")
    isolate_cmd(*run, check=True)  # the first run of all fills the caches
    done = isolate_cmd(*run, env=profile)
    assert done.returncode == 0, done.stderr[-2000:]
    bare = [sys.executable, "-c", f"import runpy, {', '.join(CHEAP_LATE)}"]
    started = subprocess.run(bare, env=profile, capture_output=True, text=True, check=True)
    ours = {"isolate", f"isolate_{backend}"}
    dear = profiled(done.stderr) - profiled(started.stderr) - {"__future__"}
    assert {name for name in dear if name.partition(".")[0] not in ours} == set()


def profiled(text: str) -> set[str]:
    """The modules that `-X importtime` names."""
    return {line.rpartition("|")[2].strip() for line in text.splitlines()}


def loaded_modules(names: list[str]) -> set[str]:
    """sys.modules of a fresh interpreter after these imports."""
    script = f"import {', '.join(names)}, sys; print(*sys.modules)"
    argv = [sys.executable, "-P", "-c", script]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return set(done.stdout.split())
