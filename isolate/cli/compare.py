"""`isolate compare`, `compare show`, `compare diff`: properties and costs of the backends here."""

from __future__ import annotations

import secrets
import shlex
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isolate.cli.app import app
from isolate.cli.output import print_json, print_table
from isolate.compare.render import FORMATS, format_of, render
from isolate.errors import IsolateError

if TYPE_CHECKING:
    from isolate.compare.document import Comparison

group = typer.Typer(rich_markup_mode=None, invoke_without_command=True)
app.add_typer(group, name="compare")

FormatOption = Annotated[
    str | None,
    typer.Option("--format", help=f"{', '.join(FORMATS)}; none said: table.", metavar="FORMAT"),
]
OutputOption = Annotated[
    str | None,
    typer.Option(
        "--output", "-o", help="Write to FILE, in the format of its suffix.", metavar="FILE"
    ),
]
FileArgument = Annotated[str, typer.Argument(help="A saved comparison.", metavar="FILE.json")]


@group.callback()
def compare(
    context: typer.Context,
    *,
    backends: Annotated[
        str | None,
        typer.Option(
            "--backends", help="Only these; none said: all that work.", metavar="A,B,...|all"
        ),
    ] = None,
    rootfs: Annotated[
        str, typer.Option("--rootfs", help="Root filesystem of all.", metavar="SOURCE")
    ] = "base",
    spec: Annotated[
        str | None, typer.Option("--spec", help="Spec file that all get.", metavar="FILE")
    ] = None,
    properties: Annotated[bool, typer.Option("--properties", help="Run the probes.")] = False,
    overhead: Annotated[bool, typer.Option("--overhead", help="Measure the costs.")] = False,
    ablate: Annotated[
        bool,
        typer.Option("--ablate", help="Probe without each layer of defence; price it."),
    ] = False,
    workload: Annotated[
        str | None,
        typer.Option("--workload", help="Measure this program too.", metavar="CMD"),
    ] = None,
    blocks: Annotated[
        int | None,
        typer.Option("--blocks", help="Trials of each; none: 30 and more.", metavar="N", min=1),
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option("--budget", help="No new block after so long.", metavar="SECONDS", min=0),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", help="Of the order of the trials.", metavar="N", min=0),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer metrics and blocks: about a minute.")
    ] = False,
    save: Annotated[
        str | None, typer.Option("--save", help="Keep everything as JSON.", metavar="FILE.json")
    ] = None,
    output: OutputOption = None,
    format: FormatOption = None,  # noqa: A002 - the option's name
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of what --save writes.")
    ] = False,
) -> None:
    """Prove what each backend isolates here, and measure what it costs, side by side.

    Without --properties, --overhead, --ablate or --workload: the properties and the overhead.
    """
    if context.invoked_subcommand is not None:
        return
    if schema:
        from isolate.compare.file import schema as document_schema

        print_json(document_schema())
        return
    _check_outputs(output, format)
    from isolate.cli.progress import Bar
    from isolate.compare.comparison import INTERRUPTED
    from isolate.compare.comparison import compare as run
    from isolate.compare.file import save as save_document

    request = _request(
        parts=_parts(properties=properties, overhead=overhead or bool(workload), ablate=ablate),
        backends=None if backends in (None, "all") else _words(backends),
        root=rootfs,
        document=_document(spec),
        workload=shlex.split(workload or ""),
        blocks=blocks,
        budget=budget,
        seed=secrets.randbelow(2**32) if seed is None else seed,
        quick=quick,
    )
    with Bar() as bar:
        found = run(request, bar)
    if save:
        save_document(found, save)
    _put(found, output, format)
    if INTERRUPTED in found.warnings:
        raise typer.Exit(130)
    if any(row.failure for row in found.backends):
        raise typer.Exit(1)


def _request(**values: Any) -> Any:
    from isolate.compare.comparison import Request

    return Request(**values, command=["isolate", *sys.argv[1:]])


def _parts(*, properties: bool, overhead: bool, ablate: bool) -> frozenset[str]:
    from isolate.compare import comparison

    asked = {
        comparison.PROPERTIES: properties,
        comparison.OVERHEAD: overhead,
        comparison.ABLATE: ablate,
    }
    chosen = frozenset(name for name, wanted in asked.items() if wanted)
    return chosen or frozenset((comparison.PROPERTIES, comparison.OVERHEAD))


def _words(text: str | None) -> list[str]:
    return [word.strip() for word in (text or "").split(",") if word.strip()]


def _document(path: str | None) -> dict[str, Any]:
    """The spec document of a file, checked. Raises SpecError."""
    if path is None:
        return {}
    from isolate.spec.load import read_document
    from isolate.spec.model import Spec

    document = read_document(path)
    Spec.build(document, "")
    return document


def _check_outputs(output: str | None, format: str | None) -> None:  # noqa: A002 - the option's name
    """Refuse a format that there isn't before an hour is spent."""
    if format is not None and format not in FORMATS:
        raise IsolateError(
            f"--format: {format!r} is no format", hint=f"allowed: {', '.join(FORMATS)}"
        )
    if output is not None and format is None:
        format_of(output)


def _put(found: Comparison, output: str | None, format: str | None) -> None:  # noqa: A002 - as above
    """Print the document, or write it."""
    from isolate.compare.file import write

    if output is None:
        color = sys.stdout.isatty()
        sys.stdout.write(render(found, format or "table", color=color))
        return
    write(render(found, format or format_of(output)), output)


@group.command()
def show(
    file: FileArgument,
    *,
    output: OutputOption = None,
    format: FormatOption = None,  # noqa: A002 - as above
) -> None:
    """Print a saved comparison; nothing is measured."""
    from isolate.compare.file import load

    _check_outputs(output, format)
    _put(load(file), output, format)


@group.command()
def diff(
    old: Annotated[str, typer.Argument(help="A saved comparison.", metavar="OLD.json")],
    new: Annotated[str, typer.Argument(help="A later one.", metavar="NEW.json")],
    *,
    fail_on: Annotated[
        str | None,
        typer.Option(
            "--fail-on",
            help="Exit with 1 for a probe that is newly exposed, a cost that rose by more.",
            metavar="exposed,slower:5%",
        ),
    ] = None,
) -> None:
    """Say which verdicts and which costs changed between two saved comparisons."""
    from isolate.compare.diff import Difference, Gate, sections
    from isolate.compare.file import load

    gate = Gate(fail_on or "")
    found = Difference(load(old), load(new))
    tables = [section for section in sections(found) if section[2]]
    for title, headers, rows in tables:
        typer.echo(title)
        print_table(headers, rows)
        typer.echo()
    if not tables:
        typer.echo("no verdict and no cost changed")
    failures = gate.failures(found)
    for line in failures:
        typer.echo(f"FAIL: {line}")
    if failures:
        raise typer.Exit(1)
