"""Prints how long each step between a commit and its first response takes."""

import time


class Stopwatch:
    def __init__(self) -> None:
        self._started = self._last = time.monotonic()

    def step(self, name: str) -> None:
        now = time.monotonic()
        print(f"{name:<28} {now - self._last:6.1f} s, {now - self._started:6.1f} s since the commit")
        self._last = now
