"""An entry point whose module is not there."""

from __future__ import annotations
