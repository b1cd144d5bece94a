# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a policy's actions mean, told from a few chunks and the states that they were asked in."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kinema4d_ros.errors import PolicyError
from kinema4d_ros.policy.detect.gripper import ends_of, guess_gripper, GripperGuess
from kinema4d_ros.policy.detect.hypotheses import (hypotheses, Hypothesis, Kind, led, make_scene,
                                                   per_number, Scene)
from kinema4d_ros.policy.detect.likelihood import (as_driven, as_motion, of_rest, Tracking,
                                                   tracking)
from kinema4d_ros.policy.detect.order import find_order, Order
from kinema4d_ros.policy.detect.record import ChunkRecord, common_length
from kinema4d_ros.policy.detect.result import Detection, Finding
from kinema4d_ros.robot.description import JointType
from kinema4d_ros.robot.gripper import find_gripper
from kinema4d_ros.robot.robot import Robot

_MOST_ACTIONS, _MOST_CHUNKS = 32, 64        # more say nothing new
_ORDER_PRICE = 1.0                          # [nats] of any order but the robot's own
_NO_SIGN = 3.0                              # [nats] against robosuite without a gripper of -1..1
_SETTLED = 4.0                              # [nats] that another order is worse


@dataclass(frozen=True)
class _Scored:
    told: Hypothesis
    score: float
    order: Order | None
    track: Tracking | None
    gap: float              # [rad] from the state to the first action, median of the largest


def detect_actions(robot: Robot, records: Sequence[ChunkRecord], rate: float, *,
                   arm: Sequence[str] = (), tip_links: Sequence[str] = (),
                   gripper_ends: Mapping[str, tuple[float, float]] | None = None) -> Detection:
    """
    Tell what a policy's actions mean.

    Every meaning that fits the number of columns is weighed by how likely the numbers are under it
    (`likelihood`), alone and, where the states afterwards are known, against what was driven.

    :param records: a few chunks, better of different moments of a task: one says little, eight
        mostly enough.
    :param rate: [Hz] actions per second.
    :param arm: joints of the arm in the robot's order; default: all but those of the fingers.
    :param tip_links: links that places may be of, the likeliest first; default: the palm and what
        is fixed to the end of the arm.
    :param gripper_ends: joint of a finger -> [rad or m] open, closed; default: by kinematics.
    :raises PolicyError: the chunks do not fit each other or the robot.
    """
    if not (np.isfinite(rate) and rate > 0):
        raise PolicyError(f'rate must be more than 0 Hz, got {rate}')
    scene = _scene(robot, records[:_MOST_CHUNKS], rate, arm, tip_links)
    scored = [_score(scene, told) for told in hypotheses(scene)]
    if not scored:
        raise PolicyError(
            f'{scene.actions.shape[2]} columns are too few or too many for an arm of '
            f'{len(scene.arm)} joints ({", ".join(scene.arm)}), for a place, and for both with a '
            'gripper')
    scores = np.array([item.score for item in scored])
    chances = np.exp(scores - scores.max())
    chances /= chances.sum()
    best = scored[int(np.argmax(chances))]
    ends = ends_of(robot) if gripper_ends is None else dict(gripper_ends)
    grippers = {}
    for column in range(scene.actions.shape[2]):
        if not best.told.first <= column < best.told.first + best.told.width:
            grippers[column] = guess_gripper(scene.actions[:, :, column], robot, scene.state,
                                             scene.after, ends)
    return Detection(rate, robot, scene.arm, best.told, best.order, best.track,
                     _findings(scene, scored, chances, best, grippers), grippers, ends, best.gap)


def _scene(robot: Robot, records: Sequence[ChunkRecord], rate: float, arm: Sequence[str],
           tip_links: Sequence[str]) -> Scene:
    length, later = common_length(records)
    if len(records[0].state) != len(robot.joint_names):
        raise PolicyError(f'a state has {len(records[0].state)} joints, the robot '
                          f'{len(robot.joint_names)}: {", ".join(robot.joint_names)}')
    gripper = find_gripper(robot)
    fingers = () if gripper is None else gripper.finger_joints
    names = tuple(arm) or tuple(name for name in robot.joint_names if name not in fingers)
    if strange := sorted(set(names) - set(robot.joint_names)):
        raise PolicyError(f'{", ".join(strange)} are no joints of the robot; it has '
                          f'{", ".join(robot.joint_names)}')
    tips = tuple(tip_links) or _tips(robot, names, () if gripper is None else (gripper.palm_link,))
    if strange := sorted(set(tips) - set(robot.link_names)):
        raise PolicyError(f'{", ".join(strange)} are no links of the robot')
    length, later = min(length, _MOST_ACTIONS), min(later, _MOST_ACTIONS)
    after = np.stack([record.after[:later] for record in records
                      if record.after is not None]) if later else None
    return make_scene(robot, rate, names, tips,
                      np.stack([record.actions[:length] for record in records]),
                      np.stack([record.state for record in records]), after)


def _tips(robot: Robot, arm: tuple[str, ...], palm: tuple[str, ...]) -> tuple[str, ...]:
    """Return the palm, and the other links that move with the last joint of the arm alone."""
    link = robot.joints[arm[-1]].child
    fixed = [name for name in robot.link_names if name == link or (
        any(joint.child == link for joint in robot.path(name)) and all(
            joint.type is JointType.FIXED
            for joint in robot.path(name)[len(robot.path(link)):]))]
    return tuple(dict.fromkeys((*palm, *fixed)))


