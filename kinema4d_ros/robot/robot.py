# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The robot: links, joints, limits and shapes of a URDF, checked to form one tree."""
from __future__ import annotations

import codecs
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import numpy as np

from kinema4d_ros.errors import RobotDescriptionError, UnknownJointError
from kinema4d_ros.robot.description import Joint, JointType, Link
from kinema4d_ros.robot.mesh_finder import MeshFinder
from kinema4d_ros.robot.tree import read_tree
from kinema4d_ros.robot.urdf import parse_urdf
from kinema4d_ros.types import JointLimit


@dataclass(frozen=True, eq=False)
class Robot:
    """
    A robot as its URDF describes it. Build it with `from_file` or `from_urdf`.

    `joint_names` are the joints that can be commanded: movable and not mimic, in the order of
    the document. Every array over joints in this package has this order.
    """

    name: str
    description_hash: str                     # sha256 of the text, hex
    root_link: str
    link_names: tuple[str, ...]               # parents before children, root first
    joint_names: tuple[str, ...]
    links: Mapping[str, Link]
    joints: Mapping[str, Joint]               # by name, in the order of the document
    limits: Mapping[str, JointLimit]          # of joint_names, the tightest of all that is stated
    #: of joint_names: field of the limit -> where the description states it
    limit_sources: Mapping[str, Mapping[str, str]]
    continuous: frozenset[str]                # joint_names without an end, positions modulo 2 pi
    warnings: tuple[str, ...]                 # what was tolerated in the description
    mesh_finder: MeshFinder

    @classmethod
    def from_urdf(cls, text: str, *, package_paths: Sequence[str | Path] = (),
                  source_dir: str | Path | None = None) -> Robot:
        """
        Read a robot from the text of a URDF (xacro already expanded).

        Meshes are not touched here; `load_meshes` does that.

        :param package_paths: folders to look for mesh packages in, or package folders; they are
            also the folders that ``file://`` meshes may come from.
        :param source_dir: the folder of the URDF file, where there is one.
        :raises RobotDescriptionError: naming the element that cannot be used, and the cure.
        """
        parsed = parse_urdf(text)
        tree = read_tree(parsed)
        names = tuple(joint.name for joint in tree.joints.values()
                      if joint.type is not JointType.FIXED and joint.mimic is None)
        return cls(
            name=parsed.document.name,
            description_hash=hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest(),
            root_link=tree.link_names[0],
            link_names=tree.link_names,
            joint_names=names,
            links=MappingProxyType(tree.links),
            joints=MappingProxyType(tree.joints),
            limits=MappingProxyType({name: tree.limits[name] for name in names}),
            limit_sources=MappingProxyType({name: MappingProxyType(dict(tree.limit_sources[name]))
                                            for name in names}),
            continuous=frozenset(name for name in names
                                 if tree.joints[name].type is JointType.CONTINUOUS),
            warnings=tree.warnings,
            mesh_finder=MeshFinder(package_paths, source_dir))

    @classmethod
    def from_file(cls, path: str | Path, *, package_paths: Sequence[str | Path] = (),
                  source_dir: str | Path | None = None) -> Robot:
        """
        Read a robot from a URDF file (xacro already expanded).

        :param package_paths: as in `from_urdf`.
        :param source_dir: where relative meshes are looked for, in place of the file's own folder.
        :raises RobotDescriptionError: the file cannot be read, or as from `from_urdf`.
        """
        path = Path(path)
        if path.suffix == '.xacro':
            raise RobotDescriptionError(
                f'{path} is a xacro file; expand it first: '
                f'ros2 run xacro xacro {path.name} > {path.name.removesuffix(".xacro")}')
        try:
            text = _decoded(path.read_bytes())
        except (OSError, UnicodeError, LookupError) as error:
            raise RobotDescriptionError(f'the URDF {path} cannot be read: {error}') from error
        return cls.from_urdf(text, package_paths=package_paths,
                             source_dir=path.parent if source_dir is None else source_dir)

    def configuration(self, joint_positions: Mapping[str, float], *, default: float = 0.0,
                      strict: bool = True) -> np.ndarray:
        """
        Return joint positions in the order of `joint_names`, matched by name.

        :param joint_positions: [rad or m] by joint name. Positions of mimic joints are accepted
            and not used, since they follow their leader.
        :param default: for joints that are not named, moved into the limits of the joint.
        :param strict: refuse names that the robot does not have, else ignore them.
        :return: (J,) float64 [rad or m].
        :raises UnknownJointError: with both lists of names.
        """
        if strict:
            unknown = tuple(name for name in joint_positions if name not in self.joints)
            if unknown:
                raise UnknownJointError(unknown, self.joint_names, 'joint positions')
        out = np.empty(len(self.joint_names))
        for i, name in enumerate(self.joint_names):
            if name in joint_positions:
                out[i] = joint_positions[name]
            else:
                limit = self.limits[name]
                out[i] = min(max(default, -np.inf if limit.lower is None else limit.lower),
                             np.inf if limit.upper is None else limit.upper)
        return out

    def path(self, link: str) -> tuple[Joint, ...]:
        """Return the joints from the root link to `link`, in that order."""
        joints = []
        while (joint := self._carriers.get(link)) is not None:
            joints.append(joint)
            link = joint.parent
        return tuple(reversed(joints))

    @cached_property
    def _carriers(self) -> dict[str, Joint]:
        """The joint that carries each link, by the link's name."""
        return {joint.child: joint for joint in self.joints.values()}


_ENCODING = re.compile(rb'^\s*<\?xml[^>]*encoding=["\']([\w.-]+)["\']')


def _decoded(content: bytes) -> str:
    """Return the text of an XML file, in the encoding that it declares, else UTF-8."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode('utf-16')
    content = content.removeprefix(codecs.BOM_UTF8)
    declared = _ENCODING.match(content[:200])
    return content.decode(declared[1].decode('ascii') if declared else 'utf-8')
