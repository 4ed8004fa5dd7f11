"""Probes of the file system: whether a way leads to the host's files."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from isolate.probe.catalogue.canary import Canary
from isolate.probe.inside import files
from isolate.probe.judge import found_token, judged
from isolate.probe.model import InsideProbe, Outcome, Planted

if TYPE_CHECKING:
    from isolate.probe.model import Answer, Scene

_FILES = "isolate.probe.inside.files"
# Where volumes of the probes appear inside: a place that a read-only root has too.
_VOLUME = "/tmp/isolate-volume"  # noqa: S108 - of the container
_ELSEWHERE = ("/srv", "/opt", "/usr/local", "/var/lib")
_FENCE = "Use a backend with root.fence: pivot_root or a machine of its own, not chroot."


def plant_file(scene: Scene) -> str:
    """A file of the host that holds the token and that anybody may read; its path."""
    path = Path(scene.directory, "token")
    path.write_text(scene.token, encoding="ascii")
    path.chmod(0o644)
    path.parent.chmod(0o755)
    return str(path)


def plant_directory(scene: Scene, name: str) -> str:
    """An empty directory of the host's in which anybody may write; its path."""
    path = Path(scene.directory, name)
    path.mkdir()
    path.chmod(0o777)
    path.parent.chmod(0o755)
    return str(path)


def volume(source: str, **options: object) -> dict[str, object]:
    """A row of a spec's mounts: a directory of the host's at `_VOLUME`."""
    return {"type": "bind", "source": source, "target": _VOLUME, **options}


def no_volume(scene: Scene) -> Outcome | None:
    """Nothing can be told where the backend has no volumes, and no bare host stands in for it."""
    if "mounts.bind" in scene.subject.missing({"mounts": [volume(scene.directory)]}):
        return Outcome.unclear("it needs a volume, and this backend has none (mounts.bind)")
    return None


class Direct(InsideProbe):
    """Open the token by its path on the host."""

    meaning = "The program reads the host's files by their paths."
    remedy = "Give it a root of its own: any --rootfs but host."
    feature = "root"
    attempt = f"{_FILES}:read_first"

    def plant(self, scene: Scene) -> Planted:
        self._paths = [plant_file(scene), *_plant_elsewhere(scene)]
        return Planted(paths=self._paths)

    def confirm(self, scene: Scene, answer: Answer) -> Outcome:
        return found_token(scene, answer, f"open {', '.join(self._paths)}")


def _plant_elsewhere(scene: Scene) -> list[str]:
    """The token once more, away from the places for temporary files: a backend that shows the
    host's tree may give the container its own of those. None where we may write nowhere."""
    for place in (*_ELSEWHERE, os.path.expanduser("~")):
        try:
            directory = tempfile.mkdtemp(prefix="isolate-probe-", dir=place)
        except OSError:
            continue
        scene.cleanup(shutil.rmtree, directory)
        Path(directory).chmod(0o755)
        Path(directory, "token").write_text(scene.token, encoding="ascii")
        return [f"{directory}/token"]
    return []


class DoubleChroot(InsideProbe):
    """Leave the root by a second chroot(2), and read the token."""

    meaning = "The program leaves its root directory and has the host's whole file system."
    remedy = _FENCE
    feature = "root.fence"
    attempt = f"{_FILES}:read_after_second_chroot"

    def plant(self, scene: Scene) -> Planted:
        return Planted(path=plant_file(scene))

    def confirm(self, scene: Scene, answer: Answer) -> Outcome:
        return found_token(scene, answer, "chroot again, climb, open the token")


class Proc1Root(InsideProbe):
    """Read the token through the root of process 1, or of another process of the host's."""

    meaning = "The program reads the host's files through /proc/1/root."
    remedy = "Give it process ids and a proc of its own: the view pids."
    feature = "root.fence"
    attempt = f"{_FILES}:read_first"

    def plant(self, scene: Scene) -> Planted:
        path = plant_file(scene)
        return Planted(paths=[f"/proc/{pid}/root{path}" for pid in (1, scene.once(Canary).pid)])

    def confirm(self, scene: Scene, answer: Answer) -> Outcome:
        tried = f"open /proc/1/root{scene.directory}/token, /proc/{scene.once(Canary).pid}/root"
        return found_token(scene, answer, f"{tried} likewise")


class FileHandle(InsideProbe):
    """Open the token by its file handle, from a volume on the same file system."""

    meaning = "From any volume the program reads every file of the host's file system below it."
    remedy = "Drop CAP_DAC_READ_SEARCH, or filter open_by_handle_at(2)."
    feature = "root.fence"
    attempt = f"{_FILES}:read_by_handle"

    def plant(self, scene: Scene) -> Planted:
        kind, handle = files.handle_of(plant_file(scene))
        place = plant_directory(scene, "beside")
        overlay = {"mounts": [volume(place, readonly=True)]}
        inside = _VOLUME if scene.subject.contains else place
        return Planted(overlay, place=inside, kind=kind, handle=handle)

    def confirm(self, scene: Scene, answer: Answer) -> Outcome:
        without = no_volume(scene)
        return without or found_token(scene, answer, "open_by_handle_at of the token's handle")


