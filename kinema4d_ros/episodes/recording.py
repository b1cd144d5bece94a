# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A recording of a live robot, as the node `recorder` makes it, read as an episode.

What an episode has beyond a recording is made up or left out: there is no truth, and nobody knows
whether the task was solved. What comes in several messages (states of arm and gripper) is put
together, and a camera that only TF knows becomes a link of the robot description.
"""
from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

import defusedxml.ElementTree
import numpy as np
from defusedxml import DefusedXmlException

from kinema4d_ros.episodes.metadata import EpisodeMetadata
from kinema4d_ros.episodes.topics import CameraTopics, of_first, Topic, type_of, typestore
from kinema4d_ros.episodes.transforms import matrix_from_message, with_camera
from kinema4d_ros.errors import EpisodeError

Stored = dict[str, list[tuple[int, bytes]]]
"""Topic -> (stamp [ns], serialised message), ascending."""

KIND = 'recording'       # in the metadata that is made up
#: topics whose messages begin with a header, and are dated by it
_STAMPED = (Topic.IMAGE, Topic.DEPTH, Topic.CAMERA_INFO, Topic.JOINT_STATES)


def as_episode(path: Path, stored: Stored, cameras: Sequence[str], *,
               placed: bool = True) -> Stored:
    """
    Return the messages of a recording as an episode has them.

    :param path: of the recording, for messages.
    :param cameras: names; where the first is must have been recorded, at /tf or /tf_static.
    :param placed: False: nobody need have recorded where the camera is.
    :raises EpisodeError: the robot changed meanwhile, or where the camera is was not recorded.
    """
    out = dict(stored)
    for topic in out:
        if of_first(topic) in _STAMPED:
            out[topic] = _by_header(out[topic])
    first_ns = min(messages[0][0] for messages in out.values() if messages)
    texts = {_read(raw, Topic.ROBOT_DESCRIPTION).data
             for _, raw in out.get(Topic.ROBOT_DESCRIPTION, ())}
    if len(texts) > 1:
        raise EpisodeError(f'recording {path}: {Topic.ROBOT_DESCRIPTION} changed while it was '
                           'recorded; record one robot at a time')
    if texts and Topic.CAMERA_INFO in out:
        text = texts.pop()
        if placed:
            text = _placed(path, text, out, Topic.CAMERA_INFO, is_first=True)
        for name in cameras[1:]:
            if (info := CameraTopics(name).camera_info) in out:
                text = _placed(path, text, out, info, is_first=False)
        out[Topic.ROBOT_DESCRIPTION] = [(first_ns, _text(text))]
    if Topic.JOINT_STATES in out:
        out[Topic.JOINT_STATES] = _merged(out[Topic.JOINT_STATES])
    out[Topic.METADATA] = [(first_ns, _text(EpisodeMetadata(
        robot='', task_text='', kind=KIND, success=None, camera='', carried_object=None,
        goal_object=None, goal={}, source=f'recording {path.name}', licence='',
        trajectory_note='as it was published').to_json()))]
    return out


def _by_header(messages: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """Return the messages dated by their header (CDR: 4 bytes of kind, then the stamp), sorted."""
    dated = []
    for logged, raw in messages:
        sec, nanosec = struct.unpack_from('<iI' if raw[1] & 1 else '>iI', raw, 4)
        dated.append((sec * 10**9 + nanosec or logged, raw))
    return sorted(dated, key=lambda item: item[0])


def _merged(messages: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """Return joint states that each name every joint: a position stays until the next one."""
    states = [(stamp, _read(raw, Topic.JOINT_STATES)) for stamp, raw in messages]
    known: dict[str, float] = {}
    for _, state in reversed(states):        # before a joint is first heard of, it is there too
        known.update(zip(state.name, state.position))
    if all(len(state.name) == len(known) for _, state in states):
        return messages
    merged = []
    for stamp, state in states:
        known.update(zip(state.name, state.position))
        whole = typestore.types[type_of(Topic.JOINT_STATES)](
            state.header, list(known), np.array(list(known.values())), np.zeros(0), np.zeros(0))
        merged.append((stamp, _serialized(whole, Topic.JOINT_STATES)))
    return merged


def _placed(path: Path, urdf: str, stored: Stored, info: str, *, is_first: bool) -> str:
    """
    Return the description with a camera's frame as a link, from TF where it is none yet.

    One that moves otherwise than with a link is left to /tf. A further camera that nobody placed
    is left to whoever looks for it.
    """
    frame = _read(stored[info][0][1], info).header.frame_id
    try:
        links = {link.get('name') for link in defusedxml.ElementTree.fromstring(urdf).iter('link')}
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise EpisodeError(f'recording {path}: {Topic.ROBOT_DESCRIPTION} is no XML: '
                           f'{error}') from error
    if frame in links:
        return urdf
    parents = {}
    for _, raw in stored.get(Topic.TF_STATIC, ()):
        for item in _read(raw, Topic.TF_STATIC).transforms:
            parents[item.child_frame_id] = item
    at, T, seen = frame, np.eye(4), set()  # noqa: N806 - a transform
    while at not in links:
        if at not in parents or at in seen:
            if not is_first or _moves(stored, at):
                return urdf
            raise EpisodeError(
                f'recording {path}: where the camera is was not recorded: its frame {frame!r} is '
                f'no link of {Topic.ROBOT_DESCRIPTION}, and {Topic.TF_STATIC} does not lead from '
                f'it to one (it ends at {at!r}); publish the mounting on /tf_static, or add the '
                'optical frame to the URDF, and record again')
        seen.add(at)
        try:
            T = matrix_from_message(parents[at].transform) @ T  # noqa: N806
        except EpisodeError as error:
            raise EpisodeError(f'recording {path}: {Topic.TF_STATIC}: frame {at!r}: {error}; '
                               'repair what publishes it, and record again') from error
        at = parents[at].header.frame_id
    return with_camera(urdf, frame, at, T)


def _moves(stored: Stored, frame: str) -> bool:
    """Return whether /tf has a frame as a child."""
    return any(item.child_frame_id == frame for _, raw in stored.get(Topic.TF, ())
               for item in _read(raw, Topic.TF).transforms)


def _read(raw: bytes, topic: str) -> Any:
    return typestore.deserialize_cdr(raw, type_of(topic))


def _serialized(message: Any, topic: str) -> bytes:
    return bytes(typestore.serialize_cdr(message, type_of(topic)))


def _text(text: str) -> bytes:
    return _serialized(typestore.types['std_msgs/msg/String'](text), Topic.METADATA)
