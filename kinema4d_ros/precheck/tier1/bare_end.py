# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether something is at the end of an arm that by its robot description carries nothing."""
from __future__ import annotations

from collections.abc import Collection

from kinema4d_ros.precheck.tier1.clearance import Clearance
from kinema4d_ros.robot import JointType, Robot
from kinema4d_ros.types import Finding, FindingCode, plain_point, Severity

_MOUNTED = 0.02    # [m] from the shape of the last link, less than what stands about is away


def bare_end_of(robot: Robot, hand_links: Collection[str], shaped: Collection[str]
                ) -> frozenset[str]:
    """
    Return the links with a shape at the end of a robot that is one arm without fingers, or none.

    Ends that move against each other, as of two arms or of a hand, may have anything near.

    :param hand_links: as `hand_links_of` returns them for a robot without a gripper.
    """
    ends = frozenset(hand_links) & frozenset(shaped)
    bodies = {[joint.name for joint in robot.path(link) if joint.type is not JointType.FIXED][-1]
              for link in ends}
    return ends if len(bodies) == 1 else frozenset()


def check_bare_end(clearance: Clearance, ends: Collection[str]) -> list[Finding]:
    """
    Report what is at the end of the arm where the motion begins: it would come along, unjudged.

    A gripper that the description lacks looks like that, and so does what a suction cup holds.

    :param ends: links of `bare_end_of`, but those that may touch.
    """
    found = []
    for link in ends:
        if link not in clearance.link_names:
            continue
        track = clearance.track(link)
        if track.distance[0] < _MOUNTED:
            found.append(Finding(
                FindingCode.NOT_CHECKED, Severity.UNSURE,
                f"something is {1000 * track.distance[0]:.0f} mm (+-{1000 * track.sigma[0]:.0f}) "
                f"from '{link}' where the motion begins, and by the robot description the arm "
                'ends there: if it is a tool or held, put it into the description or declare it '
                'on attached_collision_object (Python: precheck(attached=...)); if not, '
                f'touch.{link}.depth allows it to be that near', link=link, other='scene',
                point_base=plain_point(track.point_base[0]), time=float(track.times[0]),
                value=float(track.distance[0]), limit=_MOUNTED, sigma=float(track.sigma[0]),
                unit='m'))
    return found
