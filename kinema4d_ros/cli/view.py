# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`kinema4d view`: the web page beside a robot, or a recorded episode to look at in 3D."""
from __future__ import annotations

import argparse
import contextlib
import importlib.util
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kinema4d_ros.cli import precheck
from kinema4d_ros.cli.exits import Exit, LackingError

if TYPE_CHECKING:
    from kinema4d_ros.types import Report
    from kinema4d_ros.viewer import PredictedScene

HELP = 'show in 3D what is predicted and judged: live, of an episode, or as a file'
EPILOG = """\
Without an episode the page shows the robot and the shadow_sim of this ROS domain. With one, both
are started here, in a domain of their own; where there is no ROS, a page that plays the prediction
is written and opened. What follows --ros-args goes to the viewer.

--save needs no ROS. An .html file plays in any browser without a network; an .rrd file is opened by
Rerun (`rerun FILE`).

examples:
  kinema4d view
  kinema4d view libero_object_0_0_success
  kinema4d view libero_spatial_0_0_into_table --save motion.html
  kinema4d view recording_20260101_120000 --save motion.rrd --frames 25
  kinema4d view --port 9000 --ros-args -r __ns:=/left -r camera/image_raw:=/d435/color/image_raw"""

_LEAD_IN = 6.0     # [s] to see what is predicted before it happens
#: what --save writes -> the module for it, what pip calls that, and the extra
_FILES = {'.html': ('viser', 'viser', 'viewer'), '.rrd': ('rerun', 'rerun-sdk', 'rerun')}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('episode', metavar='EPISODE', nargs='?',
                        help='.mcap file, folder of a bag, or name of a bundled episode')
    parser.add_argument('--save', type=Path, metavar='FILE',
                        help='write what is predicted and judged as FILE.html (any browser) or '
                             'FILE.rrd (Rerun), and open nothing')
    parser.add_argument('--topic', action='append', default=[], metavar='ROLE=NAME',
                        help='what a bag calls its topics, as for precheck, for a file; may be '
                             'repeated')
    parser.add_argument('--cameras', type=precheck.cameras, metavar='NAME,...',
                        help='of the episode, for a file; the first one first (default all)')
    parser.add_argument('--package-path', action='append', default=[], metavar='FOLDER',
                        help='where mesh packages are, for a file; may be repeated')
    parser.add_argument('--world-model', default='kinematic', metavar='NAME',
                        help='that predicts, with an episode (default kinematic)')
    parser.add_argument('--frames', type=precheck.frames, default=49, metavar='N',
                        help='predicted frames, 2 or more (default %(default)s)')
    parser.add_argument('--port', type=int, default=8080,
                        help='of the live page (default %(default)s)')
    parser.add_argument('--no-open', action='store_true',
                        help='where there is no ROS: write the page, and open no browser')


def run(options: argparse.Namespace) -> Exit:
    """Run the viewer and what it is to show, or write a file."""
    from kinema4d_ros.errors import ConfigurationError

    if options.save is not None and options.episode is None:
        raise ConfigurationError('--save writes the prediction of an episode: name one, such as '
                                 'libero_object_0_0_success')
    if not 0 < options.port < 65536:
        raise ConfigurationError(f'--port {options.port}: a port is 1 to 65535')
    if options.save is not None:
        _save(options, options.save)
        print(f'written: {options.save}')
        return Exit.PASS
    if options.episode is not None and not _is_ros_there():
        from kinema4d_ros.cli import browser
        from kinema4d_ros.episodes import find_episode

        name = find_episode(options.episode).stem
        page = Path(tempfile.mkdtemp(prefix='kinema4d_view_'), f'{name}.html')
        _save(options, page)
        browser.show_page(page, not options.no_open)
        return Exit.PASS
    return _run_live(options)


def _is_ros_there() -> bool:
    return all(importlib.util.find_spec(name) for name in ('rclpy', 'kinema4d_ros.msg'))


