"""A new backend's package, written from the templates beside this file."""

from __future__ import annotations

import importlib.util
import os
import re

from isolate import __version__
from isolate.errors import IsolateError
from isolate.hookspecs import GROUP
from isolate.plugins.scan import entry_points
from isolate.spec.record import quoted, shown

_TEMPLATE = os.path.join(os.path.dirname(__file__), "template")
_PACKAGE = "package"  # the folder of templates that becomes the package
_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")
_LONGEST = 40
_SUFFIX = ".in"  # keeps the templates from being taken for modules, and .gitignore for git's


class Names:
    """What a backend's name makes of its package's, its distribution's and its class's.

    Raises IsolateError for a name that can't be all of them, or is taken here.
    """

    def __init__(self, name: str) -> None:
        if not _NAME.fullmatch(name) or len(name) > _LONGEST:
            raise IsolateError(
                f"{quoted(name)} is no name for a backend",
                hint="small letters and digits, from a letter on, parts joined by - or _, at most "
                f"{_LONGEST}: my-sandbox",
            )
        self.name = name
        self.package = f"isolate_{name.replace('-', '_')}"
        self.distribution = f"isolate-backend-{name.replace('_', '-')}"
        self.class_name = "".join(part.capitalize() for part in re.split("[-_]", name)) + "Backend"
        self._refuse_taken()

    def _refuse_taken(self) -> None:
        for point in entry_points(GROUP):
            if point.name == self.name:
                raise IsolateError(
                    f"{shown(point.distribution.name)} has a backend {self.name} already",
                    hint="two of one name can only be told apart as DISTRIBUTION:NAME",
                )
        if importlib.util.find_spec(self.package) is not None:
            raise IsolateError(
                f"a package {self.package} is installed already", hint="choose another name"
            )

    def fill(self, text: str) -> str:
        """A template's text with the names in it."""
        for word, value in (
            ("@NAME@", self.name),
            ("@PACKAGE@", self.package),
            ("@DISTRIBUTION@", self.distribution),
            ("@CLASS@", self.class_name),
            ("@VERSION@", __version__),
        ):
            text = text.replace(word, value)
        return text


def write(name: str, directory: str | None = None) -> tuple[str, list[str]]:
    """Write the package into a new directory: its path, and its files in order.

    Raises IsolateError: the name is none, or the directory is there already and not empty.
    """
    names = Names(name)
    target = os.path.abspath(directory or names.distribution)
    try:
        os.makedirs(target, exist_ok=True)
        if os.listdir(target):
            raise IsolateError(
                f"{shown(target)} is not empty", hint="name another place with --directory"
            )
        return target, [_write(names, target, path) for path in _templates()]
    except OSError as error:
        raise IsolateError(
            f"{shown(os.fsdecode(error.filename or target))}: {error.strerror}"
        ) from None


def _templates() -> list[str]:
    """The templates' paths, relative to theirs."""
    found = [
        os.path.relpath(os.path.join(folder, file), _TEMPLATE)
        for folder, _folders, files in os.walk(_TEMPLATE)
        for file in files
        if file.endswith(_SUFFIX)
    ]
    return sorted(found)


def _write(names: Names, target: str, path: str) -> str:
    with open(os.path.join(_TEMPLATE, path), encoding="utf-8") as file:
        text = names.fill(file.read())
    place = path.removesuffix(_SUFFIX).replace("gitignore", ".gitignore")
    folder, _, rest = place.partition(os.sep)
    if folder == _PACKAGE:
        place = os.path.join(names.package, rest)
    made = os.path.join(target, place)
    os.makedirs(os.path.dirname(made), exist_ok=True)
    with open(made, "x", encoding="utf-8") as file:
        file.write(text)
    return place
