"""The ordered steps of a bubblewrap container, up to the execution of bwrap."""

from __future__ import annotations

from isolate.linux.names import RLIMITS
from isolate.native import identity_steps as identity
from isolate.native import limits
from isolate.native import process_steps as process
from isolate.native.half import CONFIGURED, MAPPED
from isolate.native.rootfs_steps import PrivatePropagation
from isolate.native.stage import Stage
from isolate.native.views import supported
from isolate.spec import meaning
from isolate_bubblewrap import command
from isolate_bubblewrap import steps as own

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.linux.cgroup import Entry
    from isolate.native.rootfs_steps import AttachRoot
    from isolate.native.step import Step
    from isolate.spec.model import Spec

NAME = "bwrap"


def views(spec: Spec) -> frozenset[str]:
    """The container's namespaces. Stray processes end with their pid 1, so there always is one."""
    return (meaning.views(spec, supported()) | {"pids"}) - {"time"}


def choose(spec: Spec, id: str, stage: str, *, attached: bool) -> command.Choices:
    """What is decided about a spec on this host."""
    return command.Choices(
        views=views(spec),
        stage=stage,
        hostname=spec.hostname or id[:64],
        attached=attached,
        filtered=meaning.filter_name(spec) != meaning.UNCONFINED,
    )


def steps(
    spec: Spec,
    chosen: command.Choices,
    program: str,
    attach_root: AttachRoot,
    *,
    stdio: tuple[int, int, int] = (0, 1, 2),
    entry: Entry | None = None,
) -> list[Step]:
    """Everything between clone and `program`, which is bwrap, in order."""
    rlimits = {RLIMITS[name]: limit for name, limit in spec.process.rlimits.items()}
    points = own.MountPoints(spec)
    return [
        limits.EnterCgroups(entry),
        identity.WaitFor(MAPPED, "the launcher has written the id maps"),
        identity.RootInside(),
        identity.SessionKeyring(),
        process.NewSession(),
        PrivatePropagation(),
        identity.WaitFor(CONFIGURED, "the launcher has configured the root"),
        own.Sources(attach_root, spec),
        points,
        Stage(chosen.stage, [(name, name) for name in command.staged(spec)]),
        identity.ResolveUser(None, ()),
        process.Umask(spec.process.umask),
        *([identity.Rlimits(rlimits)] if rlimits else []),
        identity.DieWithLauncher(),
        own.Bwrap(program, spec, chosen, points, stdio),
    ]
