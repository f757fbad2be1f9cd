"""What a process does that another started and waits for."""

import os
import sys


def leave_with_parent() -> None:
    """End this process when the one that waits for it, and holds its standard input, is gone.

    It would go on writing where the next one does. To be run in a thread of its own.
    """
    sys.stdin.read()
    os._exit(1)
