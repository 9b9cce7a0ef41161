"""What takes the place of a browser's connection where a benchmark drives a page through its
mailbox.
"""

import asyncio


class CountingPeer:
    """Counts the frames that it is sent: `done` is set when none is missing any more."""

    def __init__(self) -> None:
        self.missing = 0
        self.done = asyncio.Event()

    async def send(self, text: str) -> None:
        self.missing -= 1
        if not self.missing:
            self.done.set()

    def close(self, code: int, text: str = "") -> None:
        raise AssertionError(f"refused: {code} {text}")
