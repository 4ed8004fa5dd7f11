"""A policy as OCI's linux.seccomp: overlaps taken apart, so that no reading is more permissive."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isolate.errors import SpecError
from isolate.linux.capabilities import DEFAULT
from isolate.linux.seccomp.policy import (
    ALLOW,
    EPERM,
    EQ,
    ERRNO,
    LOW_32_BITS,
    MASKED_EQ,
    Condition,
    Policy,
    ProfileError,
    Rule,
)
from isolate.oci import seccomp_document
from isolate.oci.seccomp import translate

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

DENY = ERRNO | EPERM
U64 = st.integers(0, 2**64 - 1)


def holds(argument: dict[str, Any], value: int) -> bool:
    if argument["op"] == "SCMP_CMP_MASKED_EQ":
        return value & int(argument["value"]) == int(argument["valueTwo"])
    same = value == int(argument["value"])
    return same if argument["op"] == "SCMP_CMP_EQ" else not same


def allowed(document: dict[str, Any], name: str, value: int) -> bool:
    """What libseccomp makes of the document for a call whose second argument is `value`."""
    actions = {
        entry["action"]
        for entry in document["syscalls"]
        if name in entry["names"] and all(holds(each, value) for each in entry.get("args", []))
    }
    assert len(actions) <= 1, "two actions overlap: libseccomp drops one"
    return (actions or {document["defaultAction"]}) == {"SCMP_ACT_ALLOW"}


def guarded(points: list[int]) -> Policy:
    guards = [
        Rule(DENY, ["ioctl"], [Condition(1, MASKED_EQ, LOW_32_BITS, point)]) for point in points
    ]
    return Policy(DENY, [Rule(ALLOW, ["ioctl"]), *guards])


@given(points=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=4), value=U64)
def test_what_is_allowed_but_for_some_values(points: list[int], value: int) -> None:
    document = translate(guarded(points), "x86_64")
    assert allowed(document, "ioctl", value) == (value & LOW_32_BITS not in points)
    for high in (0, 1 << 32, 0xFFFFFFFF << 32):  # the kernel drops the high half
        assert not allowed(document, "ioctl", high | points[0])


def test_the_default_profile_holds_back_tiocsti() -> None:
    document = seccomp_document("default", DEFAULT)
    assert document is not None
    for high in (0, 1 << 40):
        assert not allowed(document, "ioctl", high | 0x5412)
        assert not allowed(document, "ioctl", high | 0x541C)
    assert allowed(document, "ioctl", 0x5401)
    assert not allowed(document, "mount", 0)


def test_a_single_comparison_is_turned_around() -> None:
    rules = [Rule(ALLOW, ["x"]), Rule(DENY, ["x"], [Condition(1, EQ, 5)])]
    document = translate(Policy(DENY, rules), "x86_64")
    assert not allowed(document, "x", 5)
    assert allowed(document, "x", 6)


def test_an_overlap_that_cannot_be_told_is_refused() -> None:
    two = [Condition(0, EQ, 1), Condition(1, EQ, 2)]
    with pytest.raises(ProfileError):
        translate(Policy(DENY, [Rule(ALLOW, ["x"]), Rule(DENY, ["x"], two)]), "x86_64")


def test_no_filter() -> None:
    assert seccomp_document("unconfined", DEFAULT) is None


def test_a_profile_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    path.write_text('{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []}')
    document = seccomp_document(str(path), DEFAULT)
    assert document is not None
    assert document["defaultAction"] == "SCMP_ACT_ALLOW"
    path.write_text("{")
    with pytest.raises(SpecError, match="not JSON"):
        seccomp_document(str(path), DEFAULT)
