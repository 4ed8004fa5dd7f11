"""The contract catches every liar, by the test that is meant for it, and accuses nobody else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import session

pytestmark = pytest.mark.needs("root")
HERE = Path(__file__).parent / "liars"

CAUGHT_BY = {
    "honest": set(),
    "liar-pids": {"feature[view.pids]"},
    "liar-network": {"feature[view.network]"},
    "liar-memory": {"feature[limits.memory]"},
    "liar-privileges": {"feature[privileges.no_new_privileges]"},
    "liar-readonly": {"feature[root.readonly]"},
    "liar-fence": {"feature[root.fence]"},
    "liar-kernel": {"feature[kernel.separate]"},
    "liar-explain": {"feature[view.pids]", "feature[limits.memory]"},
    "liar-inside": {"no_descriptor_leaks_in"},
    "liar-receipt": {"the_receipt_holds"},
    "liar-codes": {"exit_code[255]"},
    "liar-state": {"usage_is_readable_until_delete"},
    "liar-errors": {"failures_are_isolate_errors"},
    "liar-everyone": {"killing_everyone_ends_a_forking_tree"},
}
# Where every container leaves something behind, every test that makes one must fail.
LEAVES = {"liar-cgroup": "cgroup", "liar-descriptor": "descriptor"}


@pytest.fixture(scope="module")
def site() -> str:
    """A directory for PYTHONPATH in which the liars are installed."""
    sys.path.insert(0, str(HERE))
    try:
        from isolate_liars import FOR_PROBES, LIARS  # type: ignore[import-not-found, unused-ignore]
    finally:
        sys.path.remove(str(HERE))
    metadata = session.directory() / "liars" / "isolate_liars-1.dist-info"
    metadata.mkdir(parents=True)
    points = "".join(f"{name} = isolate_liars\n" for name in (*LIARS, *FOR_PROBES))
    (metadata / "entry_points.txt").write_text(f"[isolate_runtime]\n{points}")
    assert LIARS.keys() == CAUGHT_BY.keys() | LEAVES.keys()
    return os.pathsep.join((str(metadata.parent), str(HERE)))


def verify(site: str, name: str, *options: str) -> list[dict[str, Any]]:
    """The rows of `isolate verify NAME`."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "isolate", "verify", name, "--json", *options],
        env={**os.environ, "PYTHONPATH": site},
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert done.returncode in (0, 1), done.stderr
    report = json.loads(done.stdout)
    assert (done.returncode == 1) == (report["counts"]["fail"] > 0)
    rows: list[dict[str, Any]] = report["results"]
    return rows


@pytest.mark.timeout(180)
@pytest.mark.parametrize("liar", CAUGHT_BY)
def test_a_lie_is_caught_by_its_test_and_no_other(liar: str, site: str) -> None:
    rows = verify(site, liar)
    failed = {row["test"]: row["reason"] for row in rows if row["result"] == "fail"}
    expected = CAUGHT_BY[liar]
    if liar == "liar-explain":  # one who denies everything is caught at each feature
        assert expected <= failed.keys()
        assert all(test.startswith("feature[") for test in failed)
        return
    assert failed.keys() == expected, failed
    assert len(rows) > 90
    assert all(reason for reason in failed.values())


@pytest.mark.parametrize("liar", LEAVES)
def test_what_is_left_behind_is_named(liar: str, site: str) -> None:
    try:
        rows = verify(site, liar, "--only", "exit_code and 3 or names_itself")
    finally:
        _clean()
    results = {row["test"]: row for row in rows}
    assert results["it_names_itself"]["result"] == "pass"
    (row,) = [row for row in rows if row["test"] == "exit_code[63]"]
    assert row["result"] == "fail"
    assert f"left behind: {LEAVES[liar]} " in row["reason"]


def _clean() -> None:
    """Remove the cgroups that the liar left on purpose."""
    for path in Path("/sys/fs/cgroup").glob("**/liar-ct*"):
        path.rmdir()
