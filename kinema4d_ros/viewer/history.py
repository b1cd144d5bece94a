# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The predictions that can be looked at, and which of them is."""
from __future__ import annotations

import time

from kinema4d_ros.viewer.future import Future


class History:
    """The newest predictions by rollout id; the one that is shown is never dropped."""

    def __init__(self, kept: int):
        """
        Make an empty history.

        :param kept: how many predictions, at most.
        """
        self._kept, self._count = kept, 0
        self._futures: dict[str, Future] = {}
        self.shown_id: str | None = None

    @property
    def shown(self) -> Future | None:
        """The prediction that is shown."""
        return None if self.shown_id is None else self._futures.get(self.shown_id)

    @property
    def all(self) -> list[Future]:
        """All of them, oldest first."""
        return list(self._futures.values())

    @property
    def labels(self) -> list[str]:
        """One line for each, newest first."""
        return [future.label for future in reversed(self._futures.values())]

    def get(self, rollout_id: str) -> Future | None:
        """Return a prediction that is still known."""
        return self._futures.get(rollout_id)

    def find(self, label: str) -> str | None:
        """Return the rollout id behind a line."""
        return next((key for key, one in self._futures.items() if one.label == label), None)

    def alternatives(self) -> dict[str, str]:
        """
        Return world model -> rollout id: what else was predicted for the motion that is shown.

        Of several predictions by one model the one that is shown counts, or else the newest.
        """
        shown = self.shown
        if shown is None or self.shown_id is None or shown.verdict is None \
                or not shown.verdict.trajectory_hash:
            return {}
        same = {future.model: key for key, future in self._futures.items()
                if future.verdict is not None
                and future.verdict.trajectory_hash == shown.verdict.trajectory_hash}
        return {**same, shown.model: self.shown_id}

    def take(self, rollout_id: str, source: str = '') -> tuple[Future, bool]:
        """Return the prediction, and whether it is new; an old one may be dropped for it."""
        if rollout_id in self._futures:
            return self._futures[rollout_id], False
        self._count += 1
        future = self._futures[rollout_id] = Future(
            self._count, time.strftime('%H:%M:%S'), source)
        while len(self._futures) > self._kept:
            del self._futures[next(key for key in self._futures
                                   if key not in (self.shown_id, rollout_id))]
        return future, True

    def clear(self) -> None:
        """Forget all."""
        self._futures.clear()
        self.shown_id = None
