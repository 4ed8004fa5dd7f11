"""The contract that every backend must pass, as a pytest suite for its own repository.

    from isolate.testing import BackendContract

    class TestMine(BackendContract):
        name = "mine"

Needs pytest: `pip install isolate-runtime[testing]`.
"""

from isolate.testing.contract import BackendContract
from isolate.testing.hold import Breach

__all__ = ["BackendContract", "Breach"]
