"""The container spec: frozen records, what their fields may hold, loading and dumping."""

from isolate.spec.model import (
    VIEWS,
    Device,
    Hook,
    Hooks,
    IdMap,
    IoMax,
    Limits,
    Mount,
    Network,
    Privileges,
    Process,
    Rlimit,
    Root,
    Spec,
)

__all__ = [
    "VIEWS",
    "Device",
    "Hook",
    "Hooks",
    "IdMap",
    "IoMax",
    "Limits",
    "Mount",
    "Network",
    "Privileges",
    "Process",
    "Rlimit",
    "Root",
    "Spec",
]
