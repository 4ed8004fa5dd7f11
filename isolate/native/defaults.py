"""The defaults of `isolate.spec.defaults`, where native backends look for them."""

from isolate.spec.defaults import (
    DEV_BYTES,
    DEVICE_LINKS,
    DEVICE_RULES,
    DEVICES,
    HIDDEN_OF_HOST,
    MASKED_PATHS,
    PIDS,
    READONLY_PATHS,
    SHM_BYTES,
)

__all__ = [
    "DEVICES",
    "DEVICE_LINKS",
    "DEVICE_RULES",
    "DEV_BYTES",
    "HIDDEN_OF_HOST",
    "MASKED_PATHS",
    "PIDS",
    "READONLY_PATHS",
    "SHM_BYTES",
]
