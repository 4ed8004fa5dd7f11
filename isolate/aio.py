"""The API for asyncio: the same functions, awaited; a cancelled one ends its program.

What blocks is done in threads: a program that runs costs one thread that sleeps.
"""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Generic, Protocol, Self, TypeVar

from isolate.api import pool, sandbox
from isolate.api.blueprint import Blueprint
from isolate.api.run import DEFAULT_BACKEND, Call
from isolate.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Unpack

    from isolate.api.options import Execution, Options, Settings
    from isolate.api.result import Completed, Result
    from isolate.backend.abilities import Stats
    from isolate.spec.model import Spec

__all__ = ["Pool", "Sandbox", "run"]

_Made = TypeVar("_Made")
_Closable = TypeVar("_Closable", bound="_Closes")
_Ended_co = TypeVar("_Ended_co", covariant=True)

_MOST_THREADS = 1024  # programs that run at once
_threads: dict[int, ThreadPoolExecutor] = {}  # by process: a forked child has none of ours


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
    call = await _made(
        lambda: Call(
            args,
            options,
            backend=backend,
            timeout=timeout,
            stdin=stdin,
            capture=capture,
            id=id,
            root=root,
        ),
        Call.close,
    )
    try:
        return await _end_of(call)
    finally:
        call.close()


class _Later(Generic[_Closable]):
    """What `async with` makes in its blocking form, and closes."""

    def __init__(self, make: Callable[[], _Closable]) -> None:
        self._make = make
        self._made: _Closable | None = None

    @property
    def blocking(self) -> _Closable:
        """The same in its blocking form. Raises StateError before `async with`."""
        if self._made is None:
            raise StateError("it has not been made", hint="async with ... as name: makes it")
        return self._made

    async def close(self) -> None:
        """As in the blocking form; a cancellation doesn't cut it short."""
        if self._made is not None:
            await asyncio.shield(_in_thread(self._made.close))

    async def __aenter__(self) -> Self:
        self._made = await _made(self._make, lambda made: made.close())
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.close()


class Sandbox(_Later[sandbox.Sandbox]):
    """As `isolate.Sandbox`, with its methods awaited. It is made by `async with`."""

    def __init__(
        self,
        *,
        backend: str = DEFAULT_BACKEND,
        timeout: float | None = None,
        id: str | None = None,
        root: str | None = None,
        **options: Unpack[Options],
    ) -> None:
        """Raises SpecError; all else is told by `async with`."""
        blueprint = Blueprint(options, backend=backend, timeout=timeout, id=id, root=root)
        super().__init__(lambda: sandbox.Sandbox.of(blueprint))

    @property
    def id(self) -> str:
        """The container's id."""
        return self.blocking.id

    async def exec(self, args: Sequence[str], **how: Unpack[Execution]) -> Completed:
        """As `isolate.Sandbox.exec`. Cancelling it kills the program and waits for its end."""
        inner = self.blocking
        program = await _made(lambda: inner.start(args, how), lambda made: made.close())
        try:
            return await _end_of(program)
        finally:
            program.close()

    async def write(self, path: str, data: bytes | str, *, mode: int = 0o644) -> None:
        """As `isolate.Sandbox.write`."""
        inner = self.blocking
        await _in_thread(lambda: inner.write(path, data, mode=mode))

    async def read(self, path: str, *, limit: int = sandbox.LARGEST_FILE) -> bytes:
        """As `isolate.Sandbox.read`."""
        inner = self.blocking
        return await _in_thread(lambda: inner.read(path, limit=limit))

    async def listdir(self, path: str = "/") -> list[str]:
        """As `isolate.Sandbox.listdir`."""
        inner = self.blocking
        return await _in_thread(lambda: inner.listdir(path))

    async def stats(self) -> Stats:
        """As `isolate.Sandbox.stats`."""
        return await _in_thread(self.blocking.stats)


class _Taken(Sandbox):
    """A sandbox out of a pool."""

    def __init__(self, take: Callable[[], sandbox.Sandbox]) -> None:
        _Later.__init__(self, take)


class Pool(_Later[pool.Pool]):
    """As `isolate.Pool`, with its methods awaited. It is made by `async with`."""

    def __init__(
        self,
        spec: Spec | None = None,
        *,
        size: int,
        backend: str = DEFAULT_BACKEND,
        root: str | None = None,
        **options: Unpack[Settings],
    ) -> None:
        super().__init__(lambda: pool.Pool(spec, size=size, backend=backend, root=root, **options))

    def take(self) -> Sandbox:
        """As `isolate.Pool.take`: `async with pool.take() as box`."""
        return _Taken(self.blocking.take)

    async def run(self, args: Sequence[str], **how: Unpack[Execution]) -> Completed:
        """As `isolate.Pool.run`. Cancelling it kills the program."""
        inner = self.blocking
        taken, program = await _made(
            lambda: inner.start(args, how), lambda started: inner.discard(started[0])
        )
        try:
            return await _end_of(program)
        finally:
            program.close()
            inner.discard(taken)


class _Closes(Protocol):
    def close(self) -> None: ...


class _Running(Protocol[_Ended_co]):
    """A program, waited for in a thread."""

    def wait(self) -> _Ended_co: ...

    def cancel(self) -> None: ...


async def _end_of(running: _Running[_Ended_co]) -> _Ended_co:
    """Wait for it; when cancelled, end it and wait until it has ended."""
    waiting = _in_thread(running.wait)
    try:
        return await asyncio.shield(waiting)
    except asyncio.CancelledError:
        running.cancel()
        await asyncio.wait([waiting])
        waiting.exception()  # the cancelled program's result is nobody's
        raise


async def _made(make: Callable[[], _Made], undo: Callable[[_Made], None]) -> _Made:
    """Make something in a thread; when cancelled, wait until it is made, and undo it."""
    making = _in_thread(make)
    try:
        return await asyncio.shield(making)
    except asyncio.CancelledError:
        await asyncio.wait([making])
        if making.exception() is None:
            await asyncio.wait([_in_thread(lambda: undo(making.result()))])
        raise


def _in_thread(function: Callable[[], _Made]) -> asyncio.Future[_Made]:
    """Not in asyncio's own threads: they are few, and a program may wait for another."""
    process = os.getpid()
    if process not in _threads:
        _threads.clear()
        _threads[process] = ThreadPoolExecutor(_MOST_THREADS, "isolate-aio")
    return asyncio.get_running_loop().run_in_executor(_threads[process], function)
