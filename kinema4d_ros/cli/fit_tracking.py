# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`kinema4d fit-tracking`: how a robot follows its commands, from recordings of it."""
from __future__ import annotations

import argparse
from pathlib import Path

from kinema4d_ros.cli.exits import Exit

HELP = 'fit how a robot follows commands to recordings of it'
EPILOG = """\
Robots do not do what they are told: they are late, lag behind, cut corners. Record a few minutes
of ordinary work with the controller_state of joint_trajectory_controller (or joint_trajectory with
joint_states and robot_description), and fit gain, delay and lag of each joint, and how much they
leave unexplained. With the file as the parameter `tracking` of shadow_sim, or PrecheckSettings
(tracking=TrackingModel.load(FILE)), the way that the robot is likely to take is judged as well as
the commanded one, and what is left unexplained widens the margins.

A recording may be an .npz file, too, with the arrays joint_names (J,), times (N,) in seconds,
commanded and measured (N, J).

examples:
  kinema4d record monday --topics robot_description joint_states joint_trajectory \\
      joint_trajectory_controller/controller_state
  kinema4d fit-tracking monday tuesday --output arm.yaml
  kinema4d fit-tracking monday --output arm.yaml --joints joint1 joint2 joint3
  kinema4d precheck tuesday --tracking arm.yaml"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('recordings', metavar='RECORDING', nargs='+', type=Path,
                        help='.mcap file, folder of a bag, or .npz file')
    parser.add_argument('--output', type=Path, required=True, metavar='FILE',
                        help='YAML file for the model')
    parser.add_argument('--horizon', type=float, default=2.0, metavar='S',
                        help='how far ahead the robot is foreseen from a measured start, in '
                             'seconds; about as long as its motions (default 2)')
    parser.add_argument('--joints', nargs='+', metavar='JOINT',
                        help='that are fitted (default all that every recording has): leave '
                             'fingers out, which what they grip stops')
    parser.add_argument('--json', action='store_true', help='the result as JSON on stdout')


def run(options: argparse.Namespace) -> Exit:
    """Fit, test on what was left out of the fit, and write the model."""
    from rich.markup import escape
    from rich.table import Table

    from kinema4d_ros.cli import show
    from kinema4d_ros.episodes.tracking import tracking_records
    from kinema4d_ros.errors import ConfigurationError
    from kinema4d_ros.robot.tracking_fit import fit_tracking, held_out_errors

    if not 0.1 <= options.horizon <= 60.0:
        raise ConfigurationError(f'--horizon must be 0.1 to 60 s, got {options.horizon:g}')
    with show.progress('fit-tracking') as report:
        records = []
        for number, path in enumerate(options.recordings):
            report('reading', number, len(options.recordings))
            records += [record.of(options.joints) for record in tracking_records(path)]
        report('fitting', 0, 0)
        model = fit_tracking(
            records, horizon=options.horizon,
            source=', '.join(path.name for path in options.recordings))
        errors = held_out_errors(records, options.horizon)
    model.save(options.output)
    if options.json:
        show.write_json({'model': model, 'held_out': errors})
        return Exit.PASS
    table = Table(*map(escape, ('joint', 'gain', 'delay [s]', 'lag [s]', 'sigma')))
    for name, joint in model.joints.items():
        table.add_row(name, f'{joint.gain:.3f}', f'{joint.delay:.3f}', f'{joint.lag:.3f}',
                      f'{joint.sigma:.4f}')
    show.console().print(table)
    print(f'written: {options.output}')
    if errors is None:
        print('There is too little to test it on parts that it was not fitted to.')
        return Exit.PASS
    print(f'Joints, {options.horizon:g} s ahead, in parts that it was not fitted to (median, '
          f'95 %): as commanded {errors.commanded[0]:.4f} and {errors.commanded[1]:.4f}, by the '
          f'model {errors.foreseen[0]:.4f} and {errors.foreseen[1]:.4f} rad or m; '
          f'{100 * errors.within:.0f} % are within 1.96 sigma.')
    if errors.foreseen[1] >= errors.commanded[1]:
        print('The model foresees no better than the command itself: record more, or do without.')
        return Exit.FAIL
    return Exit.PASS
