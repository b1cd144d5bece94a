# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`kinema4d precheck`: the verdict on a recorded trajectory, without ROS."""
from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TYPE_CHECKING

import yaml

from kinema4d_ros.cli.exits import Exit

if TYPE_CHECKING:      # a command line must not take a second to print its usage
    from kinema4d_ros.precheck import Goal

HELP = 'judge the trajectory of an episode or recording before it is executed'
EPILOG = """\
examples:
  kinema4d precheck libero_object_0_0_success
  kinema4d precheck recording_20260101_120000 --tiers 0,1 --json
  kinema4d precheck mine.mcap --goal lift --incident-dir incidents
  kinema4d precheck cell.mcap --cameras front,wrist
  kinema4d precheck bag --topic image=/cell/cam/color/image_raw --trajectory reach.yaml
  kinema4d precheck mine.mcap --tiers 0,1,2 --world-model kinema4d --set device=cuda:0"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('episode', metavar='EPISODE',
                        help='.mcap file, folder of a bag, or name of a bundled episode')
    parser.add_argument('--topic', action='append', default=[], metavar='ROLE=NAME',
                        help='what a bag calls its image, depth, camera_info, joint_states, '
                             'trajectory, robot_description or tf_static, where it is not found, '
                             'and image, depth and camera_info of further cameras, such as '
                             'wrist/image=/cam2/color/image_raw; may be repeated')
    parser.add_argument('--cameras', type=cameras, metavar='NAME,...',
                        help='judge by these cameras of the episode, the first one first (default '
                             'all)')
    parser.add_argument('--trajectory', type=Path, metavar='FILE',
                        help='judge this trajectory (YAML, JSON or NPZ) from the last image on, in '
                             'place of that of the bag')
    parser.add_argument('--tiers', type=tiers, default=(0, 1), metavar='0,1,2',
                        help='that must find nothing wrong for a PASS: 0 the trajectory by itself, '
                             '1 against the scene, 2 what a world model predicts (default 0,1)')
    parser.add_argument('--goal', default='', metavar='RUBRIC',
                        help='what the motion is meant to achieve: a YAML file, the name of one '
                             'in config/rubrics, or "episode" for that of the episode')
    parser.add_argument('--world-model', default='kinematic', metavar='NAME',
                        help='of tier 2 (default kinematic)')
    parser.add_argument('--set', action='append', default=[], metavar='NAME=VALUE',
                        help='a setting of the world model; may be repeated')
    parser.add_argument('--frames', type=frames, default=49, metavar='N',
                        help='of tier 2, 2 or more (default 49)')
    parser.add_argument('--seed', type=int, default=0, help='of tier 2 (default 0)')
    parser.add_argument('--incident-dir', type=Path, metavar='FOLDER',
                        help='write an incident packet there on FAIL')
    parser.add_argument('--package-path', action='append', default=[], metavar='FOLDER',
                        help='where mesh packages are; may be repeated')
    parser.add_argument('--tracking', type=Path, metavar='FILE',
                        help='how the robot follows commands, by fit-tracking: the way that it is '
                             'likely to take is judged as well')
    parser.add_argument('--following', type=Path, metavar='FILE',
                        help='how well world models follow actions, by probe-model, for tier 2')
    parser.add_argument('--json', action='store_true', help='the verdict as JSON on stdout')


def run(options: argparse.Namespace) -> Exit:
    """Judge, show, and say it with the exit code."""
    from kinema4d_ros.cli import show
    from kinema4d_ros.episodes import Episode
    from kinema4d_ros.episodes.trajectory_file import load_trajectory
    from kinema4d_ros.errors import ConfigurationError
    from kinema4d_ros.incident import IncidentPacket, IncidentRules, write_packet
    from kinema4d_ros.incident.meshes import mesh_hashes
    from kinema4d_ros.precheck import PrecheckSettings, Tier2Settings
    from kinema4d_ros.robot import Robot
    from kinema4d_ros.robot.tracking import TrackingModel
    from kinema4d_ros.simulator import ShadowSimulator
    from kinema4d_ros.world_model import load_world_model
    from kinema4d_ros.world_model.following import FollowingScores

    settings = settings_of(options.set)
    if options.incident_dir is not None and options.incident_dir.exists() \
            and not options.incident_dir.is_dir():
        raise ConfigurationError(f'--incident-dir {options.incident_dir} is a file; name a folder, '
                                 'which is made where there is none')
    with show.progress('precheck') as report:
        report('reading', 0, 0)
        episode = Episode.open(
            options.episode, topics=topics_of(options.topic),
            trajectory=load_trajectory(options.trajectory) if options.trajectory else None)
        goal = goal_of(options.goal, episode.metadata.goal)
        robot = Robot.from_urdf(episode.robot_description, package_paths=options.package_path)
        observation = episode.observation(cameras=options.cameras)
        trajectory = episode.trajectory
        report('loading the robot', 0, 0)
        model = load_world_model(options.world_model, **settings)
        allowed = PrecheckSettings(
            tracking=TrackingModel.load(options.tracking) if options.tracking else None,
            tier2=Tier2Settings(following_scores=FollowingScores.load(options.following)
                                if options.following else None))
        simulator = ShadowSimulator(robot, model, frames=options.frames, settings=allowed)
        checkpoint = str(model.fingerprint)
        try:
            warnings = simulator.warnings
            verdict = simulator.precheck(observation, trajectory, tiers=options.tiers, goal=goal,
                                         seed=options.seed, report=report)
        finally:
            simulator.close()
    packet_path = None
    if options.incident_dir is not None and verdict.status.name == 'FAIL':
        rules = IncidentRules(
            tiers=options.tiers, required=options.tiers, settings=allowed, goal=goal,
            seed=options.seed, world_model=options.world_model, model_settings=settings,
            frames=options.frames, checkpoint_hash=checkpoint)
        packet_path = options.incident_dir / f'{episode.path.stem}_{options.seed}.zip'
        write_packet(packet_path, IncidentPacket(
            observation, episode.robot_description, trajectory, rules, verdict,
            meshes=mesh_hashes(robot)))
    if episode.metadata.depth_origin:
        warnings = (f'its depth was not measured, and the verdict is worth no more than it: '
                    f'{episode.metadata.depth_origin}', *warnings)
    show.print_warnings(warnings)
    if options.json:
        show.write_json(verdict)
    else:
        show.print_verdict(verdict)
        if len(episode.cameras) > 1:
            show.print_cameras(observation)
        if packet_path is not None:
            show.console().print(f'written: {packet_path}')
    return Exit.of(verdict.status)


def tiers(text: str) -> tuple[int, ...]:
    """Read tiers such as 0,1,2."""
    try:
        found = tuple(sorted({int(word) for word in text.split(',')}))
    except ValueError:
        found = (-1,)
    if not set(found) <= {0, 1, 2}:
        raise argparse.ArgumentTypeError(f'{text!r}; give some of 0,1,2')
    return found


def cameras(text: str) -> tuple[str, ...]:
    """Read names of cameras such as front,wrist."""
    found = tuple(text.split(','))
    if not all(found) or len(set(found)) < len(found):
        raise argparse.ArgumentTypeError(f'{text!r}; give names, each once, such as front,wrist')
    return found


def frames(text: str) -> int:
    """Read a number of predicted frames."""
    if not text.isdecimal() or int(text) < 2:
        raise argparse.ArgumentTypeError(f'{text!r}; a motion has 2 frames or more, such as 49')
    return int(text)


def topics_of(texts: list[str]) -> dict[str, str]:
    """Read ROLE=NAME texts."""
    from kinema4d_ros.errors import ConfigurationError

    pairs = [text.partition('=') for text in texts]
    for text, (_, _, name) in zip(texts, pairs):
        if not name.startswith('/'):
            raise ConfigurationError(f'--topic {text!r} is not of the form ROLE=/NAME, such as '
                                     'image=/camera/color/image_raw')
    return {role: name for role, _, name in pairs}


def settings_of(texts: list[str]) -> dict[str, Any]:
    """Read NAME=VALUE texts, values as YAML."""
    from kinema4d_ros.errors import ConfigurationError

    values = {}
    for text in texts:
        name, sign, value = text.partition('=')
        if not sign:
            raise ConfigurationError(f'--set {text!r} is not of the form NAME=VALUE')
        try:
            values[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigurationError(f'--set {text!r}: the value is not YAML: {error}') from error
    return values


def goal_of(name: str, of_episode: Mapping[str, Any]) -> Goal | None:
    """Return the goal that is named, None for ''."""
    from kinema4d_ros.errors import ConfigurationError
    from kinema4d_ros.precheck import Goal
    from kinema4d_ros.precheck.goals import rubrics

    if not name:
        return None
    if name == 'episode':
        return Goal.of(of_episode, 'the goal of the episode')
    if Path(name).is_file():
        return Goal.load(Path(name))
    known = rubrics()
    if name in known:
        return Goal.load(known[name])
    raise ConfigurationError(
        f'there is no goal {name!r}; name a YAML file, episode, or one of '
        f'{", ".join(sorted(known))}')
