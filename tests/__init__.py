"""The tests; they mirror the source (CONTRIBUTING.md)."""
