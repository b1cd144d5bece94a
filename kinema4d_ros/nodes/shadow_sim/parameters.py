# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every parameter of shadow_sim; config/shadow_sim.yaml and docs/parameters.md follow this."""
from __future__ import annotations

from typing import Any

from kinema4d_ros.bridge.parameters import Parameter, ParameterTable, UNSET
from kinema4d_ros.bridge.qos import CAMERA_RELIABILITY
from kinema4d_ros.bridge.robot_state import ROBOT_STATE_TOPICS
from kinema4d_ros.ledger.file import MOST_ENTRIES
from kinema4d_ros.ledger.limits import LedgerLimits
from kinema4d_ros.nodes.launcher import LAUNCHER_PID
from kinema4d_ros.nodes.shadow_sim.camera_parameters import (CAMERAS, DEPTH_TRANSPORTS, OF_CAMERA,
                                                             TRANSPORTS, why_not_cameras)
from kinema4d_ros.nodes.shadow_sim.scene_parameters import OF_SOURCE, why_not_sources
from kinema4d_ros.precheck import (CameraCheck, Consequence, DynamicsRules, Tier0Settings,
                                   Tier1Settings, Tier2Settings, TouchRule, Unprobed,
                                   Unseen)
from kinema4d_ros.precheck.dynamics_rules import LEAST_DRAG, LEAST_PUSH
from kinema4d_ros.precheck.settings import (COARSEST, LONGEST_STEP, MOST_GROWTH,
                                            MOST_TRAVEL)

_DEFAULTS: dict[str, Any] = {
    'tier0': Tier0Settings(), 'tier1': Tier1Settings(), 'tier2': Tier2Settings(),
    'physics': DynamicsRules(), 'ledger': LedgerLimits()}
_LEDGER_LIMITS = (
    ('path', 'a joint is this far from the path of the trajectory', 'rad or m'),
    ('end', 'a joint ends this far from the end of it', 'rad or m'),
    ('clearance', 'it came this much nearer to the scene than predicted, beyond two of its sigma',
     'm'),
    ('place', 'something is seen this far from where it was foreseen', 'm'),
    ('residual', 'the camera sees the robot this far from where its joints say', 'm'),
    ('depth', 'a surface has gone or come by this where nothing was foreseen', 'm'),
    ('area', 'and is so large', 'm^2'))
#: rule of an event -> what happens then
_EVENT_MEANINGS = {
    'pushed': 'the robot pushes something farther than may_push',
    'dragged': 'something is taken along farther than may_take_along by what moves against it',
    'toppled': 'something tips over', 'dropped': 'what was held falls by more than 2 cm',
    'slipped': 'what is held shifts between the fingers',
    'slipped_out': 'what was held is lost while the fingers stay closed',
    'fell_off': 'something falls off what it stood on',
    'jammed': 'something is pressed between robot and surroundings with more than 40 N',
    'not_modelled': 'the robot touches a fixture, such as a drawer, which the simulation has stay',
    'undecided': 'simulations under other assumptions end in another way',
    'discarded': 'a tenth or more of the simulations became unstable and do not count',
    'not_simulated': 'the world model physics could reconstruct nothing and has all stay'}
_TOUCH = TouchRule()


def _rule(name: str, description: str, **more: Any) -> Parameter:
    """Return the row of a setting as its class has it; `minimum` is 0 unless given."""
    tier, _, item = name.partition('.')
    default = getattr(_DEFAULTS[tier], item)
    kind = type(default)
    return Parameter(name, kind, default, description,
                     **({} if kind is bool else {'minimum': kind(0)}) | more)


def _limit(kind: str, meaning: str, unit: str, **more: Any) -> Parameter:
    """Return the row of a further limit of a joint."""
    return Parameter(
        f'joint_limits.<joint>.{kind}', float, UNSET,
        f'{meaning}; the tighter of this and the URDF holds', unit=unit, **more)


