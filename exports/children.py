"""Processes that do a part of the work."""


def last_words(said: str) -> str:
    """Return the last line that a process wrote to standard error, to tell why it ended."""
    return (said.strip().splitlines() or ["it says nothing"])[-1][:500]
