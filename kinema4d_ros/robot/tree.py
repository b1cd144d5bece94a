# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From what urdf_parser_py returns to links and joints that form one tree, or a clear error."""
from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from urdf_parser_py import urdf as urdf_parser

from kinema4d_ros.errors import RobotDescriptionError
from kinema4d_ros.robot.description import (Box, Capsule, Cylinder, Joint, JointType, Link,
                                            MeshFile, Mimic, Shape, Sphere, UnreadShape)
from kinema4d_ros.robot.transforms import transform_from_rpy
from kinema4d_ros.robot.urdf import foreign_shape, ParsedUrdf
from kinema4d_ros.robot.urdf_limits import Named, tightest, URDF
from kinema4d_ros.types import JointLimit


@dataclass(frozen=True)
class KinematicTree:
    """Links and joints of a description, `link_names` with parents before children."""

    link_names: tuple[str, ...]
    links: dict[str, Link]
    joints: dict[str, Joint]
    limits: dict[str, JointLimit]         # by joint, the tightest of all that is stated
    #: joint -> field of its limit -> where it is stated
    limit_sources: dict[str, Mapping[str, str]]
    warnings: tuple[str, ...]


def read_tree(parsed: ParsedUrdf) -> KinematicTree:
    """
    Check and convert a parsed description.

    :raises RobotDescriptionError: two roots, cycles, duplicate names, mimic of nothing, ...
    """
    document, warnings = parsed.document, list(parsed.warnings)
    for kind, items in (('link', document.links), ('joint', document.joints)):
        twice = [name for name, n in Counter(item.name for item in items).items() if n > 1]
        if twice:
            raise RobotDescriptionError(
                f'<{kind} "{twice[0]}"> is defined twice; rename one of them')
    if not document.links:
        raise RobotDescriptionError(
            f'<robot "{document.name}"> has no link; was xacro expanded before?')
    joints = {joint.name: _joint(joint, warnings) for joint in document.joints}
    holding = {name: _holding(joint, parsed.limits.get(name, ()), warnings)
               for name, joint in joints.items()}
    order = _topological_order([link.name for link in document.links], joints)
    _check_mimics(joints)
    colors = {material.name: _rgb(material.color) for material in document.materials}
    # A material may be defined in one visual and referred to by name in another.
    for link in document.links:
        for visual in link.visuals:
            if visual.material is not None and visual.material.color is not None:
                colors.setdefault(visual.material.name, _rgb(visual.material.color))
    links = {link.name: _link(link, colors) for link in document.links}
    return KinematicTree(
        order, links, joints, {name: limit for name, (limit, _) in holding.items()},
        {name: sources for name, (_, sources) in holding.items()}, tuple(warnings))


def _origin(pose: urdf_parser.Pose | None) -> np.ndarray:
    if pose is None:
        return transform_from_rpy((0, 0, 0), (0, 0, 0))
    return transform_from_rpy(pose.xyz or (0, 0, 0), pose.rpy or (0, 0, 0))


def _joint(joint: urdf_parser.Joint, warnings: list[str]) -> Joint:
    kind = JointType(joint.type)
    axis = np.array(joint.axis if joint.axis is not None else (1.0, 0.0, 0.0))
    length = float(np.linalg.norm(axis))
    if kind is not JointType.FIXED and length < 1e-9:
        raise RobotDescriptionError(
            f'<joint "{joint.name}"> has a zero axis; give a direction such as xyz="0 0 1"')
    axis = axis / length if length >= 1e-9 else np.array((1.0, 0.0, 0.0))
    axis.flags.writeable = False
    mimic = None
    if joint.mimic is not None and kind is not JointType.FIXED:
        multiplier, offset = joint.mimic.multiplier, joint.mimic.offset
        mimic = Mimic(joint.mimic.joint, 1.0 if multiplier is None else multiplier, offset or 0.0)
    return Joint(joint.name, kind, joint.parent, joint.child, _origin(joint.origin), axis,
                 _limit(joint, kind, warnings), mimic)


def _limit(joint: urdf_parser.Joint, kind: JointType, warnings: list[str]) -> JointLimit:
    limit = joint.limit
    if kind is JointType.FIXED:
        return JointLimit()
    if limit is None:
        if kind is not JointType.CONTINUOUS:
            warnings.append(f'<joint "{joint.name}"> ({kind}) states no limit, though URDF '
                            'demands one; its positions cannot be checked')
        return JointLimit()

    def stated(value: float) -> float | None:
        """Zero or -1 is what exporters write for 'unknown'; infinite marks an absent attribute."""
        return value if value > 0 and math.isfinite(value) else None

    for name in ('velocity', 'effort'):
        if getattr(limit, name) < 0:
            warnings.append(f'<limit> of <joint "{joint.name}">: {name}="{getattr(limit, name)}" '
                            'is negative, taken for not known')
    lower, upper = (value if math.isfinite(value) else None
                    for value in (limit.lower, limit.upper))
    if kind is JointType.CONTINUOUS:
        lower = upper = None
    elif lower is None or upper is None:
        warnings.append(f'<limit> of <joint "{joint.name}"> is infinite; where it ends cannot be '
                        'checked')
    elif lower > upper:
        warnings.append(f'<limit> of <joint "{joint.name}">: lower={lower} is above upper={upper}, '
                        'taken the other way round')
        lower, upper = upper, lower
    elif lower == upper:
        warnings.append(f'<limit> of <joint "{joint.name}"> leaves no room to move '
                        f'(lower = upper = {lower}; both are 0 where they are not written)')
    return JointLimit(lower=lower, upper=upper, velocity=stated(limit.velocity),
                      effort=stated(limit.effort))


