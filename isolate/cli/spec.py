"""`isolate spec`: a spec to and from the config.json of the OCI runtime specification."""

from __future__ import annotations

import os
import sys
from typing import Any

from isolate.cli import options
from isolate.cli import run as hot
from isolate.cli.output import print_json
from isolate.cli.run_command import register
from isolate.errors import SpecError

_FROM = options.Option(
    "--from", kind=options.VALUE, metavar="FILE", help="read an OCI config.json; - is stdin"
)
_FROM.dest = "source"  # the word itself can't name a parameter
_OWN = (
    options.Option(
        "--to", kind=options.VALUE, metavar="oci|toml|json", help="print the spec in this form"
    ),
    _FROM,
    options.Option(
        "--rootfs-path", kind=options.VALUE, metavar="DIR", help="root.path of the config.json"
    ),
)
_FIRST_ID = 0x40000000  # the first of the ids that containers of root's get


def _spec(values: dict[str, Any]) -> int:
    if "source" in values:
        document = _from_oci(values)
    else:
        document = hot.build_spec(values, values.get("backend") or hot.DEFAULT_BACKEND)
    form = values.get("to") or "toml"
    if form == "oci":
        print_json(_to_oci(document, values))
    else:
        from isolate.spec.load import dumps

        sys.stdout.write(dumps(document, form))
    return 0


def _to_oci(spec: Any, values: dict[str, Any]) -> dict[str, Any]:
    """Where the spec leaves the user namespace's ids unsaid, root's containers have a range each
    and an ordinary user's have that user: the same is written here."""
    from isolate.oci import to_oci

    own = (os.geteuid(), os.getegid())
    ranges = [[(0, _FIRST_ID, 65536)] if own[0] == 0 else [(0, each, 1)] for each in own]
    return to_oci(
        spec,
        rootfs=values.get("rootfs_path") or "rootfs",
        id=values.get("name") or "isolate",
        maps=None if spec.privileges.uid_map else (ranges[0], ranges[1]),
    )


def _from_oci(values: dict[str, Any]) -> Any:
    from isolate.oci import from_oci
    from isolate.spec.load import read_document

    path = values["source"]
    unused = sorted(values.keys() - {"source", "to", "seccomp", "rootfs_path", "name", "args"})
    if unused or values.get("args"):
        flag = f"--{unused[0].replace('_', '-')}" if unused else "a command"
        raise SpecError("--from", f"{flag} has no meaning beside it")
    bundle = None if path == "-" else os.path.dirname(os.path.abspath(path))
    seccomp = values.get("seccomp")
    return from_oci(
        read_document(path), bundle=bundle, seccomp=seccomp and os.path.abspath(seccomp)
    )


register(
    "spec",
    "Print a spec, or translate it to and from OCI.",
    _spec,
    (*_OWN, *options.RUN_OPTIONS),
)
