"""Imports point down only: the folders of CONTRIBUTING.md as layers, the plugins apart."""

from __future__ import annotations

import re
from graphlib import CycleError, TopologicalSorter

import pytest

from tests.support import source

# From the ground up. A folder imports from those below it, never from one beside it.
LAYERS = (
    {"errors"},
    {"linux"},
    {"spec"},
    {"backend", "hookspecs", "oci"},
    {"rootfs", "plugins", "state"},
    {"native"},
    {"runtime"},
    {"supervisor", "helper"},
    {"api"},
    {"aio"},
    {"isolate"},  # isolate/__init__.py, the names of the Python API
    {"testing", "probe"},
    {"compare"},
    {"cli"},
    {"__main__"},
)
HEIGHT = {folder: height for height, layer in enumerate(LAYERS) for folder in layer}
HIGHEST_FOR_PLUGINS = HEIGHT["native"]

OWN = [name for name in source.modules() if name.split(".")[0] == "isolate"]
OF_PLUGINS = [name for name in source.modules() if name.split(".")[0] != "isolate"]


def folder(module: str) -> str:
    """The folder (or module) directly below `isolate` that a module belongs to."""
    return module.split(".")[1] if "." in module else module


def test_every_folder_has_its_layer() -> None:
    assert {folder(module) for module in OWN} <= HEIGHT.keys()


def test_contributing_lists_every_folder() -> None:
    text = (source.ROOT / "CONTRIBUTING.md").read_text()
    listed = set(re.findall(r"^\| `isolate/(\w+)", text, re.MULTILINE))
    folders = {path.parent.name for path in (source.ROOT / "isolate").glob("*/__init__.py")}
    assert folders <= listed


@pytest.mark.parametrize("module", OWN)
def test_imports_point_down(module: str) -> None:
    wrong = [
        f"line {found.line}: {found.target}"
        for found in source.imports(module)
        if found.target.split(".")[0] == "isolate"
        and folder(found.target) != folder(module)
        and HEIGHT[folder(found.target)] >= HEIGHT[folder(module)]
    ]
    assert wrong == [], f"{module} imports from beside or above itself"


@pytest.mark.parametrize("module", OWN)
def test_nothing_knows_a_plugin_of_ours(module: str) -> None:
    """They register through their entry points, as a stranger's do."""
    text = source.modules()[module].read_text()
    assert [name for name in source.plugin_packages() if re.search(rf"\b{name}\b", text)] == []


@pytest.mark.parametrize("module", OF_PLUGINS)
def test_plugins_import_public_modules_and_never_one_another(module: str) -> None:
    wrong = [
        f"line {found.line}: {found.target}"
        for found in source.imports(module)
        if not _is_allowed_in_plugin(module, found.target)
    ]
    assert wrong == []


def _is_allowed_in_plugin(module: str, target: str) -> bool:
    """A plugin's `commands` module is part of the command line, and may use all that is public."""
    package = module.split(".", maxsplit=1)[0]
    highest = HEIGHT["cli"] if module == f"{package}.commands" else HIGHEST_FOR_PLUGINS
    top, *rest = target.split(".")
    if top == "isolate":
        private = any(part.startswith("_") for part in rest)
        return not private and HEIGHT[folder(target)] <= highest
    return top == package or not top.startswith("isolate_")


def test_no_import_cycles() -> None:
    graph = {
        module: {
            found.target
            for found in source.imports(module)
            if found.at_module_level and found.target in source.modules()
        }
        for module in source.modules()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]), pytrace=False)


def test_no_relative_imports_hide_from_this_test() -> None:
    relative = [
        name
        for name, path in source.modules().items()
        if re.search(r"^\s*from \.", path.read_text(), re.MULTILINE)
    ]
    assert relative == []
