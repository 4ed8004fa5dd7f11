"""Each metric once, on the bare host and in a container: real figures of the right size."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
from typing import TYPE_CHECKING

import pytest

from isolate.compare.bench import Bench
from isolate.compare.launch.client import FallenError
from isolate.compare.metric import Metric, Options
from isolate.compare.metrics import plugin
from isolate.compare.metrics.memory import Density
from isolate.errors import IsolateError
from isolate.plugins import Registry
from isolate.probe.subject import Bare, Contained

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from isolate.probe.subject import Subject

pytestmark = [pytest.mark.needs("root"), pytest.mark.timeout(180)]
DOCUMENT = {"root": {"source": "base"}}
OPTIONS = Options(
    seconds=0.02,
    quick=True,
    workload=("sh", "-c", "i=0; while [ $i -lt 9000 ]; do i=$((i+1)); done"),
)

# What a host of any age may need for one: seconds, bytes, launches a second.
PLAUSIBLE = {
    "startup": (1e-5, 30),
    "startup.create": (1e-6, 30),
    "startup.start": (1e-6, 30),
    "startup.ready": (1e-7, 30),
    "teardown": (1e-6, 30),
    "command": (1e-5, 60),
    "rate": (0.01, 1e5),
    "syscall": (1e-9, 1e-4),
    "fork_exec": (1e-5, 1),
    "context_switch": (1e-8, 1e-2),
    "page_fault": (1e-8, 1e-3),
    "metadata": (1e-7, 0.1),
    "io": (1e-8, 1),
    "fio": (1e-8, 1),
    "network": (1e-7, 0.1),
    "network.host": (1e-7, 0.1),
    "iperf3": (1e-7, 1),
    "memory": (-1e9, 1e9),
    "memory.pss": (1e4, 1e8),
    "workload": (1e-4, 60),
    "workload.cpu": (1e-4, 60),
    "workload.memory": (1e4, 1e9),
}
SERIES = {
    "startup": {"startup", "startup.create", "startup.start", "startup.ready", "teardown"},
    "io": {"io.write", "io.read", "io.random_read"},
    "fio": {"fio.write", "fio.random_read"},
    "network": {"network.request", "network.stream"},
    "memory": {"memory", "memory.pss"},
    "workload": {"workload", "workload.cpu", "workload.memory"},
}


@pytest.fixture(params=["host", "namespaces"])
def bench(request: pytest.FixtureRequest, make: Callable[[Subject | str], Bench]) -> Bench:
    """The bare host, and a container."""
    return make(request.param)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[Subject | str], Bench]]:
    """Benches of backends by their names, closed at the end."""
    made: list[Bench] = []

    def of(name: Subject | str) -> Bench:
        state, scratch = (tmp_path / f"{kind}{len(made)}" for kind in ("state", "scratch"))
        scratch.mkdir()
        subject = Bare() if name == "host" else Contained(str(name), DOCUMENT, str(state))
        made.append(Bench(subject, str(state), str(scratch), patience=60))
        return made[-1]

    yield of
    for one in made:
        one.close()


def metric_of(name: str) -> tuple[Metric, Mapping[str, object]]:
    registry = Registry()
    plugin.isolate_register_metrics(registry)
    found = registry.get(name)
    assert found is not None
    metric: Metric = found.resolve()(OPTIONS)
    return metric, metric.series(name, found.summary)


@pytest.mark.needs("fio", "iperf3")
@pytest.mark.parametrize("name", [name for name in plugin.METRICS if name != "density"])
def test_a_metric_gives_plausible_figures(name: str, bench: Bench) -> None:
    metric, series = metric_of(name)
    assert metric.applies()
    assert metric.unavailable(bench) is None
    for last in (False, False, True):  # a loaded host may lose one in noise
        try:
            value = metric.sample(bench)
            break
        except IsolateError as error:
            if last or "lost in noise" not in str(error):
                raise
    values = dict(value) if not isinstance(value, float) else {name: value}
    expected = SERIES.get(name, set(series))
    if bench.name == "host":
        expected = {row for row in expected if not row.startswith("startup.")}
    assert values.keys() == expected <= set(series)
    for row, figure in values.items():
        low, high = PLAUSIBLE.get(row) or PLAUSIBLE[name]
        assert low < figure < high, row


def test_density_stops_at_its_most_and_leaves_nothing(bench: Bench) -> None:
    metric = Density(OPTIONS)
    metric.most = 6
    assert metric.sample(bench) == 6.0
    assert bench.memory()[1] == 0, "all that was held is gone"


def test_what_cannot_be_measured_says_why(make: Callable[[str], Bench]) -> None:
    for name in ("fio", "iperf3", "network.host"):
        metric, _series = metric_of(name)
        why = metric.unavailable(make("chroot"))
        assert why is None if name == "network.host" else "no bind mounts" in str(why)


def test_held_programs_are_seen_by_their_memory(bench: Bench) -> None:
    for _ in range(3):
        bench.hold()
    _available, pss = bench.memory()
    assert pss is not None
    assert 3e4 < pss < 1e8
    bench.release()


def test_a_failing_program_is_an_error_with_its_last_words(bench: Bench) -> None:
    with pytest.raises(IsolateError, match="ended with 7: over and out"):
        bench.launch(["sh", "-c", "echo over and out >&2; exit 7"])
    with pytest.raises(IsolateError):
        bench.launch(["no-such-program-anywhere"])
    assert bench.launch(["true"]).marks == [], "and the bench goes on"


def test_a_program_that_hangs_means_that_the_subject_does(bench: Bench) -> None:
    bench.patience = 1
    with pytest.raises(FallenError, match="it hangs"):
        bench.launch(["sleep", "600"])
    bench.patience = 60
    assert bench.launch(["true"]).usage is not None, "a later launch has a fresh process"


def test_a_subject_that_hung_is_not_asked_again(
    make: Callable[[str], Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each of a catalogue's probes would wait as long."""
    monkeypatch.setattr("isolate.probe.subject.PATIENCE", 0.5)
    subject = make("chroot").subject
    assert subject.run(["sleep", "600"], patience=0.2).status is None
    assert not subject.hung, "a probe's own bound is no hang"
    assert subject.run(["sleep", "600"], patience=0.5).status is None
    with pytest.raises(IsolateError, match="isn't asked again"):
        subject.run(["true"])


