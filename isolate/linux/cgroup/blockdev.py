"""Which block device a bound on I/O means: the kernel throttles whole disks, not partitions."""

from __future__ import annotations

import errno
import os
import stat

from isolate.linux.cgroup.files import CgroupError, read

_SYSFS = "/sys/dev/block"


def resolve(device: str, *, sysfs: str = _SYSFS) -> str:
    """`MAJOR:MINOR` of the disk that holds `device`, a path or itself `MAJOR:MINOR`.

    A partition becomes its disk, since `blkg_conf_prep` in the kernel answers ENODEV to
    partitions; the bound then holds for the whole disk. Raises CgroupError where it is no block
    device.
    """
    numbers = device if _is_numbers(device) else _numbers_of(device)
    entry = f"{sysfs}/{numbers}"
    if not os.path.isdir(entry):
        raise CgroupError(errno.ENODEV, f"{device}: there is no block device {numbers}", device)
    if not os.path.exists(f"{entry}/partition"):
        return numbers
    return read(f"{os.path.dirname(os.path.realpath(entry))}/dev").strip()


def _is_numbers(text: str) -> bool:
    major, colon, minor = text.partition(":")
    return bool(colon) and all(part.isascii() and part.isdigit() for part in (major, minor))


def _numbers_of(path: str) -> str:
    try:
        found = os.stat(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise CgroupError(errno.ENODEV, f"{path}: {reason}", path) from None
    if not stat.S_ISBLK(found.st_mode):
        raise CgroupError(errno.ENOTBLK, f"{path} is not a block device", path)
    return f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