def _score(scene: Scene, told: Hypothesis) -> _Scored:
    where = led(scene, told)
    order = find_order(scene, told) if told.space == 'joint' else None
    price = 0.0
    if order is not None and order.better > 0:
        where = _ordered(scene, told, order)
        price = _ORDER_PRICE
    rest = np.delete(scene.actions, np.s_[told.first:told.first + told.width], axis=2)
    score = of_rest(rest, quaternion=told.rotation == 'quaternion') - price
    if told.unit == 'OSC' and rest.size and not -1.05 < rest.min() < 0 < rest.max() < 1.05:
        score -= _NO_SIGN
    units = per_number(scene, told)
    driven, track = scene.driven(told.space, told.link), None
    parts = (np.s_[:],) if told.space == 'joint' else (np.s_[:3], np.s_[3:])
    for part in parts:      # metres and radians of a tip have speeds of their own
        score += as_motion(where[..., part], units[part], scene.rate, told.kind.value)
        if driven is not None:
            score += as_driven(tracking(where[..., part], driven[..., part], told.kind.value),
                               len(where)) / len(parts)
    if driven is not None:
        track = tracking(where, driven, told.kind.value)
    gap = float(np.median(np.abs(where[:, 0]).max(axis=1)))
    return _Scored(told, score, order, track, gap)


def _ordered(scene: Scene, told: Hypothesis, order: Order) -> np.ndarray:
    """Return where chunks lead with their columns in the robot's order."""
    actions = scene.actions.copy()
    block = actions[:, :, told.first:told.first + told.width]
    actions[:, :, told.first:told.first + told.width] = \
        block[:, :, order.columns] * np.array(order.signs)
    return led(Scene(scene.robot, scene.rate, scene.arm, scene.tips, actions, scene.state,
                     scene.after, scene.T_base_tip, scene.T_after), told)


def _findings(scene: Scene, scored: list[_Scored], chances: np.ndarray, best: _Scored,
              grippers: Mapping[int, GripperGuess]) -> dict[str, Finding]:
    def ask(key: Callable[[Hypothesis], str], among: Callable[[Hypothesis], bool], reason: str
            ) -> Finding:
        sums: dict[str, float] = {}
        total = 0.0
        for item, chance in zip(scored, chances):
            if among(item.told):
                sums[key(item.told)] = sums.get(key(item.told), 0.0) + float(chance)
                total += float(chance)
        value = key(best.told)
        sums = {name: part / total for name, part in sums.items()}
        other = max((part, name) for name, part in (sums | {'': 0.0}).items() if name != value)
        if other[1] and other[0] > 1e-3:
            reason += f'; {other[1]} has {other[0]:.3f}'
        return Finding(value, sums[value], reason)

    told = best.told
    driven = '' if best.track is None or best.track.moved < 0.003 else (
        f', and leaves {100 * best.track.left:.0f} % of what was driven {best.track.lag} periods '
        'later')
    gap = f'the first action is {best.gap:.3g} rad or half metres from the state{driven}'
    out = {
        'space': ask(lambda h: h.space, lambda h: True, gap),
        'reference': ask(lambda h: h.kind.value, lambda h: h.space == told.space, gap),
        'unit': ask(lambda h: h.unit, lambda h: (h.space, h.kind) == (told.space, told.kind),
                    'speed and range of the motion'),
        'layout': ask(lambda h: f'columns {h.first} to {h.first + h.width - 1} move the arm',
                      lambda h: h.space == told.space, 'the other columns move otherwise')}
    if told.space == 'joint':
        out['order'] = _order_finding(best.order, scene.arm)
    else:
        same = [lambda h: (h.space, h.kind) == (told.space, told.kind)]
        out['rotation'] = ask(lambda h: h.rotation, same[0], gap)
        if told.kind is Kind.ABSOLUTE:
            out['link'] = ask(lambda h: h.link, same[0], gap)
        else:
            out['frame'] = ask(lambda h: h.frame, same[0], 'the motion that was driven'
                               if driven else 'nothing is known of what was driven')
    for column, guess in grippers.items():
        out[f'gripper {column} range'] = Finding(
            '' if guess.ends is None else f'{guess.ends[0]:g}..{guess.ends[1]:g}',
            guess.range_confidence, guess.range_reason)
        out[f'gripper {column} open'] = Finding(
            '' if guess.opens_up is None else 'high' if guess.opens_up else 'low',
            guess.way_confidence, guess.way_reason)
    return out


def _order_finding(order: Order | None, arm: tuple[str, ...]) -> Finding:
    if order is None:
        return Finding('as the robot', 0.0, 'changes without what was driven tell no order')
    sure = 1.0 / (1.0 + float(np.exp(-(order.better if order.better > 0 else order.runner_up)
                                     + _SETTLED / 2)))
    if order.better == 0.0:
        return Finding('as the robot', sure, 'exchanging any two columns explains less by '
                       f'{order.runner_up:.1f} nats or more')
    words = ', '.join(f'{"-" if sign < 0 else ""}column {column} is {name}'
                      for name, column, sign in zip(arm, order.columns, order.signs))
    return Finding(words, sure, f'explains more than the robot\'s own order by '
                   f'{order.better:.1f} nats')
