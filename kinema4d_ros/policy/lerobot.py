# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
In LeRobot's own process: actions are checked before they leave it.

`shadow_engine` wraps the inference engine of `lerobot-rollout` (LeRobot 0.6), whose chunks are then
judged as what is still to come, not each from its own start. `check_steps` makes two steps of
LeRobot's processor pipelines (0.4 and later), for programs that call a policy themselves. Where a
check refuses, fails or is late, the robot holds still.

LeRobot is imported when one of the two is made. It may live in an environment of its own, with
Python 3.12, without ROS: `HttpCheck` then asks a `CheckServer` beside ROS. The gRPC of LeRobot's
asynchronous inference is not spoken: its messages are pickles.
"""
from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from typing import Any

import numpy as np

from kinema4d_ros.errors import PolicyError
from kinema4d_ros.policy.asking import Asker, Check, HttpCheck

STATE = 'observation.state'
REMEMBER, CHECK = 'kinema4d_remember_state', 'kinema4d_check_actions'
NEAR = 0.05         # [rad or m] an arm that is nearer to its command is held by it
_SAME = 1e-5        # of a number, by which a plan that goes on is still the same
_LOG = logging.getLogger(__name__)


def import_lerobot(module: str) -> Any:
    """
    Import a module of LeRobot.

    :raises PolicyError: it is not installed, or too old; says what to do.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise PolicyError(f'{module} cannot be imported ({error}): pip install lerobot, 0.6 or '
                          'later for lerobot-rollout, in an environment of its own with Python '
                          '3.12') from error


class _Hold:
    """
    Where a robot is held, from the first refusal until actions pass again.

    It stays the same meanwhile: an arm hangs a little below what it is commanded, so that one that
    is sent where it is, each time anew, would sink step by step.
    """

    def __init__(self, near: float) -> None:
        """Take the last action for a number that is no further than `near` from the state's."""
        self._near = near
        self._at: np.ndarray | None = None

    def end(self) -> None:
        """Hold no longer."""
        self._at = None

    def at(self, sent: np.ndarray | None, state: np.ndarray | None, columns: int
           ) -> np.ndarray | None:
        """Return the numbers (columns,) that hold still; None where nothing tells."""
        if self._at is None or len(self._at) != columns:
            if state is None or len(state) != columns:
                self._at = sent
            elif sent is None or len(sent) != columns:
                self._at = state
            else:
                self._at = np.where(np.abs(sent - state) <= self._near, sent, state)
        return self._at


class ShadowEngine:
    """An inference engine of LeRobot around another one."""

    def __init__(self, engine: Any, check: Check, *, timeout: float = 0.2, state_key: str = STATE,
                 near: float = NEAR, tell: Callable[[str | None], None] | None = None) -> None:
        """
        Let actions of `engine` out where `check` passes them.

        :param timeout: [s] after which an answer counts as a refusal; it delays the control loop.
        :param state_key: of the observation; has the columns of the actions.
        :param near: of a number: where the state is nearer to the last action, that is held; it is
            in the unit of the actions, so that degrees want 3.
        :param tell: is called with each decision on a new plan: why it is held, None: it passes.
        """
        self._engine, self._asker, self._key = engine, Asker(check, timeout), state_key
        self._tell = tell or (lambda _: None)
        self._plan: np.ndarray | None = None    # what was judged, from the last action on
        self._state: np.ndarray | None = None
        self._sent: np.ndarray | None = None
        self._hold = _Hold(near)
        self.held: str | None = None

    def start(self) -> None:
        """Start the engine."""
        self._engine.start()

    def stop(self) -> None:
        """Stop the engine."""
        self._engine.stop()
        self._asker.close()

    def reset(self) -> None:
        """Forget what was judged."""
        self._plan = self._sent = self.held = None
        self._hold.end()
        self._engine.reset()

    def pause(self) -> None:
        """Pause the engine."""
        self._engine.pause()

    def resume(self) -> None:
        """Go on from where the robot is now; what was judged before the pause is judged anew."""
        self._plan = self._sent = None
        self._hold.end()
        self._engine.resume()

    def notify_observation(self, obs: dict[str, Any]) -> None:
        """Hand on what was observed."""
        self._engine.notify_observation(obs)

    @property
    def ready(self) -> bool:
        """The engine has actions."""
        return bool(self._engine.ready)

    @property
    def failed(self) -> bool:
        """The engine cannot go on."""
        return bool(self._engine.failed)

    def get_action(self, obs_frame: dict[str, Any] | None) -> Any:
        """
        Return the next action, one that holds the robot still, or None: nothing is to be sent.

        A plan is judged when it is new, with all that the engine has in its queue; its later
        actions then pass or are held with it.
        """
        action = self._engine.get_action(obs_frame)
        if action is None:
            return None
        if obs_frame is not None and self._key in obs_frame:
            self._state = _array(obs_frame[self._key]).reshape(-1)
        first = _array(action).reshape(1, -1)
        plan = np.vstack([first, *self._upcoming(first.shape[1])])
        if self._is_new(plan):
            before, self.held = self.held, self._asker.why_held(plan, self._state)
            self._tell(self.held)
            if (self.held is None) != (before is None):
                _LOG.warning('actions pass again' if self.held is None else
                             f'the robot holds still: {self.held}')
        self._plan = plan
        if self.held is None:
            self._sent = first[0]
            self._hold.end()
            return action
        still = self._hold.at(self._sent, self._state, first.shape[1])
        return None if still is None else action.new_tensor(still.tolist()).reshape(action.shape)

    def _upcoming(self, columns: int) -> list[np.ndarray]:
        """Return what the engine's queue still holds, as [(N, columns)] or nothing."""
        queue = getattr(self._engine, 'action_queue', None)
        left = queue.get_processed_left_over() if queue is not None else None
        if left is None:
            return []
        rows = _array(left)
        rows = rows.reshape(-1, rows.shape[-1]) if rows.size else rows
        return [rows] if rows.ndim == 2 and rows.shape[1] == columns else []

    def _is_new(self, plan: np.ndarray) -> bool:
        """Return whether it is anything else than the rest of what was judged."""
        rest = None if self._plan is None else self._plan[1:]
        return rest is None or len(rest) == 0 or len(plan) > len(rest) or \
            not np.allclose(plan, rest[:len(plan)], rtol=_SAME, atol=_SAME)