TABLE_ROWS = (
    # what predicts
    Parameter('world_model', str, 'kinematic',
              'World model: frozen, kinematic, kinema4d, replay, or one of your own as '
              'module:Class',
              read_only=True),
    Parameter('world_model_settings.<name>', object, UNSET,
              'A setting of the world model, which says which there are', read_only=True),
    Parameter('device', str, '',
              "Device of a world model that has the setting 'device', such as cuda:0; others "
              'ignore it; empty leaves it to the model', read_only=True),
    Parameter('frames', int, 49, 'Frames of a prediction, evenly over the trajectory',
              minimum=2, maximum=1000, read_only=True),
    Parameter('seed', int, 0, 'Seed of world models that draw random numbers', minimum=0),
    Parameter('deadline', float, 120.0,
              'A verdict that takes longer is UNSURE, and a prediction that does is stopped',
              unit='s', minimum=0.1, maximum=86400.0),
    Parameter('cancel_grace', float, 2.0,
              'Time a world model has to stop when asked, before its process is killed',
              unit='s', minimum=0.1, maximum=600.0, read_only=True),
    Parameter('start_timeout', float, 900.0,
              'Time a world model has to load, before its process is killed and started again',
              unit='s', minimum=1.0, maximum=86400.0, read_only=True),
    Parameter('separate_checks', bool, True,
              'Check contacts in a process of their own, so that verdicts neither wait for a slow '
              'world model nor end with it; false saves its memory', read_only=True),
    Parameter('frame_slots', int, 4,
              'Frames that may wait in shared memory between world model and node', minimum=2,
              maximum=64, read_only=True),
    # what is seen
    CAMERAS,
    Parameter('image_transport', str, 'raw',
              'Topic of the image: camera/image_raw (raw) or camera/image_raw/compressed',
              choices=TRANSPORTS, read_only=True),
    Parameter('depth_transport', str, 'raw',
              'Topic of the depth image: camera/depth/image_raw (raw), that with '
              '/compressedDepth, or no depth', choices=DEPTH_TRANSPORTS, read_only=True),
    Parameter('camera_reliability', str, 'auto',
              'QoS of the image subscriptions; auto asks for reliable where it is offered',
              choices=CAMERA_RELIABILITY, read_only=True),
    Parameter('camera_frame', str, '',
              "Optical frame of the camera; empty takes the image's header.frame_id",
              read_only=True),
    Parameter('extrinsics', list[float], (),
              'Pose of the optical frame in the root link of the robot, x y z [m] qx qy qz qw; '
              'empty when the camera is a link of the robot or known to TF', length=7,
              read_only=True),
    *OF_SOURCE,
    *OF_CAMERA,
    Parameter('frame_prefix', str, '',
              "What TF has before the names of the robot's links: frame_prefix of the live robot's "
              'robot_state_publisher', read_only=True),
    Parameter('fixed_joints.<joint>', float, UNSET,
              'Position of a joint that nobody publishes, such as a caster or a gripper without '
              'driver', unit='rad or m'),
    Parameter('joint_agreement', float, 0.01,
              'Two sources of one joint that differ by more contradict each other, and nothing '
              'rests on that joint', unit='rad or m', minimum=0.0001, maximum=1.0, read_only=True),
    Parameter('robot_state_topics', list[str], ROBOT_STATE_TOPICS,
              'Topics on which the driver says whether the robot would move, each TOPIC TYPE; '
              'TOPIC alone is a std_msgs/Bool that is true where it would, !TOPIC one that is true '
              'where it would not. While one says no, or cannot be heard, nothing passes. Those of '
              'the default may be absent', read_only=True),
    Parameter('max_input_age', float, 1.0,
              'Joints and image are stale that are older than this, or came longer ago by steady '
              'time, as when /clock stands still; 0.0 accepts any age (unsafe)', unit='s',
              minimum=0.0, maximum=3600.0),
    Parameter('input_wait', float, 1.0,
              'How long a request waits for an input that is missing or stale', unit='s',
              minimum=0.0, maximum=60.0),
    Parameter('sync_tolerance', float, 0.05,
              'Depth and joint states this far from the image belong to it', unit='s',
              minimum=0.001, maximum=10.0),
    Parameter('depth_images', int, 5,
              'A hole in the depth image is filled where more than half of so many images, taken '
              'within 0.35 s while the robot stood still, have one depth: holes of real cameras '
              'flicker, those of black and glossy things do not; less than 3 for never',
              minimum=1, maximum=8),
    Parameter('memory_rate', float, 1.0,
              'How often the scene is remembered between predictions, so that what the robot '
              'hides later is known; 0.0 never', unit='Hz', minimum=0.0, maximum=30.0,
              read_only=True),
    Parameter('local_clearance_rate', float, 5.0,
              'How often the free space around the robot is measured for local_clearance, while '
              'somebody listens to it (set_point_gate does) and nothing is being checked; 0.0 '
              'never', unit='Hz', minimum=0.0, maximum=30.0, read_only=True),
    Parameter('package_paths', list[str], (),
              'Folders searched for package:// meshes after the ament index', read_only=True),
    # what is judged
    Parameter('required_tiers', list[int], (0, 1),
              'Tiers that must pass for PASS: 0 the trajectory by itself, 1 its distance to the '
              'scene that a depth image shows, 2 what the world model predicts', minimum=0,
              maximum=2),
    Parameter('late_tiers', list[int], (),
              'Tiers to run after the verdict, as late evidence: a final verdict follows the '
              'first; 2, or empty for none', minimum=2, maximum=2),
    Parameter('goal_rubric', str, '',
              'Name of what a motion is to achieve, where a request names nothing else; empty for '
              'nothing. It makes tier 1 run'),
    Parameter('rubric_dir', str, '',
              'Folder with further goal rubrics, one NAME.yaml each; empty for those of the '
              'package', read_only=True),
    Parameter('verdict_lifetime', float, 5.0,
              'How long a verdict may be acted on, from the look at the world that it rests on',
              unit='s', minimum=0.1, maximum=3600.0),
    Parameter('tracking', str, '',
              'File of how the robot follows commands, as `kinema4d fit-tracking` writes it: the '
              'way that it is likely to take is then judged as well; empty for none'),
    # tier 0: the trajectory by itself
    _rule('tier0.start_tolerance',
          'Distance of each live joint to the first point of a trajectory that starts at time 0',
          unit='rad or m', maximum=1.0),
    _rule('tier0.position_tolerance',
          'How far beyond its position limits a joint may be commanded', unit='rad or m',
          maximum=1.0),
    _rule('tier0.velocity_scale', "Share of the robot's velocity limits that may be used",
          minimum=0.001, maximum=1.0),
    Parameter('tier0.required_joints', list[str], (),
              'Joints that every trajectory must name; those of a controller that refuses partial '
              'goals'),
    Parameter('tier0.workspace', list[float], (),
              'Box x0 y0 z0 x1 y1 z1 in the root link that the moving links must not leave; empty '
              'for no box', unit='m', length=6),
    Parameter('tier0.start_velocity', str, 'measured',
              'Joint velocities that the controller takes a motion to start with: those in '
              'joint_states (measured), none where it lacks the state interface velocity (zero), '
              'those of its last command with interpolate_from_desired_state (commanded: what '
              'starts while the robot moves is not judged)',
              choices=('measured', 'zero', 'commanded')),
    _rule('tier0.allow_end_velocity', 'Accept a trajectory that still moves at its last point'),
    _rule('tier0.step_time',
          'A jump of the commanded velocity counts as an acceleration over this time',
          unit='s', minimum=0.0001, maximum=LONGEST_STEP),
    _rule('tier0.self_margin',
          'Links of the robot that come closer than this to each other fail', unit='m',
          maximum=1.0),
    _rule('tier0.travel',
          'How far a point of a link moves between two looks at its workspace and at the other '
          'links, at most', unit='m', minimum=0.001, maximum=MOST_TRAVEL),
    _limit('min_position', 'Least position of a joint', 'rad or m'),
    _limit('max_position', 'Greatest position of a joint', 'rad or m'),
    _limit('max_velocity', 'Greatest speed of a joint', 'rad/s or m/s', minimum=0.0),
    _limit('max_acceleration', 'Greatest acceleration of a joint', 'rad/s^2 or m/s^2',
           minimum=0.0),
    _limit('max_jerk', 'Greatest jerk of a joint', 'rad/s^3 or m/s^3', minimum=0.0),
    Parameter('joint_limits_file', str, '',
              'A joint_limits.yaml, as MoveIt and description packages have it; the tightest of '
              'this, the URDF and joint_limits.<joint> holds. Empty for none', read_only=True),
    Parameter('srdf', str, '',
              'SRDF, as text or as the path of a file; the pairs of links that it disables may '
              'touch, those that it enables (enable_collisions) are checked though their shapes '
              'overlap. Empty for none', read_only=True),
    Parameter('allowed_contacts.<link>', list[str], UNSET,
              'Further links that this link may touch', read_only=True),
    # tier 1: the scene that the depth camera sees
    Parameter('touch.<link>.depth', float, UNSET,
              f'How far this link may be pressed into the scene, {_TOUCH.depth} unless set; links '
              'for which something of touch is set may touch, and no others; where there are none, '
              'the fingers of the gripper', unit='m', minimum=0.0),
    Parameter('touch.<link>.speed', float, UNSET,
              f'How fast this link may be when it touches, {_TOUCH.speed} unless set', unit='m/s',
              minimum=0.0),
    Parameter('touch.<link>.within', list[float], UNSET,
              'Box x0 y0 z0 x1 y1 z1 in the root link where this link may touch; anywhere unless '
              'set', unit='m', length=6),
    _rule('tier1.near_miss', 'A link that comes closer is reported', unit='m', maximum=0.06),
    _rule('tier1.confidence', 'Standard deviations of a distance that a decision keeps away',
          maximum=10.0),
    _rule('tier1.depth_sigma', 'Standard deviation of the depth camera, at any distance', unit='m',
          maximum=0.5),
    _rule('tier1.depth_sigma_square',
          'What the distance adds to it: this times the distance squared', unit='1/m', maximum=0.5),
    _rule('tier1.calibration_sigma',
          "Standard deviation of the camera's place against the robot, along each axis", unit='m',
          maximum=0.5),
    _rule('tier1.calibration_turn_sigma', 'Standard deviation of its orientation, about each axis',
          unit='rad', maximum=0.5),
    Parameter('tier1.camera_check', str, str(_DEFAULTS['tier1'].camera_check),
              'What it takes for the pose of the camera to be believed: it sees the robot where it '
              'should be, or did within camera_memory (required); nothing speaks against it, and '
              'where it cannot see the robot it is believed (when_visible); nothing (off, unsafe)',
              choices=tuple(map(str, CameraCheck))),
    _rule('tier1.camera_memory',
          'How long the camera is believed after it saw the robot where it should be, from the '
          'same place', unit='s', maximum=86400.0),
    _rule('tier1.mesh_sigma', "Standard deviation of the robot's meshes, which are reduced",
          unit='m', maximum=0.5),
    _rule('tier1.mask_growth',
          'Pixels around the rendered robot that are taken for the robot, at least; more where the '
          'place of the camera is less certain', unit='px', maximum=MOST_GROWTH),
    _rule('tier1.voxel', 'Size of the cells of which the scene keeps one point each', unit='m',
          minimum=0.0005, maximum=COARSEST),
    _rule('tier1.least_neighbours',
          'Pixels beside one that must see the same surface, for it to be an obstacle', maximum=8),
    _rule('tier1.least_measured',
          'Share of the pixels beside the robot that must have a depth, for the scene to be known',
          maximum=1.0),
    _rule('tier1.travel', 'How far a point of a link moves between two looks at it, at most',
          unit='m', minimum=0.001, maximum=MOST_TRAVEL),
    _rule('tier1.carried_depth', 'How far what is carried may be pressed into the scene', unit='m',
          maximum=0.2),
    _rule('tier1.carried_sigma', 'Standard deviation of the shape of what is carried', unit='m',
          maximum=0.2),
    _rule('tier1.depth_min', 'Nearest depth that the camera measures; a smaller value is none',
          unit='m', maximum=10.0),
    _rule('tier1.depth_max', 'Farthest depth that the camera measures; a larger value is none, and '
          'does not mean that the way there is free', unit='m', minimum=0.1, maximum=100.0),
    _rule('tier1.memory_age', 'What the robot hides was seen free at most this long ago, to count '
          'as free; what stood there stays an obstacle', unit='s', maximum=86400.0),
    Parameter('tier1.unseen', str, str(_DEFAULTS['tier1'].unseen),
              'What it means when a link goes into space that nobody vouches for, farther than the '
              'following say: no PASS (unsure), or only reported (report, unsafe)',
              choices=tuple(map(str, Unseen))),
    _rule('tier1.unseen_hidden', 'How far a link may go into space without a measured depth in '
          'view or hidden by something', unit='m', maximum=10.0),
    _rule('tier1.unseen_hole', 'How much of such space, in one piece and at least 4 cm wide, a '
          'link may go through', unit='m^3', maximum=1000.0),
    _rule('tier1.unseen_hand', 'How far the hand may go outside of the view', unit='m',
          maximum=10.0),
    _rule('tier1.unseen_behind_hand', 'How far the hand may go into what the robot itself hides',
          unit='m', maximum=10.0),
    _rule('tier1.unseen_behind_arm', 'How far other links may go into what the robot itself hides',
          unit='m', maximum=10.0),
    _rule('tier1.unseen_outside', 'How far other links may go outside of the view', unit='m',
          maximum=10.0),
    _rule('tier1.trail_age', 'Where links have been at most this long ago counts as free where no '
          'camera sees it; 0 for only where they are', unit='s', maximum=86400.0),
    Parameter('tier1.known_free', list[float], (),
              'Boxes x0 y0 z0 x1 y1 z1 in the root link, one after the other, that are free though '
              'no camera sees them; empty for none', unit='m'),
    # tier 2: what the world model predicts
    _rule('tier2.residual',
          'Predicted against exact robot, median over its pixels; more is not believed', unit='m',
          maximum=1.0),
    _rule('tier2.moved', 'A surface that is this far from where it was has moved', unit='m',
          minimum=0.001, maximum=1.0),
    _rule('tier2.least_area', 'Smaller patches of change are noise', unit='m^2', minimum=0.00001,
          maximum=1.0),
    _rule('tier2.reach', 'What was this close to the robot may have been touched', unit='m',
          minimum=0.001, maximum=1.0),
    _rule('tier2.vanished', 'Share of its area that a touched object must show somewhere',
          maximum=1.0),
    _rule('tier2.sigma', 'Standard deviation of predicted points', unit='m', maximum=1.0),
    _rule('tier2.confidence', 'Standard deviations of a distance that a decision keeps away',
          maximum=10.0),
    _rule('tier2.spread', 'Predictions with several seeds may differ by this much', unit='m',
          maximum=1.0),
    _rule('tier2.seeds', 'Predictions of one motion, with a seed each', minimum=1, maximum=16),
    _rule('tier2.hold_still',
          'Predict also what happens when the robot does not move: nothing should'),
    Parameter('tier2.following_scores', str, '',
              'File of how well world models follow actions, as `kinema4d probe-model` writes it; '
              'empty for none'),
    _rule('tier2.least_following', 'What a prediction is not believed below: the lower end of the '
          'interval of the score of its world model', maximum=1.0),
    Parameter('tier2.unprobed', str, str(_DEFAULTS['tier2'].unprobed),
              'What it means when nobody has measured whether a world model that generates its '
              'frames follows actions: no PASS (unsure), or only reported (report, unsafe)',
              choices=tuple(map(str, Unprobed))),
    # what a simulation with dynamics may show, in tier 1 or as the world model `physics`
    _rule('physics.outcome', 'Tier 1 foresees by a simulation what is pushed and where it ends; it '
          'needs MuJoCo (requirements/physics.txt) and about half a second'),
    _rule('physics.members', 'Simulations under other assumptions, in tier 1', minimum=1,
          maximum=32),
    _rule('physics.neighbours', 'Simulations by which tier 1 refuses (UNSURE) what else would '
          'pass, where half of them move something by 1 mm or 1 degree that is neither carried nor '
          'where the goal wants something to go; 8 take about a second. 0: none', maximum=32),
    _rule('physics.may_push', 'How far the robot may push anything but what the hand grasps; a '
          'simulation tells of no push below 1 cm', unit='m', minimum=LEAST_PUSH, maximum=10.0),
    _rule('physics.may_take_along', 'How far a thing may be dragged along by another one; a '
          'simulation tells from 3 mm on what another one is lifted off', unit='m',
          minimum=LEAST_DRAG, maximum=10.0),
    *(Parameter(f'physics.{name}', str, str(getattr(_DEFAULTS['physics'], name)),
                f'What it means when {meaning}: a finding that changes nothing (report), no PASS '
                '(unsure), or fail', choices=tuple(map(str, Consequence)))
      for name, meaning in _EVENT_MEANINGS.items()),
    # what is reported
    Parameter('shadow_prefix', str, 'shadow/',
              'Prefix of the TF frames of the predicted robot; the same as frame_prefix of its '
              'robot_state_publisher', read_only=True),
    Parameter('cloud_stride', int, 1, 'Publish every n-th row and column of clouds', minimum=1,
              maximum=64),
    Parameter('incident_dir', str, '',
              'Folder for incident packets, one for each FAIL, which `kinema4d replay-incident` '
              'judges again; empty for none'),
    Parameter('ledger.file', str, '',
              'File of the trust ledger, in which each executed motion is entered with what was '
              'predicted and what was seen of it then; `kinema4d ledger` shows it; empty for none',
              read_only=True),
    Parameter('ledger.decisions', list[str], ('trajectory_gate/decision',),
              'Topics of the gates that say what becomes of a motion, for the ledger',
              read_only=True),
    Parameter('ledger.most_entries', int, MOST_ENTRIES,
              'Entries that the ledger keeps; the oldest make room', minimum=1,
              maximum=10_000_000),
    Parameter('ledger.settle', float, 0.5,
              'How long after the end of a motion the ledger looks at the world', unit='s',
              minimum=0.0, maximum=60.0),
    *(Parameter(f'ledger.{name}', float, getattr(_DEFAULTS['ledger'], name),
                f'A motion has not gone as predicted beyond this: {meaning}', unit=unit,
                minimum=1e-6, maximum=10.0) for name, meaning, unit in _LEDGER_LIMITS),
    Parameter('diagnostics_rate', float, 1.0, 'Rate of /diagnostics', unit='Hz', minimum=0.1,
              maximum=10.0, read_only=True),
    Parameter('drift_period', float, 10.0,
              'How often each camera with depth is compared with the robot while nothing else is '
              'to do, for the drift on /diagnostics; needs memory_rate above 0; 0 never',
              unit='s', minimum=0.0, maximum=3600.0),
    Parameter('drift_limit', float, 0.01,
              'A robot that is seen farther from where it should be is a warning on /diagnostics; '
              '0 never', unit='m', minimum=0.0, maximum=1.0),
    Parameter('autostart', bool, True,
              'Configure and activate at start; false leaves that to a lifecycle manager',
              read_only=True),
    LAUNCHER_PID,
)


_LIMITS = 'joint_limits.<joint>.min_position, .max_position, .max_velocity, .max_acceleration ' \
    'or .max_jerk, each with a number'
#: name in version 0.1 -> name now
RENAMED = {
    **{name: f'tier0.{name}' for name in (
        'start_tolerance', 'position_tolerance', 'velocity_scale', 'required_joints', 'workspace',
        'allow_end_velocity', 'step_time', 'self_margin')},
    'joint_limits': _LIMITS,
    'touch': 'touch.<link>.depth, .speed or .within, each with a value',
    'allowed_contacts': 'allowed_contacts.<link> with a list of links',
    'tier1.unseen_share': 'tier1.unseen_hidden, .unseen_hand, .unseen_behind_hand, '
    '.unseen_behind_arm and .unseen_outside, how far a link may go [m]',
    'world_model_settings': 'world_model_settings.<name> with a value, instead of name=value',
}

TABLE = ParameterTable(TABLE_ROWS, rules=(why_not_cameras, why_not_sources), renamed=RENAMED)
