"""Isolation probes: attempts from inside, looks from outside, and the verdict of both.

`isolate.probe.model` says what a probe is; a third party's subclasses one of its classes and
registers it by the hook `isolate_register_probes`.
"""

from isolate.probe.judge import found_token, judged
from isolate.probe.model import (
    VERDICTS,
    Answer,
    Finding,
    InsideProbe,
    LiveProbe,
    Outcome,
    Planted,
    Probe,
    Scene,
)

__all__ = [
    "VERDICTS",
    "Answer",
    "Finding",
    "InsideProbe",
    "LiveProbe",
    "Outcome",
    "Planted",
    "Probe",
    "Scene",
    "found_token",
    "judged",
]