def shadow_engine(engine: Any, check: Check, **options: Any) -> ShadowEngine:
    """
    Wrap an inference engine of LeRobot; see `ShadowEngine` for the options.

    :raises PolicyError: LeRobot is not installed, or `engine` is no engine of it.
    """
    base = import_lerobot('lerobot.rollout.inference.base').InferenceEngine
    if not isinstance(engine, base):
        raise PolicyError(f'{type(engine).__name__} is no InferenceEngine of LeRobot')
    base.register(ShadowEngine)
    return ShadowEngine(engine, check, **options)


class RememberStateStep:
    """A step before normalization: notes the state that the policy is shown."""

    def __init__(self, key: str = STATE) -> None:
        """Note what is under `key` of the observation."""
        self.key = key
        self.state: np.ndarray | None = None

    def __call__(self, transition: Any) -> Any:
        """Return the transition as it is."""
        observed = transition.get(_key('OBSERVATION')) or {}
        if self.key in observed:
            self.state = _array(observed[self.key]).reshape(-1)
        return transition

    def get_config(self) -> dict[str, Any]:
        """Return what makes it again."""
        return {'key': self.key}

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: there are no weights."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take nothing."""

    def reset(self) -> None:
        """Forget the state."""
        self.state = None

    def transform_features(self, features: Any) -> Any:
        """Return them as they are."""
        return features


class CheckActionsStep(RememberStateStep):
    """A step after everything: actions pass where they are checked, else the robot is held."""

    def __init__(self, check: Check | None = None, remember: RememberStateStep | None = None, *,
                 url: str = '', timeout: float = 0.2, near: float = NEAR) -> None:
        """
        Ask `check`, or the `CheckServer` at `url`; without either, everything is refused.

        :param remember: knows the state; without it the check is given none.
        :param near: as of `ShadowEngine`.
        """
        super().__init__()
        self.url, self.timeout, self.near, self._remember = url, timeout, near, remember
        if check is None and url:
            check = HttpCheck(url, timeout)
        self._asker = Asker(check or (lambda actions, state: 'no check was given: name a url'),
                            timeout)
        self._sent: np.ndarray | None = None
        self._hold = _Hold(near)
        self.held: str | None = None

    def __call__(self, transition: Any) -> Any:
        """
        Return the transition, with actions that hold still where they are refused.

        :raises PolicyError: they are refused, and nothing is known that would hold it still.
        """
        action = transition.get(_key('ACTION'))
        if action is None:
            return transition
        rows = _array(action)
        rows = rows.reshape(-1, rows.shape[-1]) if rows.ndim else rows.reshape(1, 1)
        state = None if self._remember is None else self._remember.state
        self.held = self._asker.why_held(rows, state)
        if self.held is None:
            self._sent = rows[0]
            self._hold.end()
            return transition
        _LOG.warning(f'the robot holds still: {self.held}')
        still = self._hold.at(self._sent, state, rows.shape[1])
        if still is None:
            raise PolicyError(f'{self.held}; and no state or earlier action would hold it still')
        out = dict(transition)
        out[_key('ACTION')] = action.new_tensor(np.tile(still, (len(rows), 1)).tolist()
                                                ).reshape(action.shape)
        return out

    def get_config(self) -> dict[str, Any]:
        """Return what makes it again; a callable is not kept, and refuses all then."""
        return {'url': self.url, 'timeout': self.timeout, 'near': self.near}

    def reset(self) -> None:
        """Forget what was sent."""
        self._sent = self.held = None
        self._hold.end()


def check_steps(check: Check | None = None, *, url: str = '', timeout: float = 0.2,
                near: float = NEAR) -> tuple[RememberStateStep, CheckActionsStep]:
    """
    Return the two steps: the first begins the preprocessor, the second ends the postprocessor.

    Both are registered with LeRobot by name, so that saved pipelines find them.

    :raises PolicyError: LeRobot is not installed.
    """
    register_steps()
    remember = RememberStateStep()
    return remember, CheckActionsStep(check, remember, url=url, timeout=timeout, near=near)


def register_steps() -> None:
    """Let LeRobot know the steps by name; importing this and calling it is enough to load them."""
    processor = import_lerobot('lerobot.processor')
    for name, step in ((REMEMBER, RememberStateStep), (CHECK, CheckActionsStep)):
        processor.ProcessorStep.register(step)
        if name not in processor.ProcessorStepRegistry.list():
            processor.ProcessorStepRegistry.register(name)(step)


def _key(name: str) -> Any:
    return getattr(import_lerobot('lerobot.processor').TransitionKey, name)


def _array(value: Any) -> np.ndarray:
    """Return a tensor or array as float64."""
    if hasattr(value, 'detach'):
        value = value.detach().cpu().numpy()
    return np.asarray(value, np.float64)
