"""What a backend is: the ABC, its value types, and the features that it can promise."""

from isolate.backend.abilities import (
    ExecContext,
    Executes,
    Measures,
    OpensRoot,
    Pauses,
    Serves,
    Stats,
    Updates,
)
from isolate.backend.base import API_VERSION, Backend
from isolate.backend.features import FEATURES, required, waivable
from isolate.backend.types import (
    Context,
    ExitStatus,
    Handle,
    Plan,
    PlanStep,
    Problem,
    ReceiptRow,
    Usage,
)

__all__ = [
    "API_VERSION",
    "FEATURES",
    "Backend",
    "Context",
    "ExecContext",
    "Executes",
    "ExitStatus",
    "Handle",
    "Measures",
    "OpensRoot",
    "Pauses",
    "Plan",
    "PlanStep",
    "Problem",
    "ReceiptRow",
    "Serves",
    "Stats",
    "Updates",
    "Usage",
    "required",
    "waivable",
]
