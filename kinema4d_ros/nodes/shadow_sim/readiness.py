# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a trajectory that came now would be judged at once, as the diagnostics say it."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, TYPE_CHECKING

from kinema4d_ros.nodes.shadow_sim.input_problem import InputProblem

if TYPE_CHECKING:      # who only reads the status needs neither
    from kinema4d_ros.nodes.shadow_sim.live_inputs import LiveInputs
    from kinema4d_ros.worker.supervisor import Supervisor

#: name of the status, after the node's, and keys of its values
READINESS, ROBOT_HASH, SCENE_STAMP = 'readiness', 'robot hash', 'scene stamp [ns]'


class Readiness(NamedTuple):
    """What is ready, and what is not yet."""

    reason: str | None = 'the node is not configured'      # why not; None where all is ready
    robot_hash: str = ''          # of the description that is used
    scene_stamp_ns: int = 0       # of the newest look at the world; 0 where there is none
    #: cameras and further sources that would be left out, by name, and why
    left_out: Mapping[str, str] = MappingProxyType({})


def readiness(live: LiveInputs, workers: Sequence[Supervisor], now_ns: int,
              values: Mapping[str, Any]) -> Readiness:
    """
    Return whether robot, workers and inputs are ready.

    :param now_ns: ROS time.
    :param values: snapshot of the parameters.
    """
    source = live.source
    if source.finder is None:
        return Readiness(source.refusal or 'no robot description has been received')
    known = source.finder.robot.description_hash
    cold = next((worker for worker in workers if not worker.is_warm), None)
    if cold is not None:
        return Readiness(f'a worker is {cold.state}: {cold.state_message or "no robot yet"}', known)
    if live.inputs is None:
        return Readiness('the node is not active', known)
    if reason := live.why_robot_not_ready():
        return Readiness(reason, known)
    try:
        look = live.inputs.observe(source.finder, now_ns, values)
    except InputProblem as problem:
        return Readiness(str(problem), known)
    return Readiness(None, known, look.oldest_ns, look.observation.left_out)
