# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The future: exactly, of the robot; as predicted, of the world."""
from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kinema4d_ros.errors import RobotDescriptionError
from kinema4d_ros.types.held import HeldObject
from kinema4d_ros.types.observation import PinholeCamera


@dataclass(frozen=True)
class Gripper:
    """
    Which links are fingers, and which joints drive them; what the world models grasp with.

    `finger_boxes` bounds each finger link's mesh in its link frame: ((x, y, z) lowest corner,
    (x, y, z) highest corner) [m], in order of `finger_links`, None for a link without a mesh;
    empty when the meshes are unknown.
    """

    palm_link: str
    finger_links: tuple[str, ...]
    finger_joints: tuple[str, ...]
    finger_boxes: tuple[tuple[tuple[float, ...], tuple[float, ...]] | None, ...] = ()


class ChainJoint(enum.StrEnum):
    """How a link moves against the one that carries it."""

    FIXED = 'fixed'
    HINGE = 'hinge'
    SLIDE = 'slide'


@dataclass(frozen=True, eq=False)
class ChainLink:
    """One link of a robot: what carries it, how it moves against that, and what it occupies."""

    name: str
    parent: int                   # index of the link that carries it, -1 for the root
    joint: ChainJoint             # against that link; the root is fixed
    T_parent_joint: np.ndarray    # (4, 4) float64, pose of the link at joint position 0
    axis: np.ndarray              # (3,) float64, unit vector in the frame of the link
    effort: float | None          # [N m or N] that the joint can exert, None unknown
    hull: np.ndarray              # (V, 3) float64 [m] corners of its convex hull, link frame