def test_marks_are_paced_by_the_host(bench: Bench) -> None:
    script = "echo one; read -r go; echo two; read -r go; echo three"
    launched = bench.launch(["sh", "-c", script], paced=True)
    assert [text for _at, text in launched.marks] == ["one", "two", "three"]
    times = [at for at, _text in launched.marks]
    assert times == sorted(times)
    assert launched.between("began", "spoke") <= times[0] - launched.times["began"]


@pytest.mark.needs("hyperfine")
def test_the_command_agrees_with_hyperfine_within_15_percent(
    make: Callable[[str], Bench], tmp_path: Path
) -> None:
    """No time is asserted, but the ratio of two measurements of the same thing, interleaved.

    On a loaded host single rounds may disagree; one of four, each with more samples than the one
    before, has to agree.
    """
    bench = make("chroot")
    command = bench.subject.command(["true"], {})
    found = []
    for rounds in (4, 6, 8, 12):
        ours: list[float] = []
        theirs: list[float] = []
        for _ in range(rounds):
            ours += [bench.spawn(["true"]) for _ in range(3)]
            theirs += hyperfine(command, tmp_path / "hyperfine.json")
        found.append(statistics.median(ours) / statistics.median(theirs))
        if abs(found[-1] - 1) <= 0.15:
            return
    pytest.fail(f"ours over hyperfine's: {found}")


def hyperfine(command: list[str], file: Path) -> list[float]:
    """Seconds of three runs."""
    subprocess.run(
        [
            str(shutil.which("hyperfine")),
            *("--shell=none", "--runs=3", "--style=none", f"--export-json={file}"),
            " ".join(command),
        ],
        check=True,
        capture_output=True,
    )
    times: list[float] = json.loads(file.read_text())["results"][0]["times"]
    return times
