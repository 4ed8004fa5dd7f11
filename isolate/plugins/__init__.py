"""Discovery of plugins: backends by name, and hooks through pluggy where no launch waits for it."""

from isolate.plugins.discovery import Entry, catalogue, load
from isolate.plugins.registry import Registry

__all__ = ["Entry", "Registry", "catalogue", "load"]
