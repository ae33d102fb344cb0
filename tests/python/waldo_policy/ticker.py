"""Something done again and again in a thread, by deadlines, so that it does not drift."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Ticker:
    """Calls ``tick`` so many times a second until it is stopped or ``tick`` raises; then ``on_error`` is called once."""

    def __init__(self, name: str, hz: float, tick: Callable[[], None], on_error: Callable[[], None]) -> None:
        if not 0 < hz <= 10_000:
            raise ValueError(f"a rate of {hz} Hz")
        self.period = 1 / hz
        self.error: Exception | None = None
        """What ended it."""
        self._tick, self._on_error = tick, on_error
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends it, and waits until what it does now is done."""
        self._stopped.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stopped.wait(max(due - time.monotonic(), 0)):
            try:
                self._tick()
            except Exception as error:
                self.error = error
                self._on_error()
                return
            due = max(due + self.period, time.monotonic())
