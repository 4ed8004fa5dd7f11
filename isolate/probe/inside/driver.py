"""The driver: takes modules and attempts from standard input, writes a line of JSON for each.

It is executed as text (`python -c`), by whatever Python the container has. Each line of its input
is a plan (`isolate.probe.bundle`). Each attempt runs in a forked child with an alarm, so that one
that dies, hangs or changes itself costs only itself.

An attempt to be held is a generator function: what it yields is its answer, and its child stays as
it is until the next line of input, so that the host can look; then it is closed, and ends.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import types


def main() -> None:
    """Run every attempt of every plan in order."""
    while line := sys.stdin.readline():
        if not line.strip():  # it lets go of an attempt that has died meanwhile
            continue
        plan = json.loads(line)
        for name, source in plan["modules"]:
            _install(name, source)
        for attempt in plan["attempts"]:
            _run(attempt, plan["mark"])


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


def _run(attempt: dict[str, object], mark: str) -> None:
    """Run one attempt in a child, and print what it came to (`isolate.probe.model.Answer`)."""
    reader, writer = os.pipe()
    held, release = os.pipe()
    try:
        pid = os.fork()
    except OSError as error:
        for descriptor in (reader, writer, held, release):
            os.close(descriptor)
        _print(mark, {"fault": f"fork: {error}"})
        return
    if pid == 0:
        os.close(reader)
        os.close(release)
        _answer(attempt, writer, held)
    os.close(writer)
    os.close(held)
    said = _read(reader, _seconds(attempt) + 2)
    if said is None:
        os.kill(pid, signal.SIGKILL)
    if said:
        _print(mark, json.loads(said))
        if attempt.get("hold"):
            sys.stdin.readline()
    os.close(release)
    os.close(reader)
    status = os.waitpid(pid, 0)[1]
    if not said:
        _print(mark, _ended(status))


def _seconds(attempt: dict[str, object]) -> int:
    return int(str(attempt["seconds"]))


def _ended(status: int) -> dict[str, object]:
    if not os.WIFSIGNALED(status):
        return {"fault": f"it ended with exit code {os.WEXITSTATUS(status)}"}
    number = os.WTERMSIG(status)
    late = number in (signal.SIGALRM, signal.SIGKILL)
    return {
        "signal": int(number),
        "fault": "no answer in time" if late else f"killed by signal {number}",
    }


def _answer(attempt: dict[str, object], writer: int, held: int) -> None:
    """In the child: call the function, tell what it returned or yielded first, and end."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(_seconds(attempt))
    module, _, name = str(attempt["call"]).partition(":")
    going = None
    try:
        value = getattr(sys.modules[module], name)(**dict(attempt["arguments"]))  # type: ignore[call-overload]  # JSON
        going = value if isinstance(value, types.GeneratorType) else None
        said = {"value": next(going) if going else value}
    except OSError as error:
        said = {"errno": error.errno or 0, "fault": str(error)}
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is the answer
        said = {"fault": f"{type(error).__name__}: {error}"}
    data = json.dumps(said).encode() + b"\n"
    while data:
        data = data[os.write(writer, data) :]
    try:
        if going:
            os.read(held, 1)  # until the driver lets go
            going.close()
    finally:
        os._exit(0)


def _read(reader: int, seconds: int) -> bytes | None:
    """The line that the child says, nothing where it dies before; None where that takes too long.

    Its end isn't waited for: a child of the child may hold the pipe open.
    """
    data = b""
    while select.select([reader], [], [], seconds)[0]:
        part = os.read(reader, 65536)
        data += part
        if not part or data.endswith(b"\n"):
            return data if part else b""
    return None


def _print(mark: str, said: dict[str, object]) -> None:
    os.write(1, f"{mark}{json.dumps(said)}\n".encode())


if __name__ == "__main__":
    main()
