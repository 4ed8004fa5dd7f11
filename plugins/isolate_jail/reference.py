"""The reference page of the parameters, generated from their table: `python -m` this module."""

from __future__ import annotations

import sys

from isolate_jail.parameters import rows

_HEAD = """# Jail parameters

What of jail(8) the `jail` backend has on Linux, and what enforces it. Generated from the table in
`plugins/isolate_jail/parameters.py`.

**U** works without root, **R** needs root, **X** is refused with an error and never pretended.
A name in `isolate run --backend=jail -o NAME=VALUE` is the same as in jail.conf(5). Where a default
differs from FreeBSD's it is the safer one, and the last column says so.

| parameter | | default | how |
|---|---|---|---|
"""


def page() -> str:
    """The whole page, in Markdown."""
    lines = [f"| `{name}` | {mark} | {default} | {how} |" for name, mark, how, default in rows()]
    return _HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
