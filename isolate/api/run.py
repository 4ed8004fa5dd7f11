"""`isolate.run`: one program in a container, to its end."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from isolate.api.options import make_spec
from isolate.api.program import Running
from isolate.api.result import from_json
from isolate.api.streams import Streams
from isolate.helper.client import HELPER, answer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Unpack

    from isolate.api.options import Options
    from isolate.api.result import Result

DEFAULT_BACKEND = "namespaces"
CAPTURED = 16 << 20  # bytes of output kept in memory, unless `max_output` says otherwise


def run(
    args: Sequence[str],
    *,
    backend: str = DEFAULT_BACKEND,
    timeout: float | None = None,
    stdin: bytes = b"",
    capture: bool = True,
    id: str | None = None,
    root: str | None = None,
    **options: Unpack[Options],
) -> Result:
    r"""Run a program in a fresh container and wait for its end.

    Args:
        args: the program and its arguments; the program is found by PATH inside.
        backend: the isolation technology; `isolate backends` lists them.
        timeout: seconds; then every process of the container is killed.
        stdin: what the program reads.
        capture: collect what it writes, at most 16 MiB unless `max_output` says otherwise (one
            byte more ends it); else its output goes where this program's goes.
        id: the container's id; none is a random one.
        root: the state directory.
        options: everything else that a spec says; see `isolate.api.options.Options`.

    Raises IsolateError where the container can't be made or the program can't be executed. A
    program that fails is no error here: see `Result.check`.

    >>> run(["echo", "hello"]).stdout
    b'hello\n'
    >>> run(["sh", "-c", "exit 3"], memory="64M").exit_code
    3
    """
    call = Call(
        args,
        options,
        backend=backend,
        timeout=timeout,
        stdin=stdin,
        capture=capture,
        id=id,
        root=root,
    )
    with call:
        return call.wait()


class Call(Running):
    """A running `run`."""

    def __init__(
        self,
        args: Sequence[str],
        options: Any,
        *,
        backend: str,
        timeout: float | None,
        stdin: bytes,
        capture: bool,
        id: str | None,
        root: str | None,
    ) -> None:
        if capture and "max_output" not in options:
            options = {**options, "max_output": CAPTURED}
        spec = make_spec(args, timeout, options)
        document = {
            "kind": "run",
            "backend": backend,
            "spec": spec.to_dict(),
            "id": id or f"run-{secrets.token_hex(6)}",
            "root": root,
        }
        streams = Streams(stdin, capture=capture)
        try:
            reply = HELPER.request(document, streams.given)
        except BaseException:
            streams.close()
            raise
        streams.close_given()
        super().__init__(streams, reply)

    def wait(self) -> Result:
        """Serve the streams until the answer is there."""
        self._streams.serve(self._reply)
        return from_json(answer(self._reply), *self._streams.collected())
