# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every parameter of policy_proxy and action_chunk_proxy; most are of both."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kinema4d_ros.bridge.parameters import Parameter, ParameterTable, REQUIRED
from kinema4d_ros.nodes.launcher import LAUNCHER_PID
from kinema4d_ros.nodes.trajectory_gate.parameters import VERDICTS
from kinema4d_ros.policy.chunk_settings import ChunkMode, ChunkSettings, ChunkExecution, Resample

_COMMON = (
    # what is checked
    Parameter('mode', str, 'enforce',
              'enforce: the robot holds still where no chunk passed; monitor: the verdict is told, '
              'and the chunk goes on', choices=tuple(ChunkMode), read_only=True),
    Parameter('execution', str, 'sequential',
              'When the client executes an answer: sequential, from its first action on; '
              'overlapping, each action at its time after the observation, while the chunk before '
              'is still executed (real-time chunking)', choices=tuple(ChunkExecution)),
    Parameter('verdict_time', float, 0.3,
              'overlapping: time that a verdict gets; the answer leaves after it, and one that '
              'takes longer is UNSURE', unit='s', minimum=0.01, maximum=10.0),
    Parameter('latency', float, 0.0,
              'overlapping: time from the answer until the client goes over to it', unit='s',
              minimum=0.0, maximum=10.0),
    Parameter('blend', float, 0.0, 'overlapping: time in which it goes over from chunk to chunk',
              unit='s', minimum=0.0, maximum=10.0),
    Parameter('first_action_tolerance', float, 0.4,
              'How far the first action may be from where a joint is, fingers left out; wrong '
              'units, orders and references show here', unit='rad or m', minimum=0.0, maximum=3.2),
    Parameter('state_tolerance', float, 0.1,
              'How far the state that the client tells the policy may be from joint_states, '
              'fingers left out', unit='rad or m', minimum=0.0, maximum=3.2),
    # more samples
    Parameter('samples', int, 1,
              'Chunks that are asked of the policy for one observation, at most; 1 for a policy '
              'that keeps a history of requests', minimum=1, maximum=32),
    Parameter('resample', str, 'refused',
              'When further chunks are asked for: where the first did not pass, or always, for the '
              'best of all', choices=tuple(Resample)),
    Parameter('sampling_time', float, 5.0, 'After this no further chunk is asked for', unit='s',
              minimum=0.0, maximum=600.0),
    # who is asked
    Parameter('shadow_sim', str, 'shadow_sim', 'Node that is asked for verdicts', read_only=True),
    *VERDICTS,
    Parameter('max_joint_age', float, 0.5, 'A joint that was measured longer ago is unknown',
              unit='s', minimum=0.01, maximum=10.0),
    Parameter('answer_timeout', float, 10.0, 'Time that the policy gets for an answer', unit='s',
              minimum=0.05, maximum=3600.0, read_only=True),
    Parameter('diagnostics_rate', float, 1.0, 'Rate of /diagnostics', unit='Hz', minimum=0.1,
              maximum=10.0, read_only=True),
    LAUNCHER_PID,
)
POLICY_PROXY = ParameterTable((
    Parameter('server', str, REQUIRED,
              "Address of the policy's server, e.g. ws://192.168.1.5:8000", read_only=True),
    Parameter('preset', str, REQUIRED,
              'What the policy is told and answers: aloha, bridge, droid, libero, so101, or a YAML '
              'file of your own', read_only=True),
    Parameter('joints', list[str], (),
              'Joints of the arm in the order of the actions, where the robot calls them otherwise '
              'than the preset knows', read_only=True),
    Parameter('tip_link', str, '', 'Link that places of the tip are of, likewise', read_only=True),
    Parameter('host', str, '127.0.0.1',
              'Address to listen on; one that other machines reach, such as 0.0.0.0, needs an '
              'api_key_file', read_only=True),
    Parameter('port', int, 8001, 'Port to listen on, which the client is given instead of the '
              "server's", minimum=1, maximum=65535, read_only=True),
    Parameter('api_key_file', str, '', 'File, readable by you alone, with the key that the client '
              'must show; empty for none', read_only=True),
    Parameter('server_api_key_file', str, '', "File, readable by you alone, with the key that the "
              "policy's server wants; empty for none", read_only=True),
    *_COMMON))
ACTION_CHUNK_PROXY = ParameterTable((
    Parameter('service', str, REQUIRED,
              "The policy's own service, e.g. /policy/get_action_chunk; clients call "
              '~/get_action_chunk instead', read_only=True),
    Parameter('service_type', str, 'kinema4d_ros/srv/GetActionChunk',
              'Type of both services: another with a chunk in its answer will do, such as '
              'moveit_pro_ml_msgs/srv/GetActionChunk or g1_msgs/srv/GetActionChunk',
              read_only=True),
    Parameter('on_refusal', str, 'hold',
              'Where no chunk passed: hold, a chunk that holds still is answered; error, the '
              'answer says that there is none, which ends a run of ExecutePolicy',
              choices=('hold', 'error')),
    Parameter('period', float, 0.0,
              'Time of a row, where the answer says neither that nor when each row is; 0.0: such '
              'an answer is refused', unit='s', minimum=0.0, maximum=10.0),
    *_COMMON))


def chunk_settings(values: Mapping[str, Any]) -> ChunkSettings:
    """
    Return how chunks are checked.

    :raises ConfigurationError: a value means nothing.
    """
    return ChunkSettings(**{name: values[name] for name in (
        'mode', 'execution', 'samples', 'resample', 'sampling_time', 'verdict_time', 'latency',
        'blend', 'first_action_tolerance', 'state_tolerance')})
