"""The comparison: surveys backends, runs probes, trials and ablation, gives the document."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from typing import TYPE_CHECKING, Any

from isolate.compare import environment
from isolate.compare.ablate import Ablation
from isolate.compare.bench import PATIENCE, Bench
from isolate.compare.document import AGAIN, BackendRow, Comparison, Settings
from isolate.compare.metric import Options
from isolate.compare.registered import metrics, probes
from isolate.compare.rows import rows_of, warnings_of
from isolate.compare.trials import Plan, Task, Trials
from isolate.compare.watch import Watch
from isolate.errors import IsolateError, PluginError
from isolate.plugins import catalogue
from isolate.probe.session import Session
from isolate.probe.subject import Bare, Contained
from isolate.runtime.collect import collect
from isolate.runtime.stores import open_store
from isolate.spec.load import merge

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

    from isolate.compare.document import AblationRow, LayerRow, PriceRow
    from isolate.probe.model import Finding

PROPERTIES, OVERHEAD, ABLATE = "properties", "overhead", "ablate"
INTERRUPTED = "interrupted: this is what was known by then"
QUICK_BUDGET = 40.0  # seconds of measuring
_QUICK_PATIENCE = 15.0
_QUICK_LOOP = 0.02  # seconds that a loop inside runs
_LOOP = 0.1
_PRICED = ("startup", "syscall")  # metrics by which a layer's price is told


class Request:
    """What is compared, and how.

    Attributes:
        parts: of PROPERTIES, OVERHEAD and ABLATE.
        backends: their names; None: every one that works here.
        root: the root filesystem of all.
        document: the spec document of all, without program and root.
        workload: the user's own program.
        blocks, budget, seed: see `isolate.compare.trials.Plan`.
        quick: fewer metrics, shorter loops, a budget of QUICK_BUDGET where none is given.
        command: the command line, for the document.
    """

    def __init__(
        self,
        *,
        parts: frozenset[str],
        seed: int,
        backends: Sequence[str] | None = None,
        root: str = "base",
        document: Mapping[str, Any] | None = None,
        workload: Sequence[str] = (),
        blocks: int | None = None,
        budget: float | None = None,
        quick: bool = False,
        command: Sequence[str] = (),
    ) -> None:
        self.parts = parts
        self.backends = None if backends is None else tuple(backends)
        self.root = root
        self.document = merge(dict(document or {}), {"root": {"source": root}})
        self.workload = tuple(workload)
        self.plan = Plan(
            blocks=blocks, budget=QUICK_BUDGET if quick and budget is None else budget, seed=seed
        )
        self.quick = quick
        self.command = tuple(command)

    def settings(self) -> Settings:
        """As the document keeps it."""
        return Settings(
            root=self.root,
            spec={key: json.dumps(value) for key, value in self.document.items()},
            seed=self.plan.seed,
            blocks=self.plan.blocks,
            budget=self.plan.budget,
            quick=self.quick,
            workload=self.workload,
        )


def compare(request: Request, watch: Watch | None = None) -> Comparison:
    """Compare. An interruption (KeyboardInterrupt) ends it early, with what is known so far.

    Raises IsolateError for a request that can't be understood.
    """
    with _Run(request, watch or Watch()) as run:
        run.run()
        return run.document()


class _Run:
    """One comparison on its way. Everything that it makes lies in one directory."""

    def __init__(self, request: Request, watch: Watch) -> None:
        self._request = request
        self._watch = watch
        self._environment = environment.survey(request.command)
        self._backends = _chosen(request.backends)
        # On a disk, as containers' files usually are, and not in a memory filesystem like /run.
        self._directory = tempfile.mkdtemp(prefix="isolate-compare-", dir="/var/tmp")
        self._made = 0
        self._benches: list[Bench] = []
        self._session = Session({})
        self._tasks: list[Task] = []
        self._findings: list[Finding] = []
        self._layers: list[LayerRow] = []
        self._ablated: list[AblationRow] = []
        self._prices: list[PriceRow] = []
        self._warnings: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        for bench in self._benches:
            bench.close()
            collect(open_store(bench.state))
        shutil.rmtree(self._directory, ignore_errors=True)

    def run(self) -> None:
        """All parts that are asked for, one after the other."""
        try:
            self._start()
            if PROPERTIES in self._request.parts:
                self._probe()
            if OVERHEAD in self._request.parts:
                self._measure()
            if ABLATE in self._request.parts:
                self._ablate()
        except KeyboardInterrupt:
            self._warnings.append(INTERRUPTED)

    def document(self) -> Comparison:
        """What is known."""
        rows = rows_of(self._tasks, self._request.plan.seed)
        return Comparison(
            environment=environment.finished(self._environment),
            settings=self._request.settings(),
            backends=tuple(self._backends.values()),
            probes=tuple(self._findings),
            metrics=tuple(rows),
            layers=tuple(self._layers),
            ablation=tuple(self._ablated),
            prices=tuple(self._prices),
            warnings=(*self._warnings, *warnings_of(rows)),
        )

    def _start(self) -> None:
        """A bench for each usable backend; one that can't run `true` is out before it begins."""
        self._watch.stage("starting")
        usable = [row.name for row in self._backends.values() if row.usable]
        for number, name in enumerate(usable):
            self._watch.say(name, number / len(usable))
            try:
                bench = self._bench(name, self._request.document, name)
            except IsolateError as error:
                self._fell(name, error.message)
                continue
            self._benches.append(bench)
            try:
                bench.launch(["true"])
            except IsolateError as error:
                self._fell(name, error.message)

    def _bench(self, backend: str, document: Mapping[str, Any], name: str) -> Bench:
        self._made += 1
        state = f"{self._directory}/state{self._made}"
        subject = Contained(backend, document, state, name=name)
        return Bench(subject, state, "", patience=self._patience)

    @property
    def _patience(self) -> float:
        return _QUICK_PATIENCE if self._request.quick else PATIENCE

    def _fell(self, name: str, why: str) -> None:
        self._backends[name] = self._backends[name].replace(failure=why)

    @property
    def _standing(self) -> list[Bench]:
        return [bench for bench in self._benches if self._backends[bench.name].failure is None]

    def _probe(self) -> None:
        self._watch.stage("probing")
        self._session = Session(probes())
        benches = self._standing
        self._watch.say("the bare host, as the positive control", 0)
        _ = self._session.control
        for number, bench in enumerate(benches, 1):
            self._watch.say(bench.name, number / (len(benches) + 1))
            self._findings += self._session.findings(bench.subject)
            if bench.subject.hung:
                self._fell(bench.name, "it hangs (probing)")

    def _measure(self) -> None:
        self._watch.stage("measuring")
        with contextlib.ExitStack() as stack:
            benches = [*self._standing]
            for name in (Bare.name, AGAIN):
                scratch = tempfile.mkdtemp(dir=self._directory)
                bench = Bench(Bare(), scratch, scratch, name=name, patience=self._patience)
                stack.callback(bench.close)
                benches.append(bench)
            names = [Bare.name, AGAIN, *(bench.name for bench in self._standing)]
            self._tasks = [
                Task(metric, series, names)
                for metric, series in metrics(self._options())
                if metric.applies() and (metric.quick or not self._request.quick)
            ]
            trials = Trials(benches, self._tasks, self._request.plan, self._watch.say)
            try:
                trials.run()
            finally:
                for name, why in trials.fallen.items():
                    self._fell(name, why)

    def _options(self) -> Options:
        quick = self._request.quick
        return Options(
            seconds=_QUICK_LOOP if quick else _LOOP, workload=self._request.workload, quick=quick
        )

    def _ablate(self) -> None:
        priced = [
            (metric, series)
            for metric, series in metrics(self._options())
            if next(iter(series)) in _PRICED
        ]
        self._session = Session(probes()) if not self._session.probes else self._session
        for bench in self._standing:
            self._watch.stage(f"ablating {bench.name}")
            ablation = Ablation(bench, self._request.document, self._bench)
            self._layers += ablation.layers
            for row in ablation.probes(self._session, self._watch.say):
                self._ablated.append(row)  # one by one: an interruption keeps them
            self._watch.stage(f"pricing {bench.name}")
            self._prices += ablation.prices(priced, self._request.plan, self._watch.say)


def _chosen(names: Sequence[str] | None) -> dict[str, BackendRow]:
    """The rows of the backends that are compared, in the catalogue's order.

    Raises PluginError for a name that there isn't.
    """
    rows = {row.name: row for row in map(environment.backend_row, catalogue())}
    unknown = [name for name in names or () if name not in rows]
    if unknown:
        raise PluginError(
            f"there is no backend {unknown[0]!r}", hint=f"the backends are: {', '.join(rows)}"
        )
    return {name: row for name, row in rows.items() if names is None or name in names}
