"""The messages by which a program is handed over: of any size, with their descriptors, or none."""

from __future__ import annotations

import os
import struct

import pytest

from isolate.native import orders
from isolate.native.orders import Order


@pytest.mark.parametrize("size", [1, 60_000, 70_000, 3_000_000])
def test_an_order_arrives_whole(size: int) -> None:
    ours, theirs = orders.socket_pair()
    pipes = [*os.pipe(), *os.pipe()]
    try:
        sent = Order(["a" * size, "\udcff"], {"A": "ü"}, "/tmp", pipes)
        orders.send_order(ours, sent)
        order = orders.receive_order(theirs)
        assert order is not None
        assert (list(order.args), order.env, order.cwd) == (sent.args, sent.env, sent.cwd)
        assert [os.fstat(one).st_ino for one in order.descriptors] == [
            os.fstat(one).st_ino for one in pipes
        ]
        assert not any(map(os.get_inheritable, order.descriptors))
        pipes += order.descriptors
        ours.close()
        assert orders.receive_order(theirs) is None
    finally:
        for descriptor in pipes:
            os.close(descriptor)
        theirs.close()


def test_nobody_takes_orders() -> None:
    ours, theirs = orders.socket_pair()
    theirs.close()
    with pytest.raises(BrokenPipeError):
        orders.send_order(ours, Order(["true"], {}, None, (0, 0, 0, 0)))
    ours.close()


def test_an_answer() -> None:
    ours, theirs = orders.socket_pair()
    orders.send_answer(theirs.fileno(), orders.NO_PROGRAM, 2)
    assert orders.receive_answer(ours) == (orders.NO_PROGRAM, 2)
    theirs.close()
    assert orders.receive_answer(ours) is None
    ours.close()


@pytest.mark.parametrize("data", [b"e", struct.pack("=ci", b"?", 0), bytes(100)])
def test_what_is_no_answer(data: bytes) -> None:
    ours, theirs = orders.socket_pair()
    theirs.send(data)
    assert orders.receive_answer(ours) is None
    ours.close()
    theirs.close()
