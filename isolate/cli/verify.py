"""`isolate verify`: whether a backend does what it claims, and what every backend must."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from isolate.cli.app import JsonOption, app
from isolate.cli.output import print_json
from isolate.errors import HostError, IsolateError
from isolate.spec.record import printable

if TYPE_CHECKING:
    from isolate.testing.verify import Row

_WORDS = {"pass": "PASS", "fail": "FAIL", "refused": "REFUSED", "skip": "SKIP"}


@app.command()
def verify(
    name: Annotated[str, typer.Argument(help="The backend.", metavar="NAME")],
    *,
    only: Annotated[
        str | None, typer.Option("--only", help="Only tests with it in their name.", metavar="TEXT")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Test a backend: what it claims is tried out, everything else must be refused."""
    from isolate.plugins import load
    from isolate.runtime.refusal import require_usable

    require_usable(load(name))
    rows = _run(name, only, quiet=json)
    counts = Counter(row.result for row in rows)
    if json:
        print_json(
            {
                "backend": name,
                "counts": {result: counts[result] for result in _WORDS},
                "results": [row.to_dict() for row in rows],
            }
        )
    else:
        typer.echo(_summary(name, rows, counts))
    if counts["fail"] or not rows:
        raise typer.Exit(1)


def _run(name: str, only: str | None, *, quiet: bool) -> list[Row]:
    try:
        from isolate.testing.verify import verify as run_suite
    except ModuleNotFoundError as error:
        if error.name != "pytest":
            raise
        raise HostError(
            "the contract suite needs pytest", hint="pip install 'isolate-runtime[testing]'"
        ) from None
    # pytest takes standard output for itself; the rows go where it led before.
    out = os.dup(1)

    def say(row: Row) -> None:
        if not quiet:
            os.write(out, f"{_line(row)}\n".encode(errors="backslashreplace"))

    try:
        rows = run_suite(name, say, only)
    finally:
        os.close(out)
    if not rows:
        raise IsolateError(f"no test of the contract has {printable(str(only))} in its name")
    return rows


def _line(row: Row) -> str:
    reason = f"\n         {printable(row.reason)}" if row.reason else ""
    return f"{_WORDS[row.result]:8} {printable(row.meaning)}{reason}"


def _summary(name: str, rows: list[Row], counts: Counter[str]) -> str:
    held = sum(row.feature is not None and row.result == "pass" for row in rows)
    others = counts["pass"] - held
    skipped = f", {counts['skip']} skipped" if counts["skip"] else ""
    verdict = "FAIL" if counts["fail"] else "PASS"
    return (
        f"\n{verdict}: {name}: {held} claimed features hold, {counts['refused']} are refused, "
        f"{others} other tests passed, {counts['fail']} failed{skipped}"
    )