def _holding(joint: Joint, further: tuple[Named, ...],
             warnings: list[str]) -> tuple[JointLimit, dict[str, str]]:
    """Return the limit of a joint with all that the description states besides <limit>."""
    limits = [(URDF, joint.limit)]
    if joint.type is JointType.FIXED:
        further = ()
    for source, limit in further:
        if joint.type is JointType.CONTINUOUS:
            limit = replace(limit, lower=None, upper=None)
        held, _ = tightest([*limits, (source, limit)])
        if held.lower is not None and held.upper is not None and held.lower > held.upper:
            warnings.append(
                f'<joint "{joint.name}">: {source} states {limit.lower} to {limit.upper}, which '
                'lies outside of its <limit>; left out')
        else:
            limits.append((source, limit))
    return tightest(limits)


def _topological_order(links: list[str], joints: dict[str, Joint]) -> tuple[str, ...]:
    """Return link names, parents first, children in the order of the joints in the document."""
    known = set(links)
    children: dict[str, list[str]] = defaultdict(list)
    carried: dict[str, str] = {}
    for joint in joints.values():
        for end, link in (('parent', joint.parent), ('child', joint.child)):
            if link not in known:
                raise RobotDescriptionError(
                    f'<joint "{joint.name}"> names the {end} link "{link}", which is not defined; '
                    f'add <link name="{link}"/>')
        if joint.child in carried:
            raise RobotDescriptionError(
                f'<link "{joint.child}"> is the child of <joint "{carried[joint.child]}"> and of '
                f'<joint "{joint.name}">; a link hangs on one joint')
        carried[joint.child] = joint.name
        children[joint.parent].append(joint.child)
    roots = [link for link in links if link not in carried]
    if not roots:
        raise RobotDescriptionError(
            'every link is the child of some joint, so the joints form a cycle; remove one of '
            + ', '.join(f'"{name}"' for name in list(joints)[:8]))
    if len(roots) > 1:
        raise RobotDescriptionError(
            'a robot has one root link, this one has ' + ', '.join(f'"{r}"' for r in roots[:8])
            + '; connect them with a joint of type fixed')
    order, stack = [], [roots[0]]
    while stack:
        link = stack.pop()
        order.append(link)
        stack.extend(reversed(children[link]))
    if len(order) < len(links):
        missed = sorted(known - set(order))
        raise RobotDescriptionError(
            'the joints between ' + ', '.join(f'"{link}"' for link in missed[:8])
            + ' form a cycle; remove the joint that closes it')
    return tuple(order)


def _check_mimics(joints: dict[str, Joint]) -> None:
    """Make sure that every mimic joint ends, over other mimics, at a joint that moves."""
    for joint in joints.values():
        seen = [joint.name]
        while joint.mimic is not None:
            leader = joints.get(joint.mimic.joint)
            if leader is None or leader.type is JointType.FIXED:
                movable = [j.name for j in joints.values()
                           if j.type is not JointType.FIXED and j.mimic is None]
                raise RobotDescriptionError(
                    f'<mimic> of <joint "{joint.name}"> follows "{joint.mimic.joint}", which is '
                    f'{"fixed" if leader else "not a joint"}; choose one of '
                    f'{", ".join(movable) or "(no movable joint)"}')
            if leader.name in seen:
                raise RobotDescriptionError(
                    f'<mimic> of <joint "{joint.name}"> closes a cycle '
                    f'({" -> ".join([*seen, leader.name])}); one of them must move by itself')
            seen.append(leader.name)
            joint = leader


def _link(link: urdf_parser.Link, colors: dict[str, tuple[int, int, int]]) -> Link:
    return Link(link.name,
                tuple(_shape(visual, colors) for visual in link.visuals),
                tuple(_shape(collision, colors) for collision in link.collisions))


def _shape(element: urdf_parser.Visual | urdf_parser.Collision,
           colors: dict[str, tuple[int, int, int]]) -> Shape:
    geometry = element.geometry
    shape: Box | Cylinder | Sphere | Capsule | MeshFile | UnreadShape
    if isinstance(geometry, urdf_parser.Box):
        shape = Box(tuple(geometry.size))
    elif isinstance(geometry, urdf_parser.Cylinder):
        shape = Cylinder(geometry.radius, geometry.length)
    elif isinstance(geometry, urdf_parser.Sphere):
        shape = Sphere(geometry.radius)
    else:
        uri = geometry.filename.strip()
        shape = foreign_shape(uri) or MeshFile(uri, tuple(geometry.scale or (1.0, 1.0, 1.0)))
    material = getattr(element, 'material', None)
    color = None
    if material is not None:
        color = _rgb(material.color) if material.color is not None else colors.get(material.name)
    return Shape(shape, _origin(element.origin), color)


def _rgb(color: urdf_parser.Color) -> tuple[int, int, int]:
    return tuple(round(255 * min(max(value, 0.0), 1.0)) for value in color.rgba[:3])
