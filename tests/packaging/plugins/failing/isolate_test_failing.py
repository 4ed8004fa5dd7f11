"""A plugin that fails at import, with a message that would act on a terminal."""

from __future__ import annotations

raise RuntimeError("no such \x1b[31mluck\nerror: forged")