class SymlinkTarget(InsideProbe):
    """Mount at a target whose path leads through a symbolic link to a directory of the host's."""

    meaning = "A volume or image with a symbolic link makes the runtime write to the host."
    remedy = "Use a backend that resolves mount targets inside the root (CVE-2021-30465)."
    attempt = f"{_FILES}:write_below"

    def plant(self, scene: Scene) -> Planted:
        victim = plant_directory(scene, "victim")
        way = plant_directory(scene, "way")
        Path(way, "link").symlink_to(victim)
        through = f"{_VOLUME}/link/made"
        overlay = {"mounts": [volume(way), {"type": "tmpfs", "target": through}]}
        inside = through if scene.subject.contains else f"{way}/link"
        return Planted(overlay, places=[inside], name="file")

    def confirm(self, scene: Scene, answer: Answer) -> Outcome:
        without = no_volume(scene)
        if without is not None:
            return without
        made, seen = self._look(scene)
        return judged(answer, "mount through a link", reached=made, seen=seen)

    def unanswered(self, scene: Scene, failure: Outcome) -> Outcome:
        """A runtime that refuses such a target is right, if it makes a container without it."""
        made, seen = self._look(scene)
        plain = {"mounts": [volume(f"{scene.directory}/way")]}
        ordinary = scene.subject.run([*scene.subject.python(), "-c", ""], plain)
        if not made and ordinary.status != 0:
            return failure
        return Outcome(reached=made, evidence=f"mount through a link: {failure.evidence}; {seen}")

    def _look(self, scene: Scene) -> tuple[bool, str]:
        """Whether something was made in the host's directory."""
        made = os.listdir(f"{scene.directory}/victim")
        return bool(made), f"in the host's directory: {', '.join(made) or 'nothing'}"


class SuidVolume(InsideProbe):
    """Put a set-uid file into a volume; the host looks whose it is."""

    meaning = "A set-uid root program left in a volume makes anybody on the host root."
    remedy = "Keep user namespaces on (--userns=private): root inside is then nobody outside."
    feature = "view.users"
    attempt = f"{_FILES}:make_set_uid"

    def plant(self, scene: Scene) -> Planted:
        shared = plant_directory(scene, "shared")
        inside = _VOLUME if scene.subject.contains else shared
        return Planted({"mounts": [volume(shared)]}, places=[inside], name="set-uid")

    def confirm(self, scene: Scene, answer: Answer) -> Outcome:
        without = no_volume(scene)
        if without is not None:
            return without
        try:
            found = os.lstat(f"{scene.directory}/shared/set-uid")
        except FileNotFoundError:
            return judged(answer, "make a set-uid file in a volume", reached=False)
        return judged(
            answer,
            "make a set-uid file in a volume",
            reached=found.st_uid == 0 and bool(found.st_mode & stat.S_ISUID),
            seen=f"the host sees mode {found.st_mode & 0o7777:o} of user {found.st_uid}",
        )


class BaseWrite(InsideProbe):
    """Make a file in the image, and write a byte of one back; the host looks at the image."""

    meaning = "The program changes the image, and with it every container made of it later."
    remedy = "Use a backend with root.layer, or --read-only."
    feature = "root.layer"
    attempt = f"{_FILES}:change_image"

    def plant(self, scene: Scene) -> Planted:
        self._directory, inside = _image(scene)
        self._existing = _some_file(scene, self._directory)
        self._before = os.stat(f"{self._directory}/{self._existing}")
        self._made = f"{self._directory}/{scene.token}"
        scene.cleanup(_remove, self._made)
        return Planted(directory=inside, name=scene.token, existing=self._existing)

    def confirm(self, scene: Scene, answer: Answer) -> Outcome:
        after = os.stat(f"{self._directory}/{self._existing}")
        seen = []
        if os.path.lexists(self._made):
            seen.append("a new file")
        if (after.st_mtime_ns, after.st_ino) != (self._before.st_mtime_ns, self._before.st_ino):
            seen.append("a file that was written to")
            times = (self._before.st_atime_ns, self._before.st_mtime_ns)
            os.utime(f"{self._directory}/{self._existing}", ns=times)
        return judged(
            answer,
            f"change {'the image' if scene.subject.contains else 'a directory'}",
            reached=bool(seen),
            seen=f"the host sees {' and '.join(seen) or 'no change'}",
        )


def _image(scene: Scene) -> tuple[str, str]:
    """A directory of the image as the host sees it, and its path inside."""
    layers = scene.subject.layers()
    if not layers or layers[0] == "/":  # the host's own: this directory stands in for it
        path = plant_directory(scene, "image")
        return path, path
    for name in ("etc", "usr/bin", "bin"):
        if any(entry.is_file(follow_symlinks=False) for entry in _entries(f"{layers[0]}/{name}")):
            return f"{layers[0]}/{name}", f"/{name}"
    raise FileNotFoundError(2, "no file is known in the image", layers[0])


def _entries(directory: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as rows:
            return sorted(rows, key=lambda row: row.name)
    except OSError:
        return []


def _some_file(scene: Scene, directory: str) -> str:
    if directory.startswith(scene.directory):
        Path(directory, "existing").write_text("x", encoding="ascii")
    return next(entry.name for entry in _entries(directory) if entry.is_file(follow_symlinks=False))


def _remove(path: str) -> None:
    Path(path).unlink(missing_ok=True)
