"""The API for asyncio: the same functions, awaited; a cancelled one ends its program."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from isolate.api.run import DEFAULT_BACKEND, Call

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Unpack

    from isolate.api.options import Options
    from isolate.api.result import Result

__all__ = ["run"]


async def run(
    args: Sequence[str],
    *,
    backend: str = DEFAULT_BACKEND,
    timeout: float | None = None,  # noqa: ASYNC109 - the program's, enforced by the kernel
    stdin: bytes = b"",
    capture: bool = True,
    id: str | None = None,
    root: str | None = None,
    **options: Unpack[Options],
) -> Result:
    """As `isolate.run`, without blocking the event loop.

    Cancelling it kills every process of the container and waits until nothing is left.
    """
    call = await asyncio.to_thread(
        Call,
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
        waiting = asyncio.get_running_loop().run_in_executor(None, call.wait)
        try:
            return await asyncio.shield(waiting)
        except asyncio.CancelledError:
            call.cancel()
            await asyncio.wait([waiting])
            waiting.exception()  # the cancelled run's result is nobody's
            raise
