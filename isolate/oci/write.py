"""From a spec to the config.json of the OCI runtime specification 1.2."""

from __future__ import annotations

from isolate.errors import SpecError
from isolate.linux import capabilities
from isolate.linux.cgroup.knobs import quota
from isolate.oci import mounts
from isolate.oci.linux import section
from isolate.oci.words import (
    CARRIED,
    CGROUPS_PATH,
    HOOKS,
    PREFIX,
    QUOTA_PERIOD,
    UNLIMITED,
    VERSION,
    User,
)
from isolate.spec import meaning
from isolate.spec.model import VIEWS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from isolate.spec.model import Hook, Spec

    Range = tuple[int, int, int]


def to_oci(
    spec: Spec,
    *,
    rootfs: str,
    id: str,
    user: User | None = None,
    views: Iterable[str] = VIEWS,
    maps: tuple[Sequence[Range], Sequence[Range]] | None = None,
    cgroups_path: str | None = None,
    cgroup2: bool = False,
) -> dict[str, Any]:
    """The config.json of a container, as plain data.

    Args:
        spec: what is asked; its unsaid fields get the defaults of `isolate.spec.meaning`.
        rootfs: `root.path`, where the root filesystem lies or will be mounted.
        id: the container's id, which is the host name where the spec has none.
        user: whom the program runs as; none said: what `process.user` says in numbers.
        views: the namespaces that the runtime has.
        maps: ranges (inside, outside, count) of user and group ids; none said: the spec's own.
        cgroups_path: `linux.cgroupsPath`, in the form that the runtime takes.
        cgroup2: the host has nothing but cgroup version 2.

    Raises SpecError for what OCI has neither a word nor an annotation for, by the spec's path.
    """
    chosen = meaning.views(spec, views)
    maps = _maps(spec, chosen, maps)
    tty_group = maps is None or any(first <= 5 < first + count for first, _, count in maps[1])
    made: dict[str, Any] = {
        "ociVersion": VERSION,
        "process": _process(spec, user or _user(spec)),
        "root": {"path": rootfs, "readonly": spec.root.readonly},
    }
    if "hostname" in chosen:
        made["hostname"] = spec.hostname or id[:64]
    made["mounts"] = [
        *mounts.customary(spec, chosen, tty_group=tty_group, cgroup2=cgroup2),
        *(mounts.asked(mount, f"mounts[{n}]", maps) for n, mount in enumerate(spec.mounts)),
    ]
    if hooks := _hooks(spec):
        made["hooks"] = hooks
    if annotations := _annotations(spec, rootfs):
        made["annotations"] = annotations
    path = cgroups_path or spec.annotations.get(CGROUPS_PATH)
    made["linux"] = section(spec, chosen, maps, cgroups_path=path, cgroup2=cgroup2)
    return made


def _maps(
    spec: Spec,
    views: frozenset[str],
    given: tuple[Sequence[Range], Sequence[Range]] | None,
) -> tuple[Sequence[Range], Sequence[Range]] | None:
    if "users" not in views:
        return None
    asked = spec.privileges
    own = tuple(
        [(row.inside, row.outside, row.size) for row in rows]
        for rows in (asked.uid_map, asked.gid_map)
    )
    maps = given or (own[0], own[1])
    if not maps[0]:
        raise SpecError(
            "privileges.uid_map",
            "OCI wants the ids of the user namespace",
            hint="say uid_map and gid_map, or users = host for none",
        )
    return maps


def _user(spec: Spec) -> User:
    name, _, group = (spec.process.user or "0:0").partition(":")
    if not name.isdigit() or not (group or "0").isdigit():
        raise SpecError(
            "process.user",
            f"{spec.process.user} is a name, and OCI wants numbers",
            hint="as in --user 1000:1000",
        )
    return User(int(name), int(group or 0), spec.process.groups)


def _process(spec: Spec, user: User) -> dict[str, Any]:
    process = spec.process
    who: dict[str, Any] = {"uid": user.uid, "gid": user.gid, "umask": process.umask}
    if user.groups:
        who["additionalGids"] = list(user.groups)
    names = list(capabilities.to_names(meaning.capability_mask(spec)))
    made: dict[str, Any] = {
        "terminal": process.terminal,
        "user": who,
        "args": list(process.args),
        "env": [f"{name}={value}" for name, value in _env(spec, user).items()],
        "cwd": process.cwd,
        "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), names),
        "noNewPrivileges": meaning.no_new_privileges(spec),
    }
    if process.rlimits:
        made["rlimits"] = [
            {"type": f"RLIMIT_{name.upper()}", "soft": _bound(row.soft), "hard": _bound(row.hard)}
            for name, row in process.rlimits.items()
        ]
    if process.oom_score_adj is not None:
        made["oomScoreAdj"] = process.oom_score_adj
    if spec.privileges.lsm_label is not None:
        made[_label_key(spec.privileges.lsm_label)] = spec.privileges.lsm_label
    return made


def _env(spec: Spec, user: User) -> dict[str, str]:
    """PATH, HOME and TERM get a value where none is given; HOME only where it is known."""
    home = {} if user.home is None else {"HOME": user.home}
    env = {"PATH": meaning.DEFAULT_PATH, **home, **spec.process.env}
    if spec.process.terminal:
        env.setdefault("TERM", "xterm")
    return env


def _bound(value: int) -> int:
    return UNLIMITED if value == -1 else value


def _label_key(label: str) -> str:
    """An SELinux context has at least three colons' worth of parts; a profile's name has not."""
    return "selinuxLabel" if label.count(":") >= 2 else "apparmorProfile"


def _hooks(spec: Spec) -> dict[str, Any]:
    return {
        word: [
            _hook(hook, f"hooks.{name}[{n}]") for n, hook in enumerate(getattr(spec.hooks, name))
        ]
        for name, word in HOOKS.items()
        if getattr(spec.hooks, name)
    }


def _hook(hook: Hook, path: str) -> dict[str, Any]:
    made: dict[str, Any] = {"path": hook.path}
    if hook.args:
        made["args"] = list(hook.args)
    if hook.env:
        made["env"] = [f"{name}={value}" for name, value in hook.env.items()]
    if hook.timeout is not None:
        if hook.timeout != int(hook.timeout):
            raise SpecError(f"{path}.timeout", "OCI counts whole seconds")
        made["timeout"] = int(hook.timeout)
    return made


def _annotations(spec: Spec, rootfs: str) -> dict[str, str]:
    """The spec's own, and behind our prefix what OCI has no word for."""
    import json

    for key in spec.annotations:
        if key.startswith(PREFIX):
            raise SpecError(f"annotations.{key}", f"names that begin with {PREFIX} are taken")
    made = {key: value for key, value in spec.annotations.items() if key != CGROUPS_PATH}
    said = spec.to_dict()
    said["root"] = {} if spec.root.source == rootfs else {"source": spec.root.source}
    for path in CARRIED:
        table, _, key = path.rpartition(".")
        values = said.get(table, {}) if table else said
        if key in values:
            made[PREFIX + path] = json.dumps(values[key])
    cpus = spec.limits.cpus
    if cpus is not None and quota(cpus) / QUOTA_PERIOD != cpus:  # finer than a microsecond
        made[f"{PREFIX}limits.cpus"] = json.dumps(cpus)
    return made
