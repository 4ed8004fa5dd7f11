"""The page of the plugin interface: entry points, hooks, the Backend class and its value types."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from generator.markdown import cell, code, prose, signature, table
from isolate import hookspecs
from isolate.backend import API_VERSION, Backend, types
from isolate.plugins import Registry
from isolate.spec.record import Record
from isolate.state import undo
from isolate.state.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_INTRODUCTION = """\
# The plugin interface

Version {version}, the `api_version` of a backend's class; a backend of another version is refused
with a clear error. A backend of a third party is a first-class one: the two that come with isolate
register in the same way.

```toml title="pyproject.toml"
[project.entry-points.{group}]
jail = "isolate_jail.plugin"
```

```python title="isolate_jail/plugin.py"
from isolate import hookimpl


@hookimpl
def isolate_register_backends(registry):
    registry.add("jail", "isolate_jail.backend:JailBackend")
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

"""

_ORDER = """\

The runtime calls `check`, `capabilities`, `create`, `receipt`, `start`, `wait`, `usage` and
`delete`, in this order; `kill` and `status` at any time, also from another process, which has
nothing but the handle.
"""


def plugin_page() -> str:
    """The reference of the plugin interface."""
    introduction = _INTRODUCTION.format(
        version=API_VERSION, group=hookspecs.GROUP, observers=hookspecs.OBSERVERS
    )
    return "\n".join(
        [
            introduction,
            *_hooks(),
            f"### Registry.add\n\n{_function(Registry.add, 'add')}\n",
            f"## Backend\n\n{prose(Backend)}\n{_ORDER}",
            *_methods(),
            "## Value types\n",
            f"### Context\n\n{prose(types.Context)}\n",
            *_records(),
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
        abstract = name in Backend.__abstractmethods__
        kind = "Every backend has it." if abstract else "Optional."
        yield f"### Backend.{name}\n\n{_function(method, name)}\n\n{kind}\n"


def _records() -> Iterator[str]:
    for name, record in vars(types).items():
        if isinstance(record, type) and issubclass(record, Record) and record is not Record:
            rows = [
                [code(key), "required" if described.required else "", cell(described.doc)]
                for key, described in record.FIELDS.items()
            ]
            yield f"### {name}\n\n{prose(record)}\n\n{table(['Field', '', 'Meaning'], rows)}"


def _kinds() -> str:
    """The kinds of entries, from the module that undoes them."""
    return (undo.__doc__ or "").partition("\n")[2].strip() + "\n"
