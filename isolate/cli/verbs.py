"""Registers every verb on the full command line, in the order of the help."""

from isolate.cli import (  # isort: skip - the order of the help
    run_command,
    lifecycle,
    ps,
    inspect,
    logs,
    events,
    kill,
    delete,
    gc,
    backends,
    doctor,
    schema,
    spec,
    version,
)

__all__ = [
    "backends",
    "delete",
    "doctor",
    "events",
    "gc",
    "inspect",
    "kill",
    "lifecycle",
    "logs",
    "ps",
    "run_command",
    "schema",
    "spec",
    "version",
]
