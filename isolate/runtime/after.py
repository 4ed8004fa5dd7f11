"""What a run needs only once its first process stands ready: loaded while that one sets itself up.

The launcher would wait for some milliseconds otherwise, and on another processor these imports
take nothing away from anybody.
"""

from isolate.native import receipt
from isolate.runtime import foreground, result
from isolate.state import gc

__all__ = ["foreground", "gc", "receipt", "result"]
