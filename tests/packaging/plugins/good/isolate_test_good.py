"""A whole backend of a third party: it keeps containers in name only."""

from __future__ import annotations

from isolate.backend import Backend, ExitStatus, Handle, Plan, PlanStep
from isolate.hookspecs import hookimpl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.backend import Context, Problem
    from isolate.plugins import Registry
    from isolate.spec import Spec


class Good(Backend):
    """Promises a root directory, and nothing more."""

    api_version = 1
    name = "good"
    summary = "for the tests"

    def check(self) -> list[Problem]:
        return []

    def capabilities(self) -> frozenset[str]:
        return frozenset({"root"})

    def explain(self, spec: Spec) -> Plan:
        return Plan(steps=(PlanStep(name="pretend", what=" ".join(spec.process.args)),))

    def create(self, spec: Spec, context: Context) -> Handle:
        return Handle(id=context.id, backend=self.name)

    def start(self, handle: Handle) -> None:
        pass

    def wait(self, handle: Handle, timeout: float | None = None) -> ExitStatus | None:
        return ExitStatus(code=0)

    def status(self, handle: Handle) -> str:
        return "stopped"

    def kill(self, handle: Handle, signal: int, *, everyone: bool = False) -> None:
        pass

    def delete(self, handle: Handle) -> None:
        pass


@hookimpl
def isolate_register_backends(registry: Registry) -> None:
    registry.add("good", Good)
