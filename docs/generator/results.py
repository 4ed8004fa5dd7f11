"""The pages of the result and of the exit statuses."""

from __future__ import annotations

import inspect

from generator.markdown import cell, code, table
from isolate import errors
from isolate.backend.types import ReceiptRow, Usage
from isolate.runtime.result import Result

_RESULT_INTRODUCTION = """\
# The result

`isolate run --result-json FILE` writes one JSON object when the program has ended. The file
appears whole or not at all; `-` writes it to standard error. Every key is always there, and what
could not be measured is `null`, never 0. Where `isolate` itself failed there is no result: the
[exit status](exit-status.md) and the `error:` line say why.

"""

_RECEIPT = """\

## The receipt

`receipt` is a list of what the kernel enforced, read back from it while the container's first
process stood ready, confined as the program would be, and before the program began. A row that
doesn't hold ends the run with status 125, unless its feature was waived.

"""

_EXIT_INTRODUCTION = """\
# Exit status

## isolate run

| Status | Meaning |
| --- | --- |
| the program's own | the program ended by itself |
| 128 + N | signal N killed the program: 137 for SIGKILL, as on an out-of-memory kill |
"""

_MEANINGS = {
    errors.EXIT_TIMEOUT: "`--timeout` ran out; every process of the container was killed",
    errors.EXIT_FAILURE: "isolate failed or refused; the `error:` line says why",
    errors.EXIT_NOT_EXECUTABLE: "the program was found in the container, but can't be executed",
    errors.EXIT_NOT_FOUND: "the program was not found in the container",
}

_EXIT_REST = """\

A program may end with any of these itself; `--result-json` tells the cases apart, for it is
written only when the program ran. Where isolate fails or refuses, standard error has one line
`error: ...` and mostly a line `hint: ...` with the remedy. A traceback is a bug: please report it.

## The other commands

| Status | Meaning |
| --- | --- |
| 0 | done |
| 1 | failed; the `error:` line says why |
| 2 | the command line can't be understood |
| 130 | interrupted by Ctrl-C |
| 141 | the reader of the output went away |

## Errors

What a program that uses isolate's Python modules may catch. All derive from `IsolateError`, and
have `message`, `hint` and `exit_status`.

"""


def result_page() -> str:
    """The reference of the result."""
    document = Result(id="", backend="", wall_seconds=0.0).to_json()
    rows = [[code(key), _kind(key), cell(_doc(key))] for key in document]
    receipt = [
        [code(name), described.kind.allowed, cell(described.doc)]
        for name, described in ReceiptRow.FIELDS.items()
    ]
    headers = ["Key", "Holds", "Meaning"]
    return _RESULT_INTRODUCTION + table(headers, rows) + _RECEIPT + table(headers, receipt)


def _doc(key: str) -> str:
    fields = Usage.FIELDS if key in Usage.FIELDS else Result.FIELDS
    return fields[key].doc


def _kind(key: str) -> str:
    described = (Usage.FIELDS if key in Usage.FIELDS else Result.FIELDS)[key]
    words = {"receipt": "list of rows, see below", "waived": "list of features"}
    text = words.get(key, described.kind.allowed.partition(" from ")[0])
    return f"{text}, or `null`" if described.default is None else text


def exit_status_page() -> str:
    """The reference of the exit statuses and of the errors."""
    statuses = "".join(f"| {status} | {meaning} |\n" for status, meaning in _MEANINGS.items())
    classes = [
        one
        for _name, one in inspect.getmembers(errors, inspect.isclass)
        if issubclass(one, errors.IsolateError)
    ]
    rows = [
        [code(one.__name__), code(one.__mro__[1].__name__), cell(inspect.getdoc(one) or "")]
        for one in sorted(classes, key=lambda one: (len(one.__mro__), one.__name__))
    ]
    return (
        _EXIT_INTRODUCTION
        + statuses
        + _EXIT_REST
        + table(["Error", "Derived from", "Meaning"], rows)
    )
