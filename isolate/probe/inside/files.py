"""Attempts on files: reading what should not be there, leaving the root."""

from __future__ import annotations


def read(path: str) -> str:
    """What a file holds, at most 64 KiB of it."""
    with open(path, errors="replace") as file:
        return file.read(65536)
