"""Registers every verb on the full command line, in the order of the help."""

from isolate.cli import (  # isort: skip - the order of the help
    run_command,
    lifecycle,
    exec,  # noqa: A004 - the verb's name
    ps,
    inspect,
    logs,
    events,
    kill,
    delete,
    gc,
    backends,
    doctor,
    verify,
    schema,
    spec,
    version,
)

__all__ = [
    "backends",
    "delete",
    "doctor",
    "events",
    "exec",
    "gc",
    "inspect",
    "kill",
    "lifecycle",
    "logs",
    "ps",
    "run_command",
    "schema",
    "spec",
    "verify",
    "version",
]
