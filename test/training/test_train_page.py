# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""docs/train.md: its very commands, from recordings to a prediction, with a tiny model."""
from __future__ import annotations

import re
import shlex
from pathlib import Path

from lacking import needs

from kinema4d_ros.cli.main import main
from kinema4d_ros.episodes import find_episode
from kinema4d_ros.training.log import read_log
from kinema4d_ros.world_model import load_world_model
from kinema4d_ros.world_model.following import FollowingScores

pytestmark = needs('torch')
PAGE = Path(__file__).parents[2] / 'docs' / 'train.md'
#: what a command takes besides on a machine without a GPU, so that it ends; the last word counts
TINY = {'train': ['--device', 'cpu', '--mixed-precision', 'no', '--steps', '2', '--no-videos',
                  '--validation-steps', '1', '--validate-every', '2', '--save-every', '1'],
        'engine': ['--device', 'cpu', '--frames', '3'],
        'probe-model': ['--set', 'device=cpu', '--frames', '3', '--seeds', '1']}


def commands():
    """Return the commands of the page that need no ROS, in order."""
    text = '\n'.join(re.findall(r'^```bash\n(.*?)^```', PAGE.read_text(), re.M | re.S))
    lines = [shlex.split(line) for line in text.replace('\\\n', ' ').splitlines()]
    # accelerate starts the same command in several processes
    found = [line[line.index('kinema4d'):] for line in lines if 'kinema4d' in line]
    return [line[1:] for line in found if line[1] in TINY]


def test_the_commands_of_the_page_lead_to_a_model(start, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'Wan2.1-I2V-14B-480P-Diffusers').symlink_to(start[0])
    (tmp_path / 'kinema4d_pmcond_ckpt').symlink_to(start[1])
    for day, name in ('monday', 'libero_object_0_0_success'), ('tuesday', 'libero_object_3_0_slip'):
        (tmp_path / day).mkdir()
        (tmp_path / day / f'{day}_0.mcap').symlink_to(find_episode(name))
    assert len(commands()) == 8
    told = []
    for words in commands():
        again = '--resume' in words
        if 'tuned/clips' in words and not again and (tmp_path / 'tuned/checkpoints').exists():
            assert main([*words, *TINY['train']]) == 2      # that of the launcher, in one process
            assert 'give --resume to go on with it' in capsys.readouterr().err
            continue
        more = [*TINY[words[0]], *(['--steps', '3'] if again else [])]
        words = [word.replace('step-002000', 'step-000003') for word in words]
        follows = words[0] != 'probe-model'        # weights that are made up do not
        assert main([*words, *more]) == (0 if follows else 1), (words, capsys.readouterr().err)
        told.append(capsys.readouterr().out)
    assert 'PFLOP' in told[0]
    assert '2 clips written to tuned/clips' in told[1]
    assert 'training on 1 clips' in told[2] and 'follows' in told[2]
    assert 'from step 2' in told[3] and 'step-000003' in told[3]
    assert 'none missing, none left over' in told[4]
    assert (tmp_path / 'look' / 'summary.json').is_file()
    assert 'does not follow the actions' in ' '.join(told[-1].split())
    tuned = load_world_model('kinema4d', base=str(start[0]), device='cpu',
                             weights=str(tmp_path / 'tuned/checkpoints/step-000003'))
    score = FollowingScores.load(tmp_path / 'look/probe/scores.json').of(tuned)
    assert score is not None and score.high < 0.3        # as the node will find it
    assert len(read_log(tmp_path / 'tuned' / 'log.jsonl')) == 3
