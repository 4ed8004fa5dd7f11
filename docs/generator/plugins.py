"""The page of the plugin interface: entry points, hooks, the Backend class and its value types."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from generator.markdown import cell, code, prose, signature, table
from isolate import hookspecs
from isolate.backend import API_VERSION, Backend, abilities, types
from isolate.plugins import Registry
from isolate.spec.record import Record
from isolate.state import undo
from isolate.state.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

_INTRODUCTION = """\
# The plugin interface

Version {version}, which a backend's class writes down as its `api_version`; one that is made for
another version is reported and not loaded. A backend of a third party is a first-class one: those
that come with isolate register in the same way. `isolate plugin new NAME` writes a package to begin
with, and [a tutorial](../tutorial/write-a-backend.md) builds a backend from it.

```toml title="pyproject.toml"
[project.entry-points.{group}]
box = "isolate_box.plugin"
```

```python title="isolate_box/plugin.py"
from isolate import hookimpl


@hookimpl
def isolate_register_backends(registry):
    registry.add("box", "isolate_box.backend:BoxBackend")
```

A plugin that can't be imported, that raises or that ends the interpreter breaks itself alone:
`isolate backends` lists it as broken, with the reason and its distribution. What it prints goes to
standard error. When two distributions register one name neither wins: `DISTRIBUTION:NAME` says
which is meant.

## Hooks

| Entry-point group | For |
| --- | --- |
| `{group}` | modules that register backends, probes or metrics |
| `{observers}` | modules that observe containers |
| `{commands}` | verbs of the command line: functions with the annotations of typer |

"""

_ORDER = """\

The runtime calls `check`, `capabilities`, `create`, `receipt`, `start`, `wait`, `usage` and
`delete`, in this order; `kill` and `status` at any time, also from another process, which has
nothing but the handle.
"""

_ABILITIES = """\
What a backend may be able to do besides. Its class inherits from those that it has, beside
`Backend`; all take the handle that `create` gave. The runtime refuses with one clear error what a
backend lacks. `isolate.native.backend.NativeBackend` has all of them.
"""


def plugin_page() -> str:
    """The reference of the plugin interface."""
    introduction = _INTRODUCTION.format(
        version=API_VERSION,
        group=hookspecs.GROUP,
        observers=hookspecs.OBSERVERS,
        commands=hookspecs.COMMANDS,
    )
    return "\n".join(
        [
            introduction,
            *_hooks(),
            f"### Registry.add\n\n{_function(Registry.add, 'add')}\n",
            f"## Backend\n\n{prose(Backend)}\n{_ORDER}",
            *_methods(),
            f"## Abilities\n\n{_ABILITIES}",
            *_abilities(),
            "## Value types\n",
            f"### Context\n\n{prose(types.Context)}\n",
            f"### ExecContext\n\n{prose(abilities.ExecContext)}\n",
            *_records(types),
            *_records(abilities),
            "## The journal\n",
            f"{_function(Journal.record, 'context.journal.record')}\n",
            _kinds(),
        ]
    )


def _hooks() -> Iterator[str]:
    for name, hook in vars(hookspecs).items():
        if hasattr(hook, "isolate_spec"):
            yield f"### {name}\n\n{_function(hook, name)}\n"


def _function(function: Callable[..., object], name: str) -> str:
    return f"```python\n{signature(function, name)}\n```\n\n{prose(function)}"


def _methods() -> Iterator[str]:
    for name, method in vars(Backend).items():
        if name.startswith("_") or not inspect.isfunction(method):
            continue
        kind = "Every backend has it." if name in Backend.__abstractmethods__ else "Optional."
        yield f"### Backend.{name}\n\n{_function(method, name)}\n\n{kind}\n"


def _abilities() -> Iterator[str]:
    for name, ability in vars(abilities).items():
        if inspect.isabstract(ability):
            yield f"### {name}\n\n{prose(ability)}\n"
            for method in sorted(ability.__abstractmethods__):
                yield f"#### {name}.{method}\n\n{_function(getattr(ability, method), method)}\n"


def _records(module: ModuleType) -> Iterator[str]:
    for name, record in vars(module).items():
        if isinstance(record, type) and issubclass(record, Record) and record is not Record:
            rows = [
                [code(key), "required" if described.required else "", cell(described.doc)]
                for key, described in record.FIELDS.items()
            ]
            yield f"### {name}\n\n{prose(record)}\n\n{table(['Field', '', 'Meaning'], rows)}"


def _kinds() -> str:
    """The kinds of entries, from the module that undoes them."""
    return (undo.__doc__ or "").partition("\n")[2].strip() + "\n"
