"""`isolate compare` as a user runs it: the report, what turns in the middle, Ctrl-C, diff."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import session

if TYPE_CHECKING:
    from tests.support.command import Isolate

pytestmark = [pytest.mark.needs("root"), pytest.mark.timeout(240)]
PLUGINS = Path(__file__).parent.parent / "contract" / "liars"
BACKENDS = ("turns-hanging", "turns-dying", "turns-failing", "unusable")


@pytest.fixture(scope="module")
def site() -> str:
    """A directory for PYTHONPATH in which the unreliable plugin is installed."""
    metadata = session.directory() / "unreliable" / "isolate_unreliable-1.dist-info"
    metadata.mkdir(parents=True)
    points = "".join(f"{name} = isolate_unreliable\n" for name in BACKENDS)
    (metadata / "entry_points.txt").write_text(f"[isolate_runtime]\n{points}")
    return os.pathsep.join((str(metadata.parent), str(PLUGINS)))


class Compared:
    """A comparison that has been run, and its saved document."""

    def __init__(self, cmd: Isolate, *options: str, env: dict[str, str] | None = None) -> None:
        self.file = cmd.state.parent / "compared.json"
        words = ("compare", "--save", str(self.file), "--seed=1", *options)
        self.done = cmd(*words, env=env, timeout=200)
        assert self.file.exists(), self.done.stderr
        self.document: dict[str, Any] = json.loads(self.file.read_text())

    def row(self, metric: str, backend: str) -> dict[str, Any]:
        """The one row of a metric and a backend."""
        (found,) = [
            row
            for row in self.document["metrics"]
            if (row["metric"], row["backend"]) == (metric, backend)
        ]
        return dict(found)

    def backend(self, name: str) -> dict[str, Any]:
        """The row of a backend."""
        return dict(next(row for row in self.document["backends"] if row["name"] == name))


def test_a_whole_quick_comparison(isolate_cmd: Isolate) -> None:
    compared = Compared(isolate_cmd, "--quick", "--backends=chroot,namespaces", "--blocks=3")
    done = compared.done
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "no progress where nobody looks"
    assert "ISOLATION" in done.stdout
    assert "OVERHEAD" in done.stdout
    document = compared.document
    assert list(document)[:4] == ["schema", "environment", "settings", "backends"]
    assert document["schema"] == "isolate.compare/1"
    assert {row["backend"] for row in document["probes"]} == {"chroot", "namespaces"}
    assert all(row["evidence"] and row["meaning"] for row in document["probes"])
    startup = compared.row("startup", "namespaces")
    assert len(startup["samples"]) == 3
    assert startup["low"] <= startup["ratio"] <= startup["high"]
    assert startup["ratio"] > 1, "a container starts no faster than a bare process"
    again = compared.row("startup", "host again")
    assert len(again["samples"]) == 3
    assert compared.row("startup.create", "host")["median"] is None
    host = document["environment"]
    assert host["cpus"] >= 1
    assert host["load_end"]
    assert host["seconds"] > 0
    assert host["command"][:2] == ["isolate", "compare"]


def test_show_gives_what_was_printed(isolate_cmd: Isolate) -> None:
    compared = Compared(isolate_cmd, "--overhead", "--quick", "--backends=chroot", "--blocks=2")
    shown = isolate_cmd("compare", "show", str(compared.file), check=True)
    assert shown.stdout == compared.done.stdout
    for suffix, part in ((".html", "<!doctype html>"), (".md", "| metric |"), (".csv", "kind,")):
        path = compared.file.with_suffix(suffix)
        isolate_cmd("compare", "show", str(compared.file), "-o", str(path), check=True)
        assert part in path.read_text()
    as_json = isolate_cmd("compare", "show", str(compared.file), "--format=json", check=True)
    assert json.loads(as_json.stdout) == compared.document
    text = compared.file.with_suffix(".txt")
    isolate_cmd("compare", "show", str(compared.file), "-o", str(text), check=True)
    assert text.read_text() == shown.stdout


def test_what_turns_in_the_middle_is_told_and_the_run_goes_on(
    isolate_cmd: Isolate, site: str
) -> None:
    names = ",".join(("chroot", *BACKENDS))
    compared = Compared(
        isolate_cmd,
        *("--overhead", "--quick", f"--backends={names}", "--blocks=4"),
        env={"PYTHONPATH": site, "PYTHONWARNINGS": "default"},
    )
    assert compared.done.returncode == 1, compared.done.stderr
    assert len(compared.row("startup", "chroot")["samples"]) == 4
    assert "it hangs (" in compared.backend("turns-hanging")["failure"]
    assert "crashed (" in compared.backend("turns-dying")["failure"]
    failing = [row for row in compared.document["metrics"] if row["backend"] == "turns-failing"]
    assert any("a bug: ZeroDivisionError" in str(row["failures"]) for row in failing)
    for name in ("turns-hanging", "turns-dying"):
        rows = [row for row in compared.document["metrics"] if row["backend"] == name]
        assert sum(len(row["samples"]) for row in rows) > 0, "what came before stays"
        assert any("fell out" in str(row["note"]) for row in rows)
    unusable = compared.backend("unusable")
    assert not unusable["usable"]
    assert unusable["problems"][0]["what"] == "no moon tonight"
    assert "no moon tonight" in compared.done.stdout
    assert compared.row("letters", "chroot")["samples"] == [6.0] * 4
    assert "broken is left out" in compared.done.stderr


def test_a_third_partys_probe_is_a_row_and_a_contradiction_comes_first(
    isolate_cmd: Isolate, site: str
) -> None:
    compared = Compared(
        isolate_cmd,
        *("--properties", "--backends=chroot,namespaces"),
        env={"PYTHONPATH": site, "PYTHONWARNINGS": "default"},
    )
    (found,) = [
        row
        for row in compared.document["probes"]
        if (row["probe"], row["backend"]) == ("third.moon", "namespaces")
    ]
    assert found["verdict"] == "exposed"
    assert found["claimed"] is True
    text = compared.done.stdout
    assert text.index("CONTRADICTIONS") < text.index("ISOLATION")
    assert "looked out of namespaces" in text


def test_ctrl_c_keeps_what_was_measured(isolate_cmd: Isolate, site: str) -> None:
    compared = Compared(
        isolate_cmd,
        *("--overhead", "--quick", "--backends=chroot", "--blocks=50"),
        env={"PYTHONPATH": site, "PYTHONWARNINGS": "default", "ISOLATE_TEST_INTERRUPTS": "1"},
    )
    assert compared.done.returncode == 130, compared.done.stderr
    assert compared.document["warnings"][0].startswith("interrupted")
    assert 2 <= len(compared.row("startup", "chroot")["samples"]) <= 3
    assert "interrupted" in compared.done.stdout


def test_ablation_names_layers_and_prices(isolate_cmd: Isolate) -> None:
    compared = Compared(
        isolate_cmd, "--ablate", "--quick", "--backends=namespaces,chroot", "--blocks=2"
    )
    layers = {
        row["layer"]: row["note"]
        for row in compared.document["layers"]
        if row["backend"] == "namespaces"
    }
    assert "device filter" in layers.pop("cgroup")
    assert set(layers.values()) == {None}, "each of the others is dropped for certain"
    assert {"seccomp", "capabilities", "user namespace", "masked paths"} <= layers.keys()
    ablated = compared.document["ablation"]
    assert {row["layer"] for row in ablated if not row["alone"]} == {*layers, "all"}
    assert {row["layer"] for row in ablated if row["alone"]} == layers.keys()
    prices = {(row["layer"], row["metric"]) for row in compared.document["prices"]}
    assert {("seccomp", "startup"), ("seccomp", "syscall")} <= prices
    assert "PRICE OF EACH LAYER" in compared.done.stdout


def test_a_workload_is_measured_everywhere(isolate_cmd: Isolate) -> None:
    compared = Compared(
        isolate_cmd,
        *("--quick", "--backends=namespaces", "--blocks=2"),
        "--workload=sh -c 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done'",
    )
    assert compared.done.returncode == 0, compared.done.stderr
    assert not compared.document["probes"], "a workload alone asks for costs alone"
    for name in ("host", "namespaces"):
        assert all(value > 0 for value in compared.row("workload", name)["samples"])
        assert compared.row("workload.memory", name)["median"] > 0
    failing = Compared(
        isolate_cmd,
        *(
            "--quick",
            "--backends=namespaces",
            "--blocks=1",
            "--workload=sh -c 'echo no >&2; exit 3'",
        ),
    )
    assert "ended with 3: no" in failing.row("workload", "namespaces")["failures"][0]


@pytest.mark.needs("userns", "newuidmap")
def test_an_ordinary_user_compares_too(rootless_cmd: Isolate) -> None:
    file = rootless_cmd.state.parent / "rootless.json"
    words = ("compare", "--quick", "--backends=namespaces", "--blocks=2", "--save", str(file))
    done = rootless_cmd(*words, timeout=200)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(file.read_text())
    assert document["environment"]["user"] != 0
    assert document["probes"]
    (row,) = [
        row
        for row in document["metrics"]
        if (row["metric"], row["backend"]) == ("startup", "namespaces")
    ]
    assert len(row["samples"]) == 2


def test_a_spec_is_for_all_and_the_root_too(isolate_cmd: Isolate) -> None:
    spec = isolate_cmd.state.parent / "spec.toml"
    spec.write_text('hostname = "compared"\n[limits]\npids = 100\n')
    compared = Compared(
        isolate_cmd,
        *("--overhead", "--quick", "--backends=namespaces,chroot", "--blocks=1"),
        f"--spec={spec}",
    )
    assert json.loads(compared.document["settings"]["spec"]["limits"]) == {"pids": 100}
    assert compared.row("startup", "namespaces")["samples"]
    assert compared.row("startup", "chroot")["samples"], "what chroot lacks is waived, and told"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--backends=nothing"], "there is no backend 'nothing'"),
        (["--format=poem"], "'poem' is no format"),
        (["-o", "report.poem"], "no format has the suffix .poem"),
        (["--spec=/nonexistent"], "/nonexistent"),
        (["show", "/nonexistent.json"], "can't read /nonexistent.json"),
        (["diff", "--fail-on=luck", "a", "b"], "is no condition"),
        (["diff", "--fail-on=slower:much%", "a", "b"], "is no percentage"),
    ],
)
def test_what_cannot_be_understood_is_one_error(
    isolate_cmd: Isolate, words: list[str], message: str
) -> None:
    done = isolate_cmd("compare", *words)
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.startswith("error: ")
    assert "hint: " in done.stderr


def test_diff_gates_a_comparison(isolate_cmd: Isolate) -> None:
    compared = Compared(isolate_cmd, "--quick", "--backends=namespaces", "--blocks=6")
    worse = json.loads(compared.file.read_text())
    worse["probes"][0]["verdict"] = "exposed"
    for row in worse["metrics"]:
        if (row["metric"], row["backend"]) == ("startup", "namespaces"):
            for key in ("ratio", "low", "high"):
                row[key] *= 1000
    later = compared.file.with_name("later.json")
    later.write_text(json.dumps(worse))
    files = (str(compared.file), str(later))
    same = isolate_cmd("compare", "diff", files[0], files[0], "--fail-on=exposed,slower:5%")
    assert (same.returncode, same.stdout) == (0, "no verdict and no cost changed\n")
    told = isolate_cmd("compare", "diff", *files)
    assert told.returncode == 0
    assert "VERDICTS" in told.stdout
    gated = isolate_cmd("compare", "diff", *files, "--fail-on=exposed,slower:5%")
    assert gated.returncode == 1
    assert "is exposed in namespaces" in gated.stdout
    assert "startup of namespaces is 1e+03 times what it was" in gated.stdout
    better = isolate_cmd("compare", "diff", *reversed(files), "--fail-on=exposed,slower:5%")
    assert better.returncode == 0
