"""How many processors this process may use."""

import os


def usable_cores() -> int:
    """Processors that this process may run on, at least 1: fewer than the machine has in a container or a batch job."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1
