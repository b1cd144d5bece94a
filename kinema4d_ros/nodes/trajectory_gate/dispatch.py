# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Events to the machine, one at a time, and its commands to those who carry them out."""
from __future__ import annotations

import functools
import time
import traceback
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from kinema4d_ros.gate import GateMachine, World
from kinema4d_ros.gate.commands import Command, ReportDecision
from kinema4d_ros.gate.events import Closed, Event


class Ports(NamedTuple):
    """What a dispatcher calls; all but `wake` in the gate's callback group."""

    take_world: Callable[[Event], World]        # as it is now
    carry_out: Callable[[Command], None]
    cancel_all: Callable[[], None]              # at the controller, should the machine be broken
    on_failure: Callable[[Exception, str], None]    # the gate must end; why, and the traceback
    wake: Callable[[], None]                    # has `work` called in the group; from any thread


class Dispatcher:
    """
    Handles events, one at a time, in one callback group.

    A failure of ours, wherever it is, cancels first what the controller has, refuses what waits,
    and ends the gate.
    """

    def __init__(self, machine: GateMachine, ports: Ports):
        """Make the dispatcher of a machine, which nothing else may call."""
        self._machine, self._ports = machine, ports
        self._queue: deque[Callable[[], Any]] = deque()

    # ------------------------------------------------------------------ from any thread

    def post(self, event: Event) -> None:
        """Have an event handled in the group."""
        self._enqueue(functools.partial(self.handle, event))

    def in_group(self, callback: Callable[..., Any]) -> Callable[..., None]:
        """Return a function that has `callback` called in the group with its arguments."""
        return lambda *arguments: self._enqueue(functools.partial(callback, *arguments))

    def relayed(self, callback: Callable[..., Any]) -> Callable[..., Any]:
        """Return a callback for outside of the group: should it raise, the gate fails in it."""
        def relay(*arguments: Any) -> Any:
            try:
                return callback(*arguments)
            except Exception as error:
                return self._enqueue(functools.partial(self.fail, error))
        return relay

    def _enqueue(self, action: Callable[[], Any]) -> None:
        self._queue.append(action)
        self._ports.wake()

    # ------------------------------------------------------------------ in the group

    def guarded(self, callback: Callable[..., Any]) -> Callable[..., Any]:
        """Return a callback for inside of the group: should it raise, the gate fails."""
        def guard(*arguments: Any) -> Any:
            try:
                return callback(*arguments)
            except Exception as error:
                return self.fail(error)
        return guard

    def work(self) -> None:
        """Do what was queued."""
        for _ in range(len(self._queue)):      # what comes of these waits its turn
            self.guarded(self._queue.popleft())()
        if self._queue:
            self._ports.wake()

    def handle(self, event: Event) -> list[Command]:
        """Handle an event now; return what was commanded, nothing should it fail."""
        try:
            world = self._ports.take_world(event)
            commands = self._machine.handle(event, time.monotonic(), world)
            for command in sorted(commands, key=_is_said):
                self._ports.carry_out(command)
            self._machine.prepare(world)
        except Exception as error:
            self.fail(error)
            return []
        return commands

    def fail(self, error: Exception) -> None:
        """Cancel downstream, refuse what waits, and end the gate."""
        text = ''.join(traceback.format_exception(error))
        try:
            text += self.close(f'the gate failed ({type(error).__name__}: {error})') or ''
        finally:
            self._ports.on_failure(error, text)

    def close(self, reason: str) -> str | None:
        """
        Cancel downstream, refuse what waits, and let nothing pass any more.

        :return: tracebacks of what failed in doing so, each of which stops nothing else; None
            where nothing did.
        """
        failures, event = [], Closed(reason)
        try:
            # What the world is like does not matter any more, and taking it may be what fails.
            commands = self._machine.handle(event, time.monotonic(), World(0))
        except Exception:
            failures.append(traceback.format_exc())
            self._ports.cancel_all()
            return ''.join(failures) or None
        for command in sorted(commands, key=_is_said):
            try:
                self._ports.carry_out(command)
            except Exception:
                failures.append(traceback.format_exc())
        return ''.join(failures) or None


def _is_said(command: Command) -> bool:
    """Return whether a command only tells people: first it is done, in order, then it is said."""
    return isinstance(command, ReportDecision)
