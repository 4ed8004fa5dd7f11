"""The comparison's document: what was found and measured, with all that it takes to judge it.

Renderers read it and never measure; `isolate compare show` and `diff` read it from a file. What was
not measured is null, never 0.
"""

from __future__ import annotations

from isolate.backend.types import Problem
from isolate.probe.model import VERDICTS, Finding
from isolate.probe.subject import HOST
from isolate.spec.kinds import Boolean, Choice, Integer, Items, Mapping, Nested, Number, Text
from isolate.spec.record import Record, field

SCHEMA = "isolate.compare/1"
AGAIN = f"{HOST} again"  # the baseline measured against itself: the A/A control
ALL_LAYERS = "all"  # stands for a layer where every one was dropped

_SECONDS = Number(0.0, 1e12, "seconds")
_ANY = Number(-1e300, 1e300, "a number")
_TEXTS = Items(Text())
_ROWS = 2**17  # rows are products: probes by backends, and by layers


class Environment(Record):
    """The host and the moment: what figures of other hosts can't be compared without."""

    isolate: str = field(Text(), doc="the version of isolate")
    python: str = field(Text(), doc="the version of the Python that measured")
    kernel: str = field(Text(), doc="the kernel's release and version")
    machine: str = field(Text(), doc="the architecture")
    cpu: str = field(Text(), doc="the CPU's model name")
    cpus: int = field(Integer(1), doc="CPUs that may be used")
    memory_bytes: int = field(Integer(0), doc="the host's memory")
    governor: str | None = field(Text(), default=None, doc="the CPU frequency governor")
    virtualization: str | None = field(Text(), default=None, doc="the hypervisor, where one shows")
    load: tuple[float, ...] = field(Items(_ANY), default=(), doc="load averages at the start")
    load_end: tuple[float, ...] = field(Items(_ANY), default=(), doc="and at the end")
    mitigations: dict[str, str] = field(
        Mapping(Text(), Text()), default={}, doc="the kernel's word on each CPU vulnerability"
    )
    cgroups: str | None = field(Text(), default=None, doc="v1, v2 or hybrid")
    lsms: tuple[str, ...] = field(_TEXTS, default=(), doc="active Linux security modules")
    user: int = field(Integer(0), doc="the user id that compared")
    started: str = field(Text(), doc="when it began: ISO 8601, UTC")
    seconds: float | None = field(_SECONDS, default=None, doc="how long it took")
    command: tuple[str, ...] = field(_TEXTS, default=(), doc="the command line")


class BackendRow(Record):
    """One backend, also one that can't run here."""

    name: str = field(Text(), doc="its name")
    distribution: str = field(Text(), doc="where it comes from")
    version: str = field(Text(), doc="that distribution's version")
    tool: str | None = field(Text(), default=None, doc="the version of the runtime that it drives")
    summary: str = field(Text(), default="", doc="what it is")
    usable: bool = field(Boolean(), doc="whether it works on this host")
    problems: tuple[Problem, ...] = field(
        Items(Nested(Problem)), default=(), doc="why it doesn't, each with its remedy"
    )
    features: tuple[str, ...] = field(_TEXTS, default=(), doc="what it promises here")
    failure: str | None = field(
        Text(), default=None, doc="why it fell out of the comparison in the middle"
    )


class MetricRow(Record):
    """One metric of one backend: raw samples, and the ratio to the bare baseline."""

    metric: str = field(Text(), doc="the metric's name")
    summary: str = field(Text(), default="", doc="what is measured, and how")
    backend: str = field(
        Text(), doc="the backend; `host`: the bare baseline; `host again`: its A/A control"
    )
    unit: str = field(Text(), doc="of the samples: s, B, 1/s, ...")
    better: str = field(Choice("lower", "higher"), default="lower", doc="which is better")
    samples: tuple[float, ...] = field(
        Items(_ANY), default=(), doc="one for each block, in order; a failed one is left out"
    )
    blocks: tuple[int, ...] = field(
        Items(Integer(0)), default=(), doc="the number of each sample's block"
    )
    failures: tuple[str, ...] = field(_TEXTS, default=(), doc="why samples are missing")
    median: float | None = field(_ANY, default=None, doc="of the samples")
    ratio: float | None = field(
        _ANY, default=None, doc="median of the per-block ratios to the baseline"
    )
    low: float | None = field(_ANY, default=None, doc="lower end of its 95% interval")
    high: float | None = field(_ANY, default=None, doc="upper end")
    p: float | None = field(
        _ANY, default=None, doc="sign-flip permutation test, corrected by Holm's method"
    )
    same: bool | None = field(
        Boolean(), default=None, doc="whether the whole interval lies within 5% of the baseline"
    )
    flags: tuple[str, ...] = field(_TEXTS, default=(), doc="drift, bimodal, ...")
    note: str | None = field(Text(), default=None, doc="why nothing was measured, or what differs")


