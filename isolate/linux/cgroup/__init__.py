"""Control groups, version 1, 2 and both at once: placing, limiting, killing, measuring, removing.

Use: `layout = discover()`, `usable_controllers(layout)`, `paths = Group.paths(layout, name,
controllers)`, record the paths, `group = Group(paths)`, `group.create()`, `group.set_limits(...)`,
`group.open()` for a child to enter, `group.kill()`, `group.usage()`, `group.remove()`.
"""

from isolate.linux.cgroup.files import CgroupError
from isolate.linux.cgroup.group import Entry, Group
from isolate.linux.cgroup.knobs import Reading
from isolate.linux.cgroup.layout import Hierarchy, Layout, discover
from isolate.linux.cgroup.place import CONTROLLERS, PREFIX, usable_controllers
from isolate.linux.cgroup.remove import remove_paths
from isolate.linux.cgroup.usage import Usage

__all__ = [
    "CONTROLLERS",
    "PREFIX",
    "CgroupError",
    "Entry",
    "Group",
    "Hierarchy",
    "Layout",
    "Reading",
    "Usage",
    "discover",
    "remove_paths",
    "usable_controllers",
]
