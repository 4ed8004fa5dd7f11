"""`isolate schema`."""

from __future__ import annotations

from isolate.cli.app import app
from isolate.cli.output import print_json


@app.command()
def schema() -> None:
    """Print the JSON Schema of the spec."""
    from isolate.spec.schema import schema as spec_schema

    print_json(spec_schema())
