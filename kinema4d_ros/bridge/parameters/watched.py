# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a node makes of its parameters, made anew once for each accepted change."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

Settings = TypeVar('Settings')


class WatchedSettings(Generic[Settings]):
    """
    The settings that `make` returned for the newest accepted parameters.

    `current` may be read from any thread: it is replaced as a whole and never changed.
    """

    def __init__(self, make: Callable[[Mapping[str, Any]], Settings], values: Mapping[str, Any]):
        """Make the first settings; what `make` raises passes through."""
        self._make = make
        self._next: tuple[Settings, ...] = ()
        self.current: Settings = make(values)

    def prepare(self, values: Mapping[str, Any] | None) -> None:
        """Make the settings of a change that others may still refuse; None for no change."""
        self._next = ()
        if values is not None:
            self._next = (self._make(values),)

    def take(self) -> None:
        """Make the prepared settings current."""
        for settings in self._next:
            self.current = settings
        self._next = ()
