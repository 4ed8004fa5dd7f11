"""Root filesystems: where a container's files come from."""

from isolate.rootfs.root import Root
from isolate.rootfs.source import prepare

__all__ = ["Root", "prepare"]
