"""The bundle: config.json, and the mounts that it names, prepared before the runtime runs."""

from __future__ import annotations

import os

from isolate.errors import HostError, LaunchError
from isolate.native import detached, execution
from isolate.native.accounts import resolve
from isolate.native.half import open_binds
from isolate.native.mount_steps import Bind, open_device
from isolate.native.mountpoints import KERNEL
from isolate.native.stage import Stage, choose_stage
from isolate.native.step import StepError
from isolate.oci import User, to_oci
from isolate.oci import linux as oci_linux
from isolate.spec.meaning import DEFAULT_PATH
from isolate_runc.steps import BareHost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from isolate.backend.types import Context
    from isolate.native.maps import Maps
    from isolate.native.prepared import Prepared
    from isolate.native.step import Step
    from isolate.spec.model import Spec

ROOT = "root"
CONFIG = "config.json"
_VERSION = "1.0.2"  # crun before 1.9 takes no later one; nothing later is in these documents

_PLAIN = {f"r{word}": word for word in ("ro", "nosuid", "nodev", "noexec")}


class Bundle:
    """What `create` hands to the runtime.

    Attributes:
        steps: those that attach the root and the sources of volumes and devices.
    """

    def __init__(
        self,
        spec: Spec,
        context: Context,
        binary: str,
        prepared: Prepared,
        *,
        without_nofile: bool,
    ) -> None:
        self._spec = spec
        self._without_nofile = without_nofile
        self._context = context
        self._prepared = prepared
        try:
            self._place = choose_stage(context.directory, os.path.realpath(binary))
        except StepError as error:
            raise HostError(str(error), hint="make /mnt an empty directory") from None
        self.steps: list[Step] = []

    def prepare(
        self, maps: Maps | None, views: Iterable[str], cgroups_path: str, *, cgroup2: bool
    ) -> None:
        """Prepare the mounts and write config.json. Raises IsolateError."""
        binds = self._open_binds()
        try:
            root = detached.open_root(self._context, maps, binds, self._prepared)
        except OSError as error:
            raise LaunchError(f"the root can't be mounted: {error.strerror or error}") from None
        self._context.checkpoint("root.mounted")
        places = [(detached.ROOT, ROOT)]
        places += [(bind.name, self._name(n)) for n, bind in enumerate(binds)]
        places += [(f"device.{n}", f"device.{n}") for n, _ in enumerate(self._spec.devices)]
        self.steps = [Stage(self._place, places)]
        if self._context.root.kind == "host":
            self.steps.append(BareHost(f"{self._place}/{ROOT}"))
        user = self._user(root)
        self._look_up(root)
        staged = stage_sources(self._spec, self._place)
        made = to_oci(
            staged,
            rootfs=f"{self._place}/{ROOT}",
            id=self._context.id,
            user=user,
            views=views,
            maps=None if maps is None else (maps.uids, maps.gids),
            cgroups_path=cgroups_path,
            cgroup2=cgroup2,
        )
        add_devices(made, self._spec, self._place)
        made["ociVersion"] = _VERSION
        flatten_options(made, self._place)
        if self._without_nofile:
            rows = made["process"].get("rlimits", [])
            made["process"]["rlimits"] = [row for row in rows if row["type"] != "RLIMIT_NOFILE"]
        self._write(made)

    def _open_binds(self) -> list[Bind]:
        binds = [Bind(mount) for mount in self._spec.mounts if mount.type == "bind"]
        open_binds(binds, self._prepared)
        for number, device in enumerate(self._spec.devices):
            try:
                self._prepared[f"device.{number}"] = open_device(device.path, None)
            except (OSError, StepError) as error:
                raise HostError(f"device {device.path}: {error}") from None
        return binds

    @staticmethod
    def _name(number: int) -> str:
        return f"volume.{number}"

    def _user(self, root: int) -> User:
        """By the root's own files. Without its group the spec's user has what they say."""
        try:
            account = resolve(root, self._spec.process.user)
        except StepError as error:
            raise LaunchError(str(error)) from None
        groups = self._spec.process.groups or account.groups
        return User(account.uid, account.gid, groups, account.home)

    def _look_up(self, root: int) -> None:
        """Refuse a working directory or a program that surely isn't in the root: runtimes make
        the one silently, and tell of the other on the program's own standard error. What may lie
        on a mount isn't seen here, and is left to them. Raises LaunchError, ExecError."""
        cwd = os.path.normpath(self._spec.process.cwd)
        made = (*KERNEL, *(os.path.normpath(mount.target) for mount in self._spec.mounts))
        if not any(f"{cwd}/".startswith(f"{path}/") or path.startswith(f"{cwd}/") for path in made):
            execution.require_directory(root, cwd)
        if not self._spec.mounts and self._spec.process.args:
            path = self._spec.process.env.get("PATH", DEFAULT_PATH)
            execution.require(root, self._spec.process.args[0], path=path, cwd=cwd)

    def _write(self, made: dict[str, Any]) -> None:
        import json

        path = f"{self._context.directory}/{CONFIG}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(path, flags, 0o600), "w", encoding="utf-8") as file:
            json.dump(made, file)


def stage_sources(spec: Spec, place: str) -> Spec:
    """The spec with volumes that come from the stage, where they lie with their attributes and
    owners as asked, and without devices, which come from there as well."""
    number = 0
    mounts = []
    for mount in spec.mounts:
        if mount.type == "bind":
            mounts.append(mount.replace(source=f"{place}/volume.{number}", idmap=False))
            number += 1
        else:
            mounts.append(mount)
    return spec.replace(mounts=tuple(mounts), devices=())


def flatten_options(config: dict[str, Any], place: str) -> None:
    """What comes from the stage has its attributes on all that is mounted below already; so the
    plain options do, and crun can't show a single file with the recursive ones."""
    for mount in config["mounts"]:
        if str(mount["source"]).startswith(f"{place}/"):
            mount["options"] = [_PLAIN.get(option, option) for option in mount["options"]]


def add_devices(config: dict[str, Any], spec: Spec, place: str) -> None:
    """Devices as bind mounts: runtimes bind a node by its path inside, whatever its numbers."""
    nodes = [oci_linux.node_of(device, f"devices[{n}]") for n, device in enumerate(spec.devices)]
    config["linux"]["resources"]["devices"] = oci_linux.device_rules(
        nodes, privileged=spec.privileges.privileged
    )
    for number, (node, _access) in enumerate(nodes):
        config["mounts"].append(
            {
                "destination": node["path"],
                "type": "bind",
                "source": f"{place}/device.{number}",
                "options": ["bind", "rprivate", "nosuid", "noexec"],
            }
        )
