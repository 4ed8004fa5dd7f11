"""Registers every verb on the full command line, in the order of the help."""

from isolate.cli import backends, delete, doctor, gc, inspect, kill, ps, schema, version

__all__ = ["backends", "delete", "doctor", "gc", "inspect", "kill", "ps", "schema", "version"]
