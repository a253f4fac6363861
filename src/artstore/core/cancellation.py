"""Being told to end, also when what was awaited forgets to pass that on."""

import asyncio


def end_if_cancelled() -> None:
    """What goes on after any failure asks this before it does, or whoever stops it waits for ever.

    A task group that is cancelled while a task of it fails raises that failure alone (CPython gh-116720);
    the task itself still knows.

    Raises:
        CancelledError: this task has been told to end.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
