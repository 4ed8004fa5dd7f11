"""Probes of the host name: whether the host's own can be set."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from isolate.probe.judge import judged
from isolate.probe.model import InsideProbe, Outcome

if TYPE_CHECKING:
    from isolate.probe.model import Answer, Scene


class Name(InsideProbe):
    """Set the host name that there is; the host compares the namespaces."""

    meaning = "The program renames the host."
    remedy = "Give it a host name of its own: the view hostname."
    feature = "view.hostname"
    attempt = "isolate.probe.inside.system:rename_host"

    def confirm(self, scene: Scene, answer: Answer) -> Outcome:
        value = answer.value if isinstance(answer.value, dict) else {}
        tried = "sethostname(2) to the same name"
        same = value.get("namespace") == os.stat("/proc/self/ns/uts").st_ino
        if value and value["namespace"] is None and value["name"] == os.uname().nodename:
            return Outcome.unclear(f"{tried}: allowed, and nothing tells in which namespace")
        seen = f"{'the host' if same else 'another'}'s namespace" if value else ""
        return judged(answer, tried, reached=same, seen=seen)
