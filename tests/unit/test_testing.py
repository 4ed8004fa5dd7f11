"""The contract suite itself: complete, asking for what it tests, and strict."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from isolate.backend import FEATURES, ReceiptRow, required
from isolate.backend.types import Handle
from isolate.spec import Spec
from isolate.testing import BackendContract, Breach, oracle
from isolate.testing.features import CONTRACTS, FeatureContract
from isolate.testing.hold import hold, nothing, same
from isolate.testing.lab import Lab
from isolate.testing.needs import is_required
from isolate.testing.traces import Traces

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab("chroot", str(tmp_path))


def test_every_feature_has_a_contract_and_no_other() -> None:
    assert CONTRACTS.keys() == FEATURES.keys()


@pytest.mark.parametrize("feature", sorted(FEATURES))
def test_a_contract_asks_for_its_feature(feature: str, lab: Lab) -> None:
    spec = Spec.build({"process": {"args": ["true"]}, **CONTRACTS[feature].ask(lab)}, "")
    assert feature in required(spec)


@pytest.mark.parametrize("feature", sorted(FEATURES))
def test_a_contract_proves_by_its_own_means(feature: str) -> None:
    contract = type(CONTRACTS[feature])
    assert contract.prove is not FeatureContract.prove
    assert (contract.__doc__ or "").strip()


def test_the_contract_is_no_test_until_it_is_subclassed() -> None:
    assert not BackendContract.__name__.startswith("Test")
    assert not hasattr(BackendContract, "name")


def test_breaches_survive_optimisation() -> None:
    with pytest.raises(Breach, match="so"):
        hold(condition=False, message="so")
    with pytest.raises(Breach, match="1, expected 2"):
        same(1, 2, "a number")
    with pytest.raises(Breach, match="left: a, b"):
        nothing(["a", "b"], "left")
    hold(condition=True, message="")
    same([1], [1], "")
    nothing([], "")


@pytest.mark.parametrize(
    ("text", "demanded"),
    [
        ("", False),
        ("all", True),
        ("backend:mine", True),
        ("all,-backend:mine", False),
        ("root", False),
    ],
)
def test_a_need_is_demanded_by_name(text: str, demanded: bool) -> None:
    assert is_required("backend:mine", text) is demanded


def test_traces_are_found(tmp_path: Path) -> None:
    traces = Traces("ctfeed", str(tmp_path))
    (tmp_path / "containers").mkdir()
    (tmp_path / "containers" / "x").touch()
    descriptor = os.open("/", os.O_RDONLY)
    found = traces._since()
    os.close(descriptor)
    assert found == [f"file {tmp_path}/containers/x", f"descriptor {descriptor} -> /"]


def row(feature: str, source: str, **fields: Any) -> ReceiptRow:
    values = {"asked": "1", "enforced": "1", "holds": True, **fields}
    return ReceiptRow(feature=feature, source=source, **values)


def test_the_oracle_contradicts_a_false_receipt() -> None:
    own = Handle(id="x", backend="x", pid=os.getpid(), start_time=1)
    status = f"/proc/{own.pid}/status"
    for feature in ("privileges.no_new_privileges", "privileges.seccomp", "view.pids"):
        assert oracle.contradiction(row(feature, status), own) is not None
    assert oracle.contradiction(row("limits.memory", status), own) is not None
    assert oracle.contradiction(row("root", status), own) is None
