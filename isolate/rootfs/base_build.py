"""Build `base`: copy what the plan says into a hidden directory, then show it whole."""

from __future__ import annotations

import hashlib
import marshal
import os

from isolate.errors import RootfsError
from isolate.rootfs import base, base_files, base_plan, cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.rootfs.base_plan import Plan

_ATTEMPTS = 3  # of a build during which the host's programs are being upgraded
_CLONE_FROM = 1 << 20  # bytes, above which the kernel copies (or shares the blocks)


def build(directory: str) -> tuple[str, str | None]:
    """Build base, or wait for who is building it; its key and its Python. Raises RootfsError."""
    index = base.index_path(directory)
    try:
        with cache.Lock(directory, "base.lock"):
            found = base.lookup(directory, index)
            return found or _build(directory, index)
    except OSError as error:
        raise cache.failed("base can't be built", error) from error


def _build(directory: str, index: str) -> tuple[str, str | None]:
    for _ in range(_ATTEMPTS):
        plan = base_plan.make()
        before = _identities(plan)
        with cache.Partial(directory) as partial:
            key = _copy(plan, partial.root)
            if _identities(plan) != before:
                continue
            partial.publish("base", key)
        cache.write_atomically(index, marshal.dumps((base.FORMAT, key, plan.python, before), 2))
        return key, plan.python
    raise RootfsError(
        "base can't be built: the host's programs keep changing", hint="let the upgrade finish"
    )


def _identities(plan: Plan) -> list[list[object]]:
    return [[path, *base.identity(path)] for path in sorted(plan.watched)]


def _copy(plan: Plan, root: str) -> str:
    """Make everything of the plan below `root`; the key is the digest of all that was made."""
    digest = hashlib.sha256(f"base {base.FORMAT}".encode())
    for place in sorted(plan.directories):
        os.mkdir(f"{root}/{place}", 0o700)
    for place in sorted({*plan.files, *plan.texts, *plan.links}):
        mode, content = _make(plan, place, f"{root}/{place}")
        digest.update(os.fsencode(f"{place}\0{mode:o}\0") + content)
    for place, mode in sorted(plan.directories.items(), reverse=True):
        os.chmod(f"{root}/{place}", mode)
        digest.update(os.fsencode(f"{place}\0{mode:o}\0"))
    os.chmod(root, base_files.ROOT_MODE)
    return digest.hexdigest()[:32]


def _make(plan: Plan, place: str, target: str) -> tuple[int, bytes]:
    """Make one file or link; its mode and the digest of its content."""
    if place in plan.files:  # a file beats a link: the link would point to itself
        return _copy_file(plan.files[place], target)
    if place in plan.texts:
        return _write(plan.texts[place], target)
    os.symlink(plan.links[place], target)
    return 0, os.fsencode(plan.links[place])


def _write(content: bytes, target: str) -> tuple[int, bytes]:
    with open(target, "xb", buffering=0) as file:
        os.fchmod(file.fileno(), 0o644)
        file.write(content)
        os.utime(file.fileno(), (0, 0))
    return 0o644, hashlib.sha256(content).digest()


def _copy_file(source: str, target: str) -> tuple[int, bytes]:
    """Copy a file with its times, and with a plain mode: no set-uid bits, readable by all."""
    with open(source, "rb", buffering=0) as old, open(target, "xb", buffering=0) as new:
        found = os.fstat(old.fileno())
        content = old.readall()
        if found.st_size < _CLONE_FROM or not _clone(old.fileno(), new.fileno(), len(content)):
            _write_all(new.fileno(), content)
        mode = 0o755 if found.st_mode & 0o111 else 0o644
        os.fchmod(new.fileno(), mode)
        os.utime(new.fileno(), ns=(found.st_mtime_ns, found.st_mtime_ns))
    return mode, hashlib.sha256(content).digest()


def _clone(old: int, new: int, size: int) -> bool:
    """copy_file_range(2): shares the blocks where the file system can; False if it can't at all."""
    done = 0
    try:
        while done < size:
            count = os.copy_file_range(old, new, size - done, offset_src=done)
            if count == 0:
                break
            done += count
    except OSError:
        os.ftruncate(new, 0)
        os.lseek(new, 0, os.SEEK_SET)
        return False
    return True


def _write_all(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
