"""Ablation: the probes again without each layer, and with each alone; what each layer costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isolate.compare import layers
from isolate.compare.document import ALL_LAYERS, AblationRow
from isolate.compare.rows import price_row
from isolate.compare.trials import Plan, Task, Trials
from isolate.spec.load import merge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

    from isolate.compare.bench import Bench
    from isolate.compare.document import LayerRow, PriceRow
    from isolate.compare.metric import Metric, Series
    from isolate.probe.session import Session

    Say = Callable[[str, float], None]
    MakeBench = Callable[[str, Mapping[str, Any], str], Bench]
    Measured = tuple[Metric, Mapping[str, Series]]


class Ablation:
    """The layers of one backend.

    Args:
        bench: the backend in its whole hardening.
        document: its spec document.
        make: a bench of a backend with a document, under a name.
    """

    def __init__(self, bench: Bench, document: Mapping[str, Any], make: MakeBench) -> None:
        self._bench = bench
        self._document = document
        self._make = make
        self.layers = layers.of(bench, document)

    @property
    def _droppable(self) -> list[LayerRow]:
        return [row for row in self.layers if row.note is None]

    def _variant(self, name: str, dropped: Sequence[LayerRow]) -> Bench:
        document = _merged(self._document, layers.combined(dropped))
        return self._make(self._bench.name, document, f"{self._bench.name}: {name}")

    def probes(self, session: Session, say: Say) -> Iterator[AblationRow]:
        """Every probe with each layer dropped, with every other dropped, and with all of them."""
        droppable = self._droppable
        variants: list[tuple[str, bool, list[LayerRow]]] = []
        for row in droppable:
            variants.append((row.layer, False, [row]))
            others = [other for other in droppable if other is not row]
            if others:
                variants.append((row.layer, True, others))
        if droppable:
            variants.append((ALL_LAYERS, False, droppable))
        for number, (layer, alone, dropped) in enumerate(variants):
            words = f"only {layer}" if alone else f"without {layer}"
            say(f"{self._bench.name} {words}", number / len(variants))
            bench = self._variant(words, dropped)
            try:
                for finding in session.findings(bench.subject):
                    yield AblationRow(
                        backend=self._bench.name,
                        layer=layer,
                        alone=alone,
                        probe=finding.probe,
                        verdict=finding.verdict,
                        evidence=finding.evidence,
                    )
            finally:
                bench.close()

    def prices(self, measured: Sequence[Measured], plan: Plan, say: Say) -> list[PriceRow]:
        """The marginal cost of each layer: trials of the whole and of each variant, interleaved."""
        variants = {
            row.layer: self._variant(f"without {row.layer}", [row]) for row in self._droppable
        }
        benches = [self._bench, *variants.values()]
        tasks = [
            Task(metric, series, [bench.name for bench in benches]) for metric, series in measured
        ]
        trials = Trials(benches, tasks, plan, say)
        try:
            trials.run()
        finally:
            for bench in variants.values():
                bench.close()
        return [
            price_row(
                task,
                series,
                whole=self._bench.name,
                less=bench.name,
                layer=layer,
                seed=plan.seed,
            )
            for task in tasks
            for series in list(task.series)[:1]  # the metric itself, without its parts
            for layer, bench in variants.items()
        ]


def _merged(document: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """The document without what the overlay drops; a list of views is the overlay's own."""
    whole = merge(
        dict(document), {key: value for key, value in overlay.items() if key != "isolate"}
    )
    return {**whole, **({"isolate": overlay["isolate"]} if "isolate" in overlay else {})}
