"""The project's own modules and what each imports, read from the source without running it."""

from __future__ import annotations

import ast
import functools
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PLUGINS = ROOT / "plugins"


class Import(NamedTuple):
    """One import: the module that is loaded, its line, and whether loading the importer does it."""

    target: str
    line: int
    at_module_level: bool


@functools.cache
def modules() -> dict[str, Path]:
    """Every module of `isolate` and of the plugins in this repository, by its dotted name."""
    found = {}
    for base, pattern in ((ROOT, "isolate/**/*.py"), (PLUGINS, "isolate_*/**/*.py")):
        for path in sorted(base.glob(pattern)):
            parts = path.relative_to(base).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@functools.cache
def imports(module: str) -> tuple[Import, ...]:
    """What a module imports, but for what only the type checker sees."""
    tree = ast.parse(modules()[module].read_text(), str(modules()[module]))
    return tuple(_walk(tree.body, at_module_level=True))


def plugin_packages() -> list[str]:
    """The folders of `plugins/` that are packages."""
    return sorted(path.parent.name for path in PLUGINS.glob("isolate_*/__init__.py"))


def _walk(body: list[ast.stmt], *, at_module_level: bool) -> Iterator[Import]:
    for statement in body:
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                yield Import(alias.name, statement.lineno, at_module_level)
        elif isinstance(statement, ast.ImportFrom):
            for target in _targets(statement):
                yield Import(target, statement.lineno, at_module_level)
        elif isinstance(statement, ast.If) and _is_type_checking(statement.test):
            yield from _walk(statement.orelse, at_module_level=at_module_level)
        else:
            inner = isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef)
            yield from _walk(_blocks(statement), at_module_level=at_module_level and not inner)


def _blocks(statement: ast.stmt) -> list[ast.stmt]:
    """The statements directly inside a compound statement, of whatever kind."""
    direct = [child for child in ast.iter_child_nodes(statement) if isinstance(child, ast.stmt)]
    nested = [
        inner
        for child in ast.iter_child_nodes(statement)
        if isinstance(child, ast.ExceptHandler | ast.match_case)
        for inner in child.body
    ]
    return direct + nested


def _targets(statement: ast.ImportFrom) -> set[str]:
    """`from package import name` loads package.name where that is a module, else package."""
    module = statement.module or ""
    names = {f"{module}.{alias.name}" for alias in statement.names}
    submodules = names & modules().keys()
    return submodules | ({module} if names - submodules else set())


def _is_type_checking(test: ast.expr) -> bool:
    name = test.id if isinstance(test, ast.Name) else getattr(test, "attr", "")
    return name == "TYPE_CHECKING"
