# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Who sends on a topic: publishers told apart, though no message of ROS names its own."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

RECENT = 2.0      # [s] a source that was silent for so long may have ended
_MOST = 16        # sources of one topic; whoever was silent longest is forgotten first

Held = TypeVar('Held')


@dataclass(eq=False)
class Source(Generic[Held]):
    """One publisher, as far as can be told."""

    key: tuple[Any, ...]       # what its newest message is like
    held: Held              # what is kept of its messages
    first: float            # arrival of the first and of the newest message [s], steady clock
    last: float
    sequence: int | None    # publication sequence number of the newest; None where not known
    count: int = 1          # of messages


class Sources(Generic[Held]):
    """
    The publishers of one topic; the caller sees to it that one thread at a time is in here.

    Jazzy's rclpy does not pass the publisher's GID on, but the number that each publisher gives
    its messages in turn, where the RMW knows it (Fast DDS does). So a message belongs to whoever
    sent the number before it; where several could have, to the one whose messages are alike. By
    an RMW that counts nothing, publishers are told apart by what their messages are like alone.
    """

    def __init__(self, make: Callable[[], Held]) -> None:
        """Begin without any; `make` returns what is to be held of a new source."""
        self._make = make
        self._sources: list[Source[Held]] = []

    def __iter__(self) -> Iterator[Source[Held]]:
        """Yield those that are known."""
        return iter(tuple(self._sources))

    def of(self, key: tuple[Any, ...], sequence: int | None, arrival: float,
           distance: Callable[[Source[Held]], float] = lambda _: 0.0) -> Source[Held]:
        """
        Return the source of a message, a new one where it is of none that is known.

        :param key: what is typical of the messages of one publisher, such as their frame.
        :param sequence: publication sequence number; None where it is not known.
        :param arrival: on the steady clock [s].
        :param distance: how unlike the message is to a source's last one, where numbers leave
            several in question; among equal ones it is of who was silent longest.
        """
        source = self._found(key, sequence, arrival, distance)
        if source is None:
            source = Source(key, self._make(), arrival, arrival, sequence)
            self._sources = sorted(self._sources, key=lambda each: each.last)[1 - _MOST:]
            self._sources.append(source)
        else:
            source.key, source.last, source.sequence = key, arrival, sequence
            source.count += 1
        return source

    def _found(self, key: tuple[Any, ...], sequence: int | None, arrival: float,
               distance: Callable[[Source[Held]], float]) -> Source[Held] | None:
        alike = [source for source in self._sources if source.key == key]
        if sequence is None:
            return max(alike, key=lambda source: source.last, default=None)
        alike = [source for source in alike
                 if source.sequence is None or source.sequence < sequence]
        newest = max((source.sequence or 0 for source in alike), default=0)
        in_question = [source for source in alike if (source.sequence or 0) == newest]
        # One that has ended is in question no more when its successor comes to the same number.
        in_question = [source for source in in_question
                       if arrival - source.last < RECENT] or in_question
        if len(in_question) > 1:
            return min(in_question, key=lambda source: (distance(source), source.last))
        if in_question:
            return in_question[0]
        return next((source for source in self._sources if source.sequence == sequence - 1), None)

    def rivals(self, now: float, *, alike: bool = True,
               differ: Callable[[Source[Held], Source[Held]], bool] = lambda *_: True
               ) -> tuple[Source[Held], Source[Held]] | None:
        """
        Return two that send at the same time, None where at most one does.

        One that begins when another has ended, as after a restart, is no rival of it.

        :param now: on the steady clock [s].
        :param alike: whether sources with the same key are rivals too.
        :param differ: whether what two of them send differs.
        """
        lively = [source for source in self._sources
                  if source.count > 1 and now - source.last < RECENT]
        return next(((one, other) for index, one in enumerate(lively)
                     for other in lively[index + 1:]
                     if one.last > other.first and other.last > one.first
                     and (alike or one.key != other.key) and differ(one, other)), None)

    def clear(self) -> None:
        """Forget all."""
        self._sources = []
