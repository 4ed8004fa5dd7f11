"""`isolate version`."""

from __future__ import annotations

import platform

from isolate.cli.app import JsonOption, app
from isolate.cli.output import print_json


@app.command()
def version(*, json: JsonOption = False) -> None:
    """Print the versions of isolate, Python and the kernel."""
    from isolate import __version__

    found = {
        "isolate": __version__,
        "python": platform.python_version(),
        "kernel": platform.release(),
    }
    if json:
        print_json(found)
    else:
        print(", ".join(f"{name} {number}" for name, number in found.items()))
