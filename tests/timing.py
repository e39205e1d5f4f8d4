"""How long a piece of work takes the processor, whatever else the machine and the process do."""

import gc
import time
from collections.abc import Callable


def seconds_of(work: Callable[[], object]) -> float:
    """Return the processor's time that `work` takes on this thread; nothing is collected of what other tests left."""
    gc.disable()
    try:
        began = time.thread_time()
        work()
        return time.thread_time() - began
    finally:
        gc.enable()
