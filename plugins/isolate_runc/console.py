"""The console socket: where the runtime sends the master of the program's terminal."""

from __future__ import annotations

import os
import select
import struct
from socket import AF_UNIX, CMSG_SPACE, MSG_CMSG_CLOEXEC, SOCK_STREAM, socket

from isolate.errors import LaunchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

_NAME = "console.sock"
_PATIENCE = 10_000  # milliseconds after the runtime's end, when the master has been sent


class ConsoleSocket:
    """A listening socket in the container's directory (mode 0700), and the master from it.

    Its path may be longer than a socket's address, so both sides go by a descriptor.
    """

    def __init__(self, directory: str) -> None:
        self._directory = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._socket = socket(AF_UNIX, SOCK_STREAM)
        self._socket.bind(self.path)
        self._socket.listen(1)

    @property
    def path(self) -> str:
        """The address for the runtime."""
        return f"/proc/{os.getpid()}/fd/{self._directory}/{_NAME}"

    def receive(self) -> int:
        """The master. Raises LaunchError where none was sent."""
        if not _readable(self._socket.fileno()):
            raise LaunchError("the runtime sent no terminal")
        with self._socket.accept()[0] as connection:
            space = CMSG_SPACE(4)
            _data, ancillary, _flags, _peer = connection.recvmsg(4096, space, MSG_CMSG_CLOEXEC)
        for _level, _kind, payload in ancillary:
            master: int = struct.unpack_from("i", payload)[0]
            return master
        raise LaunchError("the runtime sent no terminal")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._socket.close()
        os.unlink(_NAME, dir_fd=self._directory)
        os.close(self._directory)


def _readable(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(_PATIENCE))