def _run_live(options: argparse.Namespace) -> Exit:
    """Run the nodes."""
    from kinema4d_ros.cli import ros
    from kinema4d_ros.episodes import find_episode

    try:
        ros.need_ros()
    except LackingError as error:
        raise LackingError(f'{error}; `kinema4d view EPISODE` needs none') from error
    _need(*_FILES['.html'])
    with contextlib.ExitStack() as others:
        if options.episode:
            path = find_episode(options.episode).absolute()
            seen, played = camera_parameters(path, options.cameras)
            ros.stay_alone()
            ros.use_large_messages()
            others.enter_context(ros.beside(
                'shadow_sim', f'world_model:={options.world_model}', f'frames:={options.frames}',
                'required_tiers:=[0, 1]', *seen))
            others.enter_context(ros.beside('episode_player', f'episode:={path}',
                                            'at_end:=loop', f'lead_in:={_LEAD_IN}',
                                            'wait_for_ready:=[shadow_sim]', *played))
        code = ros.run_node('viewer', [f'port:={options.port}', *seen], options.ros_arguments)
    return Exit.FAIL if code else Exit.PASS


def camera_parameters(path: Path, chosen: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """Return parameters of what looks and of the player; one camera needs none to look."""
    from kinema4d_ros.episodes import Episode

    episode = Episode.open(path)
    cameras = [episode.camera(name) for name in chosen] if chosen else episode.cameras
    names = f'cameras:=[{",".join(camera.name for camera in cameras)}]'
    if len(cameras) == 1:
        return [], [names] if chosen else []
    return [names, *(f'{camera.name}.depth_transport:=none' for camera in cameras
                     if not camera.frames.has_depth(0))], [names]


def _need(module: str, distribution: str, extra: str) -> None:
    """
    Check that a package of an extra is there.

    :raises LackingError: it is not, or it cannot be imported; the message says what to do.
    """
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise LackingError(
            f'{distribution} is not installed ({error}); pip install {distribution}, or in a clone '
            f"pip install -c requirements/constraints.txt '.[{extra}]'") from error


def _save(options: argparse.Namespace, path: Path) -> None:
    """Predict the episode, and write what there is to see."""
    from kinema4d_ros.cli import show
    from kinema4d_ros.errors import ConfigurationError

    if path.suffix not in _FILES:
        raise ConfigurationError(f'--save {path} ends with {path.suffix or "no suffix"!r}; name a '
                                 f'file that ends with {" or ".join(_FILES)}')
    if not path.absolute().parent.is_dir():
        raise ConfigurationError(f'--save {path}: there is no folder {path.absolute().parent}')
    _need(*_FILES[path.suffix])
    from kinema4d_ros.viewer import write_html, write_rrd

    show.say_first_run()
    with show.progress('view') as report:
        scene = _predicted(options, report)
        report('writing', 0, 0)
        (write_html if path.suffix == '.html' else write_rrd)(scene, path)


def _predicted(options: argparse.Namespace, report: Report) -> PredictedScene:
    """Judge and predict the episode."""
    from kinema4d_ros.camera import LinkPose
    from kinema4d_ros.episodes import Episode
    from kinema4d_ros.precheck import Goal
    from kinema4d_ros.robot import Robot
    from kinema4d_ros.simulator import ShadowSimulator
    from kinema4d_ros.viewer import meshes_to_show, PredictedScene

    report('reading', 0, 0)
    episode = Episode.open(options.episode, topics=precheck.topics_of(options.topic))
    robot = Robot.from_urdf(episode.robot_description, package_paths=options.package_path)
    observation = episode.observation(cameras=options.cameras)
    first = LinkPose(episode.camera(observation.primary.name).frame)
    with ShadowSimulator(robot, options.world_model, frames=options.frames,
                         camera_poses=first.poses) as simulator:
        meant = episode.metadata.goal        # {} in a recording
        verdict = simulator.precheck(
            observation, episode.trajectory, report=report,
            goal=Goal.of(meant, 'the goal of the episode') if meant else None)
        rollout, frames = simulator.future(observation, episode.trajectory, report=report)
        return PredictedScene.of(episode.path.stem, robot, meshes_to_show(robot), observation,
                                 rollout, list(frames), verdict)
