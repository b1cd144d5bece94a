# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Which topics of a bag stand for which topic of an episode: by name, or as cameras are named.

Recognised are the colour images of RealSense, Orbbec, ZED, Azure Kinect and OAK-D drivers, below
whatever namespace, and the depth that is registered to them; and cameras that are named as this
package names several, /NAME/image_raw beside /NAME/camera_info.
"""
from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinema4d_ros.episodes.topics import CAMERA, CameraTopics, Topic, TYPES
from kinema4d_ros.errors import EpisodeError

RAW_TYPE = 'sensor_msgs/msg/Image'
#: what a user calls a topic of an episode
ROLES: Mapping[str, Topic] = {
    'image': Topic.IMAGE, 'depth': Topic.DEPTH, 'camera_info': Topic.CAMERA_INFO,
    'joint_states': Topic.JOINT_STATES, 'trajectory': Topic.TRAJECTORY,
    'robot_description': Topic.ROBOT_DESCRIPTION, 'tf_static': Topic.TF_STATIC}
#: types besides TYPES that a topic may have; a JointTrajectory is taken out of the last two
_TYPES: Mapping[Topic, tuple[str, ...]] = {
    Topic.IMAGE: (RAW_TYPE,), Topic.DEPTH: (RAW_TYPE,),
    Topic.TRAJECTORY: ('moveit_msgs/msg/DisplayTrajectory',
                       'control_msgs/action/FollowJointTrajectory_SendGoal_Event')}
#: topics of uncompressed images as this package records them
OWN_NAMES = {Topic.IMAGE: '/camera/image_raw', Topic.DEPTH: '/camera/depth/image_raw'}
_COLOR = re.compile(r'(color|rgb|left)/(image_raw|image_rect(_color|_raw)?|image_color|'
                    r'image_rect_color|image|color/rect/image|color/raw/image)(/compressed)?$')
_REGISTERED = re.compile(
    r'(aligned_depth_to_color/image_raw|depth_to_rgb/image_raw|depth_to_rgb/hw_registered/image_raw'
    r'|depth_registered/(image_raw|image_rect|image)|depth/depth_registered|stereo/image_raw'
    r'|depth_registered)(/compressedDepth)?$')
_UNREGISTERED = re.compile(r'depth/(image_rect_raw|image_rect|image_raw|image)$')
_BY_NAME = {Topic.JOINT_STATES: 'joint_states', Topic.TRAJECTORY: 'joint_trajectory',
            Topic.ROBOT_DESCRIPTION: 'robot_description', Topic.TF_STATIC: 'tf_static'}


_OF_CAMERA = ('image', 'depth', 'camera_info')      # roles that each of several cameras has
_OWN_IMAGE = re.compile(r'/([A-Za-z]\w*)/image_raw(?:/compressed)?$')


@dataclass(frozen=True)
class TopicChoice:
    """Topics of a bag by the topic of an episode that they stand for."""

    names: Mapping[str, str]
    hints: str = ''        # what was found and not taken, for the message where something lacks
    #: names of the cameras; the topics of the first are those of `Topic`, whatever it is called
    cameras: tuple[str, ...] = (CAMERA,)


def choose(path: Path, bag: Iterable[tuple[str, str]], named: Mapping[str, str]) -> TopicChoice:
    """
    Choose the topics of a bag.

    :param bag: (topic, type) of everything in it.
    :param named: role -> topic, for what the caller names; NAME/image, NAME/depth and
        NAME/camera_info for further cameras.
    :raises EpisodeError: a role or topic that does not exist, or has another type.
    """
    types = dict(bag)
    roles = dict(ROLES)
    others = [role.partition('/')[0] for role in named if role.partition('/')[2] in _OF_CAMERA]
    for camera in others:
        roles |= {f'{camera}/{role}': topic for role, topic in ROLES.items()
                  if role in _OF_CAMERA}
    if unknown := set(named) - set(roles):
        raise EpisodeError(f'{", ".join(sorted(unknown))}: no topic of an episode is called so; '
                           f'name {", ".join(ROLES)}, or of a further camera NAME/image, '
                           'NAME/depth, NAME/camera_info')
    names: dict[str, str] = {}
    for role, name in named.items():
        allowed = _allowed(roles[role])
        if types.get(name) not in allowed:
            fitting = sorted(topic for topic, kind in types.items() if kind in allowed)
            there = f'has the type {types[name]}' if name in types else 'is not in it'
            raise EpisodeError(f'recording {path}: {role}: {name} {there}; of a type for it '
                               f'({", ".join(allowed)}) are: {", ".join(fitting) or "none"}')
        camera = role.partition('/')[0] if '/' in role else CAMERA
        at = {value: key for key, value in CameraTopics(camera).by_topic.items()}
        names[at.get(roles[role], roles[role])] = name
    for topic in Topic:
        for name in (OWN_NAMES.get(topic, ''), str(topic)):
            if name in types:
                names.setdefault(topic, name)
    first = _first_of_own(types, names)
    if Topic.METADATA not in names:
        _recognise(types, names)
    _complete(types, names, others)
    cameras = [first, *dict.fromkeys(others)]
    if not others and names.get(Topic.IMAGE) in _own_images(types).get(first, ()):
        cameras += [name for name in _own_images(types) if name != first]
        for name in cameras[1:]:
            _take_own(types, names, name, CameraTopics(name))
    return TopicChoice(names, _hints(types, names), tuple(cameras))


def _own_images(types: Mapping[str, str]) -> dict[str, list[str]]:
    """Return by name the images of cameras that are named as we name several, raw ones first."""
    found: dict[str, list[str]] = {}
    for topic in sorted(types, key=lambda name: name.endswith('/compressed')):
        match = _OWN_IMAGE.match(topic)
        # A driver's /cam_left/image_raw is half of a stereo camera; an episode of ours has no such.
        is_ours = str(Topic.METADATA) in types or not _COLOR.search(topic)
        if match and types[topic] in _allowed(Topic.IMAGE) and is_ours \
                and types.get(f'/{match[1]}/camera_info') == TYPES[Topic.CAMERA_INFO]:
            found.setdefault(match[1], []).append(topic)
    order = list(types)
    return dict(sorted(found.items(), key=lambda item: (
        item[0] != CAMERA, min(order.index(topic) for topic in item[1]))))


def _first_of_own(types: Mapping[str, str], names: dict[str, str]) -> str:
    """Take the first camera from those that are named as ours, where none is called /camera."""
    known = _own_images(types)
    if Topic.IMAGE in names or not known or any(_COLOR.search(topic) for topic in types):
        return CAMERA
    first = next(iter(known))
    _take_own(types, names, first, CameraTopics())
    return first


def _take_own(types: Mapping[str, str], names: dict[str, str], name: str,
              topics: CameraTopics) -> None:
    """Take the topics of a camera `name` that is named as ours for those of the episode."""
    names.setdefault(topics.image, _own_images(types)[name][0])
    names.setdefault(topics.camera_info, f'/{name}/camera_info')
    mine = CameraTopics(name)
    for depth in (f'/{name}/depth/image_raw', mine.depth):
        if types.get(depth) in _allowed(Topic.DEPTH):
            names.setdefault(topics.depth, depth)
    if mine.robot_mask in types:
        names.setdefault(topics.robot_mask, mine.robot_mask)


def _complete(types: Mapping[str, str], names: dict[str, str], cameras: Iterable[str]) -> None:
    """
    Add the camera_info beside the image of each further camera that the caller named.

    :raises EpisodeError: there is no image, or no camera_info.
    """
    for camera in cameras:
        topics = CameraTopics(camera)
        if topics.image not in names:
            raise EpisodeError(f'of the camera {camera} no image is named; pass '
                               f'--topic {camera}/image=NAME')
        info = _info_beside(names[topics.image])
        if types.get(info) == TYPES[Topic.CAMERA_INFO]:
            names.setdefault(topics.camera_info, info)
        if topics.camera_info not in names:
            raise EpisodeError(f'of the camera {camera} no camera_info is known, {info} is not in '
                               f'the bag; pass --topic {camera}/camera_info=NAME')


def _info_beside(image: str) -> str:
    return image.removesuffix('/compressed').rpartition('/')[0] + '/camera_info'


def _allowed(topic: Topic) -> tuple[str, ...]:
    return (TYPES[topic], *_TYPES.get(topic, ()))


def _recognise(types: Mapping[str, str], names: dict[str, str]) -> None:
    """Add what is named as drivers name it; several that fit equally well are left to the user."""
    def fitting(topic: Topic, pattern: re.Pattern[str]) -> list[str]:
        found = [name for name, kind in types.items()
                 if kind in _allowed(topic) and pattern.search(name)]
        raw = [name for name in found if types[name] == RAW_TYPE]
        return sorted(raw or found, key=lambda name: (name.count('rect'), len(name), name))

    if Topic.IMAGE not in names:
        images = fitting(Topic.IMAGE, _COLOR)
        if images and len({name.split('/')[1] for name in images}) == 1:
            names[Topic.IMAGE] = images[0]
    image = names.get(Topic.IMAGE, '')
    if Topic.DEPTH not in names and image and image not in (OWN_NAMES[Topic.IMAGE], Topic.IMAGE):
        root = '/' + image.split('/')[1] + '/'
        depths = [name for name in fitting(Topic.DEPTH, _REGISTERED) if name.startswith(root)]
        if depths:
            names[Topic.DEPTH] = depths[0]
    info = _info_beside(image)
    if types.get(info) == TYPES[Topic.CAMERA_INFO]:
        names.setdefault(Topic.CAMERA_INFO, info)
    for topic, last in _BY_NAME.items():
        found = [name for name, kind in types.items()
                 if kind == TYPES[topic] and name.rpartition('/')[2] == last]
        if len(found) == 1:
            names.setdefault(topic, found[0])
    others = [name for name, kind in types.items() if kind in _TYPES[Topic.TRAJECTORY]]
    if len(others) == 1:
        names.setdefault(Topic.TRAJECTORY, others[0])


def _hints(types: Mapping[str, str], names: Mapping[str, str]) -> str:
    """Say what in the bag may be meant for what was not found, and how to say so."""
    hints = []
    for role, topic in ROLES.items():
        if topic in names:
            continue
        found = sorted(name for name, kind in types.items() if kind in _allowed(topic)
                       and name not in names.values())
        if role == 'depth' and any(_UNREGISTERED.search(name) for name in found):
            hints.append('a depth image that is not registered to the colour image is not taken '
                         'by itself (RealSense: align_depth.enable:=true, Orbbec: '
                         'depth_registration:=true)')
        if role == 'trajectory' and any('/_action/' in name for name in types):
            hints.append('goals of an action are not in a bag unless service introspection was on; '
                         'give the trajectory with --trajectory FILE')
        if found and topic not in (Topic.ROBOT_DESCRIPTION, Topic.TF_STATIC):
            hints.append(f'for {role} it has {", ".join(found[:6])}: pass --topic {role}=NAME')
    return '; '.join(hints)


def trajectory_in(message: Any) -> Any | None:
    """Return the first trajectory_msgs/JointTrajectory with points inside of a message."""
    if type(message).__name__.endswith('JointTrajectory') and hasattr(message, 'points'):
        return message if len(message.points) else None
    parts = message if isinstance(message, (list, tuple)) else [
        getattr(message, name) for name in getattr(message, '__dataclass_fields__', ())
        if not name.startswith('__')]
    return next((found for part in parts if (found := trajectory_in(part)) is not None), None)
