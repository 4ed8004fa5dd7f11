"""`isolate run`: the hot path, from the command line to the program's exit status."""

from __future__ import annotations

import errno
import os
import sys

from isolate.cli import flags
from isolate.errors import EXIT_FAILURE, IsolateError, SpecError, UnsupportedError
from isolate.spec.model import Spec
from isolate.spec.record import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from isolate.backend.base import Backend
    from isolate.backend.types import Plan
    from isolate.runtime.result import Result

DEFAULT_BACKEND = "namespaces"
# Descriptors of the process and of the host, memory, processes.
_USED_UP = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)
_LATER = "leave --detach out; `isolate inspect` shows what is kept of a detached one"


def command(values: dict[str, Any]) -> int:
    """Run what the options say; the exit status of the command line."""
    from isolate.runtime.run import run
    from isolate.runtime.stores import open_store

    spec, backend = prepare(values)
    if values.get("dry_run"):
        print_plan(backend.explain(spec), sys.stdout)
        return 0
    store = open_store(values.get("root"))
    if values.get("detach"):
        from isolate.supervisor.launch import run_detached

        if "result_json" in values:
            raise SpecError("--result-json", "is for a run that is waited for", hint=_LATER)
        print(run_detached(store, backend, spec, values))
        return 0
    for flag in ("restart", "log_size"):
        if flag in values:
            name = "--" + flag.replace("_", "-")
            raise SpecError(name, "is for containers in the background", hint="add --detach")
    if "result_json" not in values:
        result = run(backend, spec, store, id=values.get("name"))
    else:
        from isolate.cli import result_file

        result_file.check(values["result_json"])
        result = run(backend, spec, store, id=values.get("name"))
        result_file.write(result, values["result_json"])
    _say_what_ended_it(result)
    return result.exit_status


def prepare(values: dict[str, Any]) -> tuple[Spec, Backend]:
    """The spec and the backend that the options name. Raises IsolateError."""
    from isolate.plugins import load

    name = values.get("backend") or os.environ.get("ISOLATE_BACKEND")
    spec = build_spec(values, name or DEFAULT_BACKEND)
    if name is None and spec.require:
        name = _backend_that_can(spec)
    if not spec.process.args:
        raise SpecError("process.args", "no program is given", hint="put it after --")
    backend = load(name or DEFAULT_BACKEND)
    backend.validate(spec)
    return spec, backend


def build_spec(values: dict[str, Any], backend: str) -> Spec:
    """The spec of a file, overridden by flags; both build the same object."""
    document = flags.document(values, backend)
    if "spec" in values:
        from isolate.spec.load import merge, read_document

        document = merge(read_document(values["spec"]), document)
    return Spec.build(document, "")


def _backend_that_can(spec: Spec) -> str:
    """The first usable backend that has what `--require` asks for: the catalogue is in order of
    cost."""
    from isolate.backend.features import required
    from isolate.runtime.refusal import able_backends

    able = able_backends(required(spec))
    if not able:
        raise UnsupportedError(
            f"no backend here has {', '.join(spec.require)}",
            hint="`isolate backends` lists what each has",
        )
    return DEFAULT_BACKEND if DEFAULT_BACKEND in able else able[0]


def print_plan(plan: Plan, out: Any) -> None:
    """A plan, a line a step."""
    for number, step in enumerate(plan.steps, 1):
        out.write(f"{number:3}  {step.name}: {step.what}\n")
    for feature in plan.unsupported:
        out.write(f"  !  {feature}: can't be honoured here\n")
    out.flush()  # here, so that a reader that went away is noticed while it can be said


def _say_what_ended_it(result: Result) -> None:
    """One line where something other than the program itself ended it."""
    if result.timed_out:
        say_error("the time limit ended the program", "a longer one: --timeout SECONDS")
    elif result.output_exceeded:
        say_error("the output limit ended the program", "a larger one: --max-output SIZE")
    elif result.usage.oom_killed:
        say_error("the memory limit was exceeded (OOM)", "a larger one: --memory SIZE")


def say_used_up(error: Exception) -> bool:
    """Tell of an error that only says that the host or the caller gives isolate too little of
    something; whether it is one."""
    if isinstance(error, MemoryError):
        what = "memory"
    elif isinstance(error, OSError) and error.errno in _USED_UP:
        what = f"resources: {error.strerror}"
    else:
        return False
    say_error(f"isolate itself ran out of {what}", "see ulimit -a; then `isolate gc`")
    return True


def say_error(message: str, hint: str | None) -> None:
    """The two lines of an error on standard error."""
    sys.stderr.write(f"error: {printable(message)}\n")
    if hint:
        sys.stderr.write(f"hint: {printable(hint)}\n")


def main(words: list[str]) -> int | None:
    """The fast way in. None where the full parser must take over, for help and for errors."""
    from isolate.cli.options import UnrecognisedError, parse

    try:
        values = parse(words)
    except UnrecognisedError:
        return None
    return guarded(values)


def guarded(values: dict[str, Any]) -> int:
    """`command`, with expected failures as two lines and an exit status."""
    try:
        return command(values)
    except IsolateError as error:
        say_error(error.message, error.hint)
        return error.exit_status
    except KeyboardInterrupt:
        return 128 + 2
    except BrokenPipeError:  # the plan's reader went away
        sys.stdout = None  # nothing is left to flush to
        return 128 + 13
    except (MemoryError, OSError) as error:
        if not say_used_up(error):
            raise
        return EXIT_FAILURE
