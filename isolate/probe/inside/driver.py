"""The driver: takes modules and attempts from standard input, writes a line of JSON for each.

It is executed as text (`python -c`), by whatever Python the container has. Each attempt runs in a
forked child with an alarm, so that one that dies, hangs or changes itself costs only itself.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import types


def main() -> None:
    """Run every attempt in order."""
    plan = json.load(sys.stdin)
    for name, source in plan["modules"]:
        _install(name, source)
    for attempt in plan["attempts"]:
        line = plan["mark"] + json.dumps(_in_child(attempt))
        os.write(1, line.encode() + b"\n")


def _install(name: str, source: str) -> None:
    """Make a module importable under its name, its packages too."""
    packages = name.split(".")[:-1]
    for end in range(1, len(packages) + 1):
        _add(".".join(packages[:end]))
    module = _add(name)
    exec(compile(source, name, "exec"), module.__dict__)  # noqa: S102 - it is the harness's own


def _add(name: str) -> types.ModuleType:
    if name not in sys.modules:
        sys.modules[name] = types.ModuleType(name)
        parent, _, last = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], last, sys.modules[name])
    return sys.modules[name]


def _in_child(attempt: dict[str, object]) -> dict[str, object]:
    """What one attempt came to; see `isolate.probe.model.Answer`."""
    reader, writer = os.pipe()
    seconds = int(str(attempt["seconds"]))
    try:
        pid = os.fork()
    except OSError as error:
        os.close(writer)
        os.close(reader)
        return {"fault": f"fork: {error}"}
    if pid == 0:
        os.close(reader)
        _answer(attempt, seconds, writer)
    os.close(writer)
    said = _read(reader, seconds + 2)
    if said is None:
        os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    os.close(reader)
    if said:
        found: dict[str, object] = json.loads(said)
        return found
    return _ended(status)


def _ended(status: int) -> dict[str, object]:
    if not os.WIFSIGNALED(status):
        return {"fault": f"it ended with exit code {os.WEXITSTATUS(status)}"}
    number = os.WTERMSIG(status)
    late = number in (signal.SIGALRM, signal.SIGKILL)
    return {
        "signal": int(number),
        "fault": "no answer in time" if late else f"killed by signal {number}",
    }


def _answer(attempt: dict[str, object], seconds: int, writer: int) -> None:
    """In the child: call the function, tell what it returned, and end."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(seconds)
    module, _, name = str(attempt["call"]).partition(":")
    try:
        value = getattr(sys.modules[module], name)(**dict(attempt["arguments"]))  # type: ignore[call-overload]  # JSON
        said = {"value": value}
    except OSError as error:
        said = {"errno": error.errno or 0, "fault": str(error)}
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is the answer
        said = {"fault": f"{type(error).__name__}: {error}"}
    data = json.dumps(said).encode()
    while data:
        data = data[os.write(writer, data) :]
    os._exit(0)


def _read(reader: int, seconds: int) -> bytes | None:
    """All that the child says until it closes the pipe; None where that takes too long.

    A child of the child may hold the pipe open; what has been said by then counts.
    """
    data = b""
    while select.select([reader], [], [], seconds)[0]:
        part = os.read(reader, 65536)
        if not part:
            return data
        data += part
    return data or None


if __name__ == "__main__":
    main()