class LayerRow(Record):
    """One layer of a backend's, and how it is dropped."""

    backend: str = field(Text(), doc="the backend")
    layer: str = field(Text(), doc="seccomp, capabilities, ...")
    overlay: str = field(Text(), default="{}", doc="the spec document that drops it, as JSON")
    note: str | None = field(Text(), default=None, doc="why it can't be dropped alone")


class AblationRow(Record):
    """One probe without some layers of a backend's.

    A layer whose loss alone exposes was the only defence. The layers that each suffice alone are
    the independent defences: their number is how many must fail.
    """

    backend: str = field(Text(), doc="the backend")
    layer: str = field(Text(), doc=f"the layer; `{ALL_LAYERS}`: every layer that can be dropped")
    alone: bool = field(
        Boolean(), default=False, doc="false: this layer was dropped; true: all the others were"
    )
    probe: str = field(Text(), doc="the probe's id")
    verdict: str = field(Choice(*VERDICTS), doc="then")
    evidence: str = field(Text(), default="", doc="what was found then")


class PriceRow(Record):
    """What one layer of a backend costs: a metric with it less the same without it, in pairs."""

    backend: str = field(Text(), doc="the backend")
    layer: str = field(Text(), doc="what was dropped")
    metric: str = field(Text(), doc="the metric")
    difference: float | None = field(_ANY, default=None, doc="median difference, in the unit")
    low: float | None = field(_ANY, default=None, doc="lower end of its 95% interval")
    high: float | None = field(_ANY, default=None, doc="upper end")
    unit: str = field(Text(), default="s", doc="of the difference")
    note: str | None = field(Text(), default=None, doc="why nothing was measured")


class Settings(Record):
    """What was asked for: enough to do it again."""

    root: str = field(Text(), default="base", doc="the root filesystem of all")
    spec: dict[str, object] = field(
        Mapping(Text(), Text()), default={}, doc="the spec document, as JSON text by its keys"
    )
    seed: int = field(Integer(0), default=0, doc="of the order of the trials and the resampling")
    blocks: int | None = field(Integer(1), default=None, doc="how many were asked for")
    budget: float | None = field(_SECONDS, default=None, doc="seconds that measuring might take")
    quick: bool = field(Boolean(), default=False, doc="fewer blocks, wider intervals")
    workload: tuple[str, ...] = field(_TEXTS, default=(), doc="the user's own program")


class Comparison(Record):
    """The whole document."""

    schema: str = field(Choice(SCHEMA), default=SCHEMA, doc="what this document is")
    environment: Environment = field(Nested(Environment), doc="the host and the moment")
    settings: Settings = field(Nested(Settings), default={}, doc="what was asked for")
    backends: tuple[BackendRow, ...] = field(Items(Nested(BackendRow)), doc="in their order")
    probes: tuple[Finding, ...] = field(
        Items(Nested(Finding), most=_ROWS), default=(), doc="the matrix"
    )
    metrics: tuple[MetricRow, ...] = field(
        Items(Nested(MetricRow), most=_ROWS), default=(), doc="the costs"
    )
    layers: tuple[LayerRow, ...] = field(Items(Nested(LayerRow)), default=(), doc="of defence")
    ablation: tuple[AblationRow, ...] = field(
        Items(Nested(AblationRow), most=_ROWS), default=(), doc="probes without some layers"
    )
    prices: tuple[PriceRow, ...] = field(
        Items(Nested(PriceRow), most=_ROWS), default=(), doc="of the layers"
    )
    warnings: tuple[str, ...] = field(
        _TEXTS, default=(), doc="what a reader must know: a failed A/A control, an interruption"
    )
