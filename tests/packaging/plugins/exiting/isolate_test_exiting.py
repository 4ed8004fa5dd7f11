"""A plugin that prints and exits at import."""

from __future__ import annotations

import sys

print("noise on stdout")
sys.exit(0)
