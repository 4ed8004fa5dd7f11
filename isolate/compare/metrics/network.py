"""Metrics of the network: the loopback inside, a server on the host, and iperf3."""

from __future__ import annotations

import shlex
import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, ClassVar

from isolate.compare import tools
from isolate.compare.bench import per_operation
from isolate.compare.metric import Metric, Series
from isolate.compare.metrics.kernel import WORKLOADS
from isolate.probe.subject import Contained

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isolate.compare.bench import Bench

_HOST_NETWORK = {"network": {"mode": "host"}}
_MIB = {True: 64, False: 512}  # that iperf3 sends, by `quick`


class Loopback(Metric):
    """Latency and throughput of TCP between two processes of the container."""

    unit = "s"
    quick = False
    _LOOPS: ClassVar = {
        "request": "a byte there and back by TCP, over the loopback inside",
        "stream": "a MiB by TCP, over the loopback inside",
    }

    def series(self, name: str, summary: str) -> dict[str, Series]:
        return {f"{name}.{loop}": Series(self.unit, words) for loop, words in self._LOOPS.items()}

    def sample(self, bench: Bench) -> dict[str, float]:
        return {
            f"network.{loop}": bench.work(f"{WORKLOADS}:{loop}", seconds=self.options.seconds)
            for loop in self._LOOPS
        }


class ToHost(Metric):
    """Latency of TCP to a server on the host, by the host's network where it can be had."""

    unit = "s"
    quick = False

    def unavailable(self, bench: Bench) -> str | None:
        subject = bench.subject
        if isinstance(subject, Contained) and "network.host" not in subject.claims:
            return f"{subject.name} can't give a container the host's network"
        return None

    def sample(self, bench: Bench) -> float:
        with _echo_server() as port:
            return bench.work(
                f"{WORKLOADS}:request", _HOST_NETWORK, seconds=self.options.seconds, port=port
            )


@contextmanager
def _echo_server() -> Iterator[int]:
    """A server on the host's loopback that sends back what one connection says; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)
        server = threading.Thread(target=_serve, args=(listener,))
        server.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # where nobody came
            server.join()


def _serve(listener: socket.socket) -> None:
    with suppress(OSError):
        connection, _peer = listener.accept()
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while byte := connection.recv(1):
                connection.sendall(byte)


class Iperf(Metric):
    """iperf3's own stream over the loopback, less its start and end."""

    unit = "s"
    quick = False
    blocks = 10

    def unavailable(self, bench: Bench) -> str | None:
        return tools.unavailable("iperf3", bench.subject)

    def sample(self, bench: Bench) -> float:
        size = _MIB[self.options.quick]
        with tools.carried("iperf3", bench.subject) as tool:
            name = shlex.join(tool.argv)
            port = _free_port()
            client = f"{name} -c 127.0.0.1 -p {port} -n"
            script = (
                f"{name} -s -p {port} </dev/null >/dev/null 2>&1 & server=$!; tries=0; "
                f"until {client} 1K </dev/null >/dev/null 2>&1; do tries=$((tries+1)); "
                "[ $tries -lt 50 ] || exit 1; sleep 0.1; done; "
                f"{tools.timed(f'{client} {size}M', f'{client} 1K')}; "
                f"kill $server; echo {size}"
            )
            return per_operation(bench.launch(["sh", "-c", script], tool.overlay, paced=True))


def _free_port() -> int:
    """A port of the host's that nobody has; on a network of one's own any will do."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