class PicturedRobot:
    """What rollouts have in common: pictures of the robot, maybe still being drawn."""

    pointmap: np.ndarray
    link_id: np.ndarray
    image: np.ndarray

    def seen(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """
        Return pointmap (H, W, 3), link_id (H, W) and image (H, W, 3) of one frame.

        Where the frames are still being drawn it waits for that one only.
        """
        return self.pointmap[index], self.link_id[index], self.image[index]


@dataclass(frozen=True, eq=False)
class ViewRollout(PicturedRobot):
    """How one more camera would see the robot at the T frames of a rollout."""

    name: str                     # of the view in the observation
    camera: PinholeCamera
    T_base_camera: np.ndarray     # (T, 4, 4) float64
    pointmap: np.ndarray          # (T, H, W, 3) float32 [m] its own camera frame, NaN: no robot
    link_id: np.ndarray           # (T, H, W) int16, -1 where no robot
    image: np.ndarray             # (T, H, W, 3) uint8


@dataclass(frozen=True, eq=False)
class RobotRollout(PicturedRobot):
    """The exact part of the future: the robot at T frames, and how the first camera sees it."""

    times: np.ndarray             # (T,) float64 [s] from the start of the trajectory
    joint_names: tuple[str, ...]
    positions: np.ndarray         # (T, J) float64 [rad or m]
    link_names: tuple[str, ...]
    T_base_link: np.ndarray       # (T, L, 4, 4) float64
    camera: PinholeCamera
    T_base_camera: np.ndarray     # (T, 4, 4) float64; constant unless the camera moves
    pointmap: np.ndarray          # (T, H, W, 3) float32 [m] camera frame, NaN where no robot
    link_id: np.ndarray           # (T, H, W) int16, index into link_names, -1 where no robot
    image: np.ndarray             # (T, H, W, 3) uint8, shaded robot, black elsewhere
    gripper: Gripper | None = None
    #: (T, L) float64 [m] how well it is known where each link is; None for exactly
    link_sigma: np.ndarray | None = None
    held: tuple[HeldObject, ...] = ()     # what moves with a link from frame 0 on
    #: the links as rigid bodies, in the order of link_names; none where nobody needs them
    chain: tuple[ChainLink, ...] = ()
    others: tuple[ViewRollout, ...] = ()     # the same as further cameras would see it

    def seen_by(self, view: ViewRollout) -> RobotRollout:
        """Return this rollout as one of the further cameras would see it, and that one only."""
        return dataclasses.replace(
            self, camera=view.camera, T_base_camera=view.T_base_camera, pointmap=view.pointmap,
            link_id=view.link_id, image=view.image, others=())

    @property
    def mask(self) -> np.ndarray:
        """Occupancy of the robot, (T, H, W) bool."""
        return self.link_id >= 0

    @property
    def hand(self) -> Gripper:
        """
        The gripper, for those who need one.

        :raises RobotDescriptionError: the robot has none.
        """
        if self.gripper is None:
            raise RobotDescriptionError('the robot of this rollout has no known gripper; name its '
                                        'finger links to find_gripper')
        return self.gripper


class EventKind(enum.StrEnum):
    """What a world model says happens to the world; names are those of FindingCode."""

    GRASP = 'grasp'                          # the fingers closed on something, which now follows
    CLOSED_ON_NOTHING = 'closed_on_nothing'  # the fingers closed and hold nothing
    RELEASE = 'release'                      # what was held is let go
    REST = 'rest'                            # what was released came to rest
    NO_DEPTH = 'no_depth'                    # without depth the model cannot know what moves
    UNSEEN_SPACE = 'unseen_space'            # the fingers close where the camera saw nothing
    # what only a model with dynamics can tell
    PUSHED = 'pushed'                        # the robot shoves something along
    TOPPLED = 'toppled'                      # something tips over
    DRAGGED = 'dragged'                      # something is taken along by what moves against it
    DROPPED = 'dropped'                      # what was held falls
    SLIPPED = 'slipped'                      # what is held shifts between the fingers
    SLIPPED_OUT = 'slipped_out'              # what was held is lost while the fingers stay closed
    FELL_OFF = 'fell_off'                    # something leaves what it stood on, downwards
    JAMMED = 'jammed'                        # something is pressed between robot and surroundings
    NOT_MODELLED = 'not_modelled'            # the robot touches what may move, and stays here
    UNDECIDED = 'undecided'                  # it may end in one way or in another, be held or not
    DISCARDED = 'discarded'                  # simulations that became unstable and do not count
    NOT_SIMULATED = 'not_simulated'          # nothing could be simulated, so all stays


@dataclass(frozen=True, eq=False)
class WorldEvent:
    """One thing that happens to the world in a predicted future."""

    kind: EventKind
    time: float                    # [s] from the start of the trajectory
    point_base: np.ndarray | None  # (3,) float64 [m], base frame; where it happens, if anywhere
    message: str                   # one sentence for people
    thing: int | None = None       # number of the thing that it happens to, within one prediction
    distance: float | None = None  # [m] how far that moves, may move, or falls
    share: float | None = None     # of the runs of which that is said, 0 to 1, if it is of some


@dataclass(frozen=True, eq=False)
class PredictedThing:
    """Where one thing is at a frame; the rest of the scene is where it was observed."""

    center_base: np.ndarray        # (3,) float64 [m], its middle where it was observed
    T_base_thing: np.ndarray       # (4, 4) float64, how far it has moved since, base frame
    #: (M, 4, 4) the same in each run of a model that simulates the scene M times, None for one
    members: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class PredictedView:
    """What one more camera would see at a frame of a predicted future."""

    name: str                      # of the view in the observation
    image: np.ndarray              # (H, W, 3) uint8
    pointmap: np.ndarray           # (H, W, 3) float32 [m] its own camera frame, NaN unknown
    robot_mask: np.ndarray         # (H, W) bool, pixels that show the robot


@dataclass(frozen=True, eq=False)
class PredictedFrame:
    """One frame of a predicted future, in the (first) camera of the robot rollout."""

    index: int
    count: int
    time: float                    # [s] from the start of the trajectory
    image: np.ndarray              # (H, W, 3) uint8
    pointmap: np.ndarray           # (H, W, 3) float32 [m] camera frame, NaN unknown
    robot_mask: np.ndarray         # (H, W) bool, pixels that show the robot
    events: tuple[WorldEvent, ...] = ()          # events that happen at this frame
    carried_point_base: np.ndarray | None = None  # (3,) [m] centre of what was moved, once known
    pointmap_sigma: np.ndarray | None = None      # (H, W) float32 [m], 1 sigma per axis, if known
    action_following: float | None = None         # [m] generated robot against the exact one
    things: tuple[PredictedThing, ...] = ()       # those that have moved, where the model knows
    #: runs that count and runs that became unstable, of a model that simulates several times
    members: tuple[int, int] | None = None
    #: (H, W) bool, where the picture shows that something has changed and the model cannot tell
    #: where that is; None for a model that always can
    unplaced: np.ndarray | None = None
    #: the same in further cameras, in the order of `RobotRollout.others`; none of a model that
    #: predicts one camera only
    others: tuple[PredictedView, ...] = ()


Report = Callable[[str, int, int], None]
"""
``report(stage, step, total)``: called by whoever works long, from the thread that does the work.

It raises PredictionCancelled when the work is to stop; whoever is asked lets that pass through.
"""


def silent(stage: str, step: int, total: int) -> None:
    """Report to nobody and never cancel."""
