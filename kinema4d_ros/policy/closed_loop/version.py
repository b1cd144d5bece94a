# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a record depends on: package, weights, settings and files; two versions are not mixed."""
from __future__ import annotations

import json
from pathlib import Path

from kinema4d_ros import __version__
from kinema4d_ros.episodes import find_episode
from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.jobs.lineage import file_hash
from kinema4d_ros.policy.closed_loop.plan import address_parts, PlannedRun, RolloutSettings
from kinema4d_ros.policy.closed_loop.record import RolloutRecord
from kinema4d_ros.policy.closed_loop.views import wrist_path
from kinema4d_ros.policy.preset import PolicyPreset
from kinema4d_ros.precheck.goals import rubrics

_PACKAGE, _FINGERPRINT, _FILES = 'package', 'fingerprint', 'files'


def world_version(settings: RolloutSettings, fingerprint: str, run: PlannedRun) -> str:
    """
    Return what a record depends on, as JSON.

    :param fingerprint: of the weights of the world model; '' for none.
    """
    return json.dumps({_PACKAGE: __version__, _FINGERPRINT: fingerprint, **settings.version,
                       _FILES: files_of(run, settings)}, sort_keys=True)


def why_other(record: RolloutRecord, run: PlannedRun, settings: RolloutSettings,
              fingerprint: str) -> str | None:
    """
    Return what was different when a record was made; None for nothing that is known.

    :param fingerprint: of the weights, now.
    """
    different = []
    if record.policy_address and record.policy_address != run.address:
        different.append(f'the policy was {record.policy_address}, is {run.address}')
    try:
        was = json.loads(record.world_version)
    except ValueError:
        was = None
    if isinstance(was, dict):
        now = json.loads(world_version(settings, fingerprint, run))
        files, files_then = now.pop(_FILES), was.pop(_FILES, None)
        different += [f'{name} was {was.get(name, "not known")}, is {value}'
                      for name, value in now.items() if name not in was or was[name] != value]
        if files_then is None:
            different.append('the contents of its files are not known')
        else:
            different += [f'the file of {name} has another content'
                          for name in sorted({*files, *files_then})
                          if files.get(name) != files_then.get(name)]
    return ', '.join(different) or None


def files_of(run: PlannedRun, settings: RolloutSettings) -> dict[str, str]:
    """
    Return the hash of each file that a run reads, by what it is for.

    Of options of addresses, those that name a file. The code of ``python:MODULE:CALLABLE`` and what
    is in a folder are not looked at.
    """
    paths: dict[str, Path | None] = {'start': find_episode(run.start)}
    if settings.goal:
        named = Path(settings.goal)
        paths['goal'] = named if named.is_file() else rubrics().get(settings.goal)
    if settings.wrist:
        paths['wrist'] = wrist_path(settings.wrist)
    for whose, address in ('policy', run.address), ('world', settings.world):
        for key, value in address_parts(address)[1].items():
            try:
                paths[f'{whose} {key}'] = (
                    PolicyPreset.path(value) if key == 'preset' and
                    address.startswith('openpi://') else Path(value).expanduser())
            except ConfigurationError:
                continue
    return {name: file_hash(path) for name, path in paths.items()
            if path is not None and path.is_file()}
