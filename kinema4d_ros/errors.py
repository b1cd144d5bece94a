# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every error that this package raises on purpose: one root, one child per kind of cause."""


class Kinema4DError(Exception):
    """Root of all errors of this package; catch it to catch them all."""


class RobotDescriptionError(Kinema4DError):
    """A robot description (URDF) cannot be used; the message names the element and the cure."""


class MeshError(RobotDescriptionError):
    """A mesh of a link is missing or cannot be read; the message names link, URI and places."""


class UnknownJointError(Kinema4DError):
    """A joint name is not in the robot (or is missing from the data)."""

    def __init__(self, unknown: tuple[str, ...], known: tuple[str, ...], where: str) -> None:
        """Make the error of names that are not among `known`; both lists are attributes."""
        self.unknown, self.known, self.where = tuple(unknown), tuple(known), where
        super().__init__(
            f'{where}: unknown joint name(s) {", ".join(unknown)}; '
            f'the robot has: {", ".join(known) or "no movable joint"}')


class TrajectoryError(Kinema4DError):
    """A joint trajectory is not well formed (shapes, times, missing fields)."""


class KinematicsError(Kinema4DError):
    """KDL refused a computation, or inverse kinematics did not reach its target."""


class CameraError(Kinema4DError):
    """A camera is uncalibrated, its model is unknown, or its pose cannot be found."""


class ObservationError(Kinema4DError):
    """An image, depth image or joint state cannot be used (encoding, size, stamp, missing)."""


class ContradictionError(ObservationError):
    """Two sources of one input disagree, so neither can be relied on; the message names both."""


class EpisodeError(Kinema4DError):
    """A recorded episode is damaged or lacks a topic."""


class DatasetError(Kinema4DError):
    """A data set of others, or one episode of it, cannot be imported; the message says why."""


class JobError(Kinema4DError):
    """Work cannot be begun, or its records cannot be read or written; not one job's failure."""


class IncidentError(Kinema4DError):
    """An incident packet cannot be written, or is damaged; the message names file and part."""


class WorldModelError(Kinema4DError):
    """A world model is unknown, wrongly configured, or failed while predicting."""


class TrainingError(Kinema4DError):
    """Training cannot start, or had to stop; the message says where and what to change."""


class PolicyError(Kinema4DError):
    """A policy, or what serves it, cannot be reached or answered what cannot be executed."""


class LedgerError(Kinema4DError):
    """A ledger of judged and executed motions cannot be read or written."""


class PredictionCancelled(Kinema4DError):  # noqa: N818 - it is a stop on request, not an error
    """The prediction was asked to stop: cancelled, or replaced by a newer request."""


class ConfigurationError(Kinema4DError):
    """A parameter is missing or out of range; the message names it and its valid values."""


class CalibrationError(Kinema4DError):
    """A camera cannot be calibrated from this, or not well enough; the message says what to add."""
