"""The probes tell sound configurations from broken ones, and liars from both."""

from __future__ import annotations

import pytest

from isolate.probe.plugin import PROBES
from tests.support import mutations
from tests.support.configurations import LIARS, NAIVE, SPECS, Columns, probe_command

pytestmark = [
    pytest.mark.needs("root", "unshare"),
    pytest.mark.timeout(180),  # the first to ask for a column runs it
]
TABLE = mutations.table()
WALLS = ("fs", "kernel", "dev", "pid", "ipc")
DEFAULTS = ("namespaces", "jail")


@pytest.fixture(scope="module")
def columns() -> Columns:
    return Columns()


def test_every_probe_of_the_catalogue_has_its_mutations() -> None:
    assert TABLE.keys() == PROBES.keys()
    known = {*SPECS, *LIARS, NAIVE}
    for name, row in TABLE.items():
        assert row.exposed, name
        assert row.isolated, name
        assert {*row.exposed, *row.isolated} <= known, name


@pytest.mark.parametrize(
    ("probe", "configuration"),
    [(name, where) for name, row in TABLE.items() for where in row.exposed],
)
def test_a_broken_configuration_is_found_exposed(
    columns: Columns, probe: str, configuration: str
) -> None:
    found = columns[configuration][probe]
    assert found.verdict == "exposed", found.evidence


@pytest.mark.parametrize(
    ("probe", "configuration"),
    [(name, where) for name, row in TABLE.items() for where in row.isolated],
)
def test_a_sound_configuration_is_found_isolated(
    columns: Columns, probe: str, configuration: str
) -> None:
    found = columns[configuration][probe]
    assert found.verdict == "isolated", f"{found.evidence}; bare: {found.control}"


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
