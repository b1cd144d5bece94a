# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Frames that are drawn one after the other by threads, and waited for one by one."""
from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

Draw = Callable[[int], None]


class Drawing:
    """
    Frames that threads draw in their order.

    Who waits for a frame draws, too, as long as any is left; so nothing waits for a processor that
    the waiting one has. What is raised while a frame is drawn is raised by whoever waits, then or
    later. `check` may be replaced.
    """

    def __init__(self, frames: int, artist: Callable[[], Draw], helpers: int,
                 check: Callable[[], object] = lambda: None):
        """
        Begin to draw.

        :param artist: makes what draws a frame, for one thread.
        :param helpers: threads that draw besides those that wait.
        :param check: called before each frame by who waits for one; what it raises is passed on.
        """
        self._frames, self._artist, self.check = frames, artist, check
        self._todo: Iterator[int] = iter(range(frames))
        self._done = [False] * frames
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._own: Draw | None = None      # of those who wait, one at a time
        self._waiting = threading.Lock()
        self._stopped = False
        self._threads = [threading.Thread(target=self._help, name='drawing')
                         for _ in range(min(helpers, frames - 1))]
        for thread in self._threads:
            thread.start()

    def wait(self, index: int | None = None) -> None:
        """Return once a frame is drawn; None for all of them."""
        for frame in range(self._frames) if index is None else (index,):
            while not self._done[frame]:
                self._draw_or_wait(frame)

    @property
    def drawn(self) -> int:
        """Count the frames that are drawn."""
        return sum(self._done)

    def stop(self) -> None:
        """Let no thread begin a further frame by itself; what is waited for is drawn then."""
        self._stopped = True
        for thread in self._threads:
            thread.join()

    def _next(self) -> int | None:
        with self._changed:
            return next(self._todo, None)

    def _draw_or_wait(self, frame: int) -> None:
        with self._waiting:
            self.check()
            if self._done[frame]:
                return
            mine = self._next() if self._error is None else None
            if mine is not None:
                try:
                    self._own = self._own or self._artist()
                    self._draw(self._own, mine)
                except BaseException as error:      # an interrupt too: the frame is lost
                    self._fail(error)
                    raise
                return
        with self._changed:
            self._changed.wait_for(lambda: self._done[frame] or self._error is not None)
            if not self._done[frame] and self._error is not None:
                raise self._error

    def _help(self) -> None:
        try:
            draw = self._artist()
            while not self._stopped and (frame := self._next()) is not None:
                self._draw(draw, frame)
        except BaseException as error:      # raised by whoever waits
            self._fail(error)

    def _draw(self, draw: Draw, frame: int) -> None:
        draw(frame)
        with self._changed:
            self._done[frame] = True
            self._changed.notify_all()

    def _fail(self, error: BaseException) -> None:
        """Let nobody wait for a frame that was begun and is never finished."""
        with self._changed:
            self._error = self._error or error
            self._changed.notify_all()
