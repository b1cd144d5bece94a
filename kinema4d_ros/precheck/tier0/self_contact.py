# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tier 0: links of the robot that a motion brings together."""
from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kinema4d_ros.precheck.numbers import distinct
from kinema4d_ros.precheck.unchecked import moves_against
from kinema4d_ros.types import Finding, FindingCode, plain_point, Severity

if TYPE_CHECKING:      # with the library that measures distances
    from kinema4d_ros.robot import LinkContact, SelfCollision

_PARTING = 0.05    # [m] that links which touch where a robot is parked may move until they part


def check_self_contact(times: np.ndarray, T_base_link: np.ndarray, checker: SelfCollision,
                       margin: float) -> list[Finding]:
    """
    Return the pairs of links that touch or come closer than `margin` [m], one finding per pair.

    A pair that touches where the motion begins is doubtful (UNSURE) as long as it has not parted:
    the robot stands there already, and must be able to move out of it. One that touches with all
    joints at 0, where robots are parked, is only noted (INFO) when the motion parts it at once, and
    so is one that the motion leaves as it is: neither link moves against the other.

    :param times: (T,) float64 [s].
    :param T_base_link: (T, L, 4, 4) float64 in the order of the robot's links.
    """
    contacts: dict[tuple[str, str], list[LinkContact]] = {}
    for contact in checker(T_base_link, margin, until_touch=True):
        contacts.setdefault(contact.links, []).append(contact)
    found = []
    for (one, other), of_pair in contacts.items():
        begins, worst = of_pair[0], min(of_pair, key=lambda c: c.distance)
        time = float(times[begins.index])
        near, wanted = distinct(1000 * worst.distance, 1000 * margin, digits=0)
        said = f"'{one}' and '{other}' would touch" if worst.distance <= 0 else (
            f"'{one}' and '{other}' would come within {near} mm of each other (at least {wanted} "
            'mm wanted)')
        stands = [c.index for c in of_pair] == list(range(len(of_pair)))
        message = f'{said} at {float(times[worst.index]):.2f} s'
        severity = Severity.UNSURE if stands else Severity.FAIL
        if stands and len(of_pair) < len(times) \
                and frozenset((one, other)) in checker.touching_at_rest \
                and _moved(checker, T_base_link[[0, len(of_pair)]], one, other) <= _PARTING:
            severity = Severity.INFO
            message += '; they do already where the motion begins, and part'
        elif stands and not moves_against(checker.robot, T_base_link, one, other):
            severity = Severity.INFO
            message += '; they do already where the motion begins, which moves neither against ' \
                       'the other'
        elif stands:
            message += ('; they do already where the motion begins; where they may, an SRDF or '
                        'allowed_contacts says so')
        elif worst.index != begins.index:
            message += f', beginning at {time:.2f} s'
        found.append(Finding(
            FindingCode.SELF_COLLISION, severity, message,
            link=one, other=other, point_base=plain_point(begins.point_base), time=time,
            value=worst.distance, limit=margin, unit='m'))
    return found


def _moved(checker: SelfCollision, T_base_link: np.ndarray, one: str, other: str) -> float:
    """Return how far [m] any point of a link moves against another one, of (2, L, 4, 4) poses."""
    names = checker.robot.link_names
    T_one_other = np.linalg.inv(T_base_link[:, names.index(one)]) \
        @ T_base_link[:, names.index(other)]
    points = checker.surfaces[other]
    difference = T_one_other[1] - T_one_other[0]
    return float(np.linalg.norm(points @ difference[:3, :3].T + difference[:3, 3], axis=1).max())
