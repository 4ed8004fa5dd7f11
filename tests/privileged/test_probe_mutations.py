"""The probes tell sound configurations from broken ones, and liars from both."""

from __future__ import annotations

import pytest

from isolate.probe.plugin import PROBES
from tests.support import mutations
from tests.support.configurations import (
    GVISOR,
    LIARS,
    MEMINFO,
    NAIVE,
    SPECS,
    Columns,
    probe_command,
)

pytestmark = [
    pytest.mark.needs("root", "unshare", "runsc"),
    pytest.mark.timeout(180),  # the first to ask for a column runs it
]
TABLE = mutations.table()
WALLS = ("fs", "kernel", "dev", "pid", "ipc", "priv", "syscall")
DEFAULTS = ("namespaces", "jail")
KNOWN = (*SPECS, NAIVE, MEMINFO, GVISOR, *LIARS)


@pytest.fixture(scope="module")
def columns() -> Columns:
    return Columns()


def test_every_probe_of_the_catalogue_has_its_mutations() -> None:
    assert TABLE.keys() == PROBES.keys()
    for name, row in TABLE.items():
        assert row.exposed, name
        assert row.isolated, name
        assert {*row.exposed, *row.isolated} <= set(KNOWN), name


@pytest.mark.parametrize("configuration", KNOWN)
def test_a_configuration_turns_its_probes(columns: Columns, configuration: str) -> None:
    column = columns[configuration]
    expected = {
        name: "exposed" if configuration in row.exposed else "isolated"
        for name, row in TABLE.items()
        if configuration in row
    }
    wrong = {
        f"{name}: {column[name].verdict}": f"{column[name].evidence}; bare: {column[name].control}"
        for name, verdict in expected.items()
        if column[name].verdict != verdict
    }
    assert expected
    assert wrong == {}


@pytest.mark.parametrize(
    ("liar", "probe"),
    [("liar-pids", "pid.signal"), ("liar-network", "ipc.abstract"), ("liar-proc", "pid.visible")],
)
def test_a_liar_contradicts_its_claim(columns: Columns, liar: str, probe: str) -> None:
    found = columns[liar][probe]
    assert found.contradicts
    assert found.backend == liar


def test_a_contradiction_is_said_first_hand() -> None:
    done = probe_command("liar-proc", "--only=pid")
    assert done.returncode == 1
    assert "pid.visible  EXPOSED" in done.stdout
    assert "pid.visible: liar-proc claims view.pids, and the host was reached: " in done.stdout


@pytest.mark.parametrize("backend", DEFAULTS)
def test_default_hardening_has_nothing_exposed(columns: Columns, backend: str) -> None:
    column = columns[backend]
    wrong = {
        name: row.evidence
        for name, row in column.items()
        if row.group in WALLS and row.verdict != "isolated"
    }
    assert wrong == {}


def test_chroot_is_left_by_a_second_chroot(columns: Columns) -> None:
    found = columns["chroot"]["fs.double_chroot"]
    assert found.verdict == "exposed"
    assert not found.claimed
    assert found.evidence == "chroot again, climb, open the token: the token"


def test_what_the_backend_cannot_be_given_is_inconclusive(columns: Columns) -> None:
    found = columns["chroot"]["fs.suid_volume"]
    assert found.verdict == "inconclusive"
    assert "mounts.bind" in found.waived


def test_evidence_is_short_and_printable(columns: Columns) -> None:
    for configuration in ("namespaces", "chroot"):
        for row in columns[configuration].values():
            assert row.evidence
            assert f"{row.evidence}{row.control}".isprintable()
            assert len(row.evidence) < 700
