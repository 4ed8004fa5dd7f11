"""The inside half as one text: the driver, the modules of the attempts, what they import."""

from __future__ import annotations

import ast
import importlib.util
import json
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

from isolate.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DRIVER = "isolate.probe.inside.driver"


def driver() -> str:
    """The program text of the driver."""
    return _source(DRIVER)


def plan(attempts: Sequence[dict[str, Any]], mark: str) -> bytes:
    """A line that the driver reads: the attempts (`call`, `arguments`, `seconds`, and `hold` where
    its child is to stay until the next line), and their modules.

    `mark` begins each line of its answers, so that nothing else is taken for one.
    Raises PluginError where a module imports what there isn't inside.
    """
    modules: dict[str, str] = {}
    for attempt in attempts:
        _collect(attempt["call"].partition(":")[0], modules)
    document = {"mark": mark, "modules": list(modules.items()), "attempts": list(attempts)}
    return json.dumps(document).encode() + b"\n"


def _collect(name: str, modules: dict[str, str]) -> None:
    """Add a module's text, after that of the modules it imports."""
    if name in modules:
        return
    source = _source(name)
    for imported in _imports(name, source):
        if imported.partition(".")[0] not in sys.stdlib_module_names:
            _collect(imported, modules)
    modules[name] = source


@cache
def _source(name: str) -> str:
    try:
        found = importlib.util.find_spec(name)
    except ImportError:
        found = None
    if found is None or not found.origin or not found.origin.endswith(".py"):
        raise PluginError(
            f"{name}: has no Python source to be carried inside",
            hint="attempts import the standard library and modules like their own",
        )
    with open(found.origin, encoding="utf-8") as file:
        return file.read()


def _imports(name: str, source: str) -> Iterator[str]:
    """The modules that a module imports when it runs, not those for its type checker."""
    for node in _running(ast.parse(source, name)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names if _is_package(node.module) else ():
                yield f"{node.module}.{alias.name}"
            if not _is_package(node.module):
                yield node.module


@cache
def _is_package(name: str) -> bool:
    """Whether what is imported from it are modules; the standard library's need no such care."""
    if name.partition(".")[0] in sys.stdlib_module_names:
        return False
    found = importlib.util.find_spec(name)
    return found is not None and found.submodule_search_locations is not None


def _running(node: ast.AST) -> Iterator[ast.AST]:
    """Every node below, but for blocks `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        yield child
        yield from _running(child)
