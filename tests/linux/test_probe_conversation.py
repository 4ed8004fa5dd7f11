"""A conversation with the driver, on the bare host: answers, held attempts, ends."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import pytest

from isolate.errors import IsolateError
from isolate.probe import outside
from isolate.probe.conversation import CARELESS, Talk, converse, leaked_directory
from isolate.probe.model import Answer, Scene
from isolate.probe.subject import Bare

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from isolate.probe.conversation import Inside

PRIVILEGES = "isolate.probe.inside.privileges"
LIMITS = "isolate.probe.inside.limits"


@pytest.fixture
def scene() -> Iterator[Scene]:
    with Scene(Bare()) as made:
        yield made


@pytest.fixture
def inside(scene: Scene) -> Iterator[Inside]:
    with converse(scene) as made:
        yield made


def test_one_function_after_another_answers(inside: Inside) -> None:
    assert inside.call(f"{LIMITS}:count_objects").value.keys() == {"terminals", "files"}
    refused = inside.call(f"{PRIVILEGES}:climbed", path="/none/such/file")
    assert refused.errno == errno.ENOENT
    assert "unexpected keyword" in str(inside.call(f"{PRIVILEGES}:leaked", no="such"))
    assert not inside.own_kernel
    assert inside.alive


def test_the_host_sees_the_driver_and_a_held_child(scene: Scene, inside: Inside) -> None:
    driver = inside.driver()
    assert inside.processes() == [driver]
    with inside.hold(
        f"{PRIVILEGES}:new_file", directories=[scene.directory], token=scene.token
    ) as answer:
        assert answer.fault is None
        assert len(inside.processes()) == 2
        assert inside.driver() == driver
        assert outside.owner_of(inside.processes(), scene.token) == os.geteuid()
    assert inside.call(f"{LIMITS}:count_objects").fault is None
    assert inside.processes() == [driver]


def test_what_a_held_attempt_has_started_ends_with_it(inside: Inside) -> None:
    with inside.hold(f"{LIMITS}:fork_many", count=3, patience=4) as answer:
        assert answer.value == {"made": 3, "refusal": None}
        assert len(inside.processes()) == 5
    inside.call(f"{LIMITS}:count_objects")
    assert inside.processes() == [inside.driver()]


def test_an_attempt_that_dies_while_it_is_to_be_held_costs_only_itself(inside: Inside) -> None:
    with inside.hold(f"{LIMITS}:fork_many", seconds=1, count="x", patience=1) as answer:
        assert "TypeError" in str(answer)
    assert inside.call(f"{LIMITS}:count_objects").fault is None


def test_an_attempt_that_hangs_is_ended(inside: Inside) -> None:
    answer = inside.call(f"{LIMITS}:burn", seconds=1, duration=60, processes=0)
    assert answer.value == 0
    late = inside.call(f"{LIMITS}:burn", seconds=1, duration=3, processes=1)
    assert str(late) == "no answer in time"
    assert inside.alive


def test_what_has_ended_says_so(inside: Inside) -> None:
    driver = inside.driver()
    assert driver is not None
    os.kill(driver, 9)
    answer = inside.call(f"{LIMITS}:count_objects")
    assert answer.fault is not None
    assert answer.fault.startswith("it has ended: ")
    assert not inside.alive


def test_a_careless_launcher_leaves_all_it_has(scene: Scene) -> None:
    with open(f"{scene.directory}/token", "w") as file:
        file.write(scene.token)
    with leaked_directory(scene) as leak, converse(scene, careless=leak) as inside:
        further = inside.executed()
        assert further is not None
        assert inside.executed() is further
        for talk in (inside, further):
            assert found(talk, "leaked") == {str(leak): scene.token}
            assert found(talk, "climbed", path="/none") == scene.token
            assert "self" in found(talk, "environments", token=scene.token)
    assert CARELESS not in os.environ


def found(talk: Talk, name: str, **arguments: Any) -> Any:
    return talk.call(f"{PRIVILEGES}:{name}", **arguments).value


def test_what_cannot_be_launched_is_an_error() -> None:
    class Broken(Bare):
        def command(
            self, _argv: Sequence[str], _overlay: Mapping[str, object], _name: str | None = None
        ) -> list[str]:
            return ["sh", "-c", "echo 'error: it is broken' >&2; exit 3"]

    with (
        Scene(Broken()) as scene,
        pytest.raises(IsolateError, match="it is broken"),
        converse(scene),
    ):
        raise AssertionError


def test_an_answer_of_a_refusal_has_its_name() -> None:
    assert str(Answer(errno=errno.EPERM)) == "EPERM (Operation not permitted)"
