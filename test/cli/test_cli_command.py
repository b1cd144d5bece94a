# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The command kinema4d without ROS: what it prints, writes, and how it ends."""
import argparse
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from lacking import needs

from kinema4d_ros.cli import installation, precheck, show
from kinema4d_ros.cli.exits import Exit, HELP, LackingError
from kinema4d_ros.cli.main import COMMANDS, main, make_parser
from kinema4d_ros.cli.ros import stay_alone
from kinema4d_ros.diagnosis import Level
from kinema4d_ros.evaluation import stages
from kinema4d_ros.incident import read_packet, write_packet
from kinema4d_ros.resources import share_dir
from kinema4d_ros.types import Status, Verdict

pytestmark = needs('PyKDL')
EPISODES = share_dir() / 'data' / 'episodes'
TABLE = 'libero_spatial_0_0_into_table'


def test_help_tells_all_and_every_example_parses(capsys):
    with pytest.raises(SystemExit) as ended:
        main(['--help'])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert all(name in text for name in COMMANDS) and HELP in text
    parser = make_parser()
    for name in COMMANDS:
        with pytest.raises(SystemExit):
            main([name, '--help'])
        text = capsys.readouterr().out
        examples = re.findall(r'^  kinema4d (.*)$', text, re.MULTILINE)
        assert examples and HELP in text
        for example in examples:
            words = example.partition('#')[0].partition('>')[0].split()
            parser.parse_args(words[:words.index('--ros-args')] if '--ros-args' in words
                              else words)


def test_the_module_is_the_command():
    """It once did nothing, and exited with 0."""
    done = subprocess.run([sys.executable, '-m', 'kinema4d_ros.cli.main', 'nonsense'],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == Exit.USAGE and 'nonsense' in done.stderr


def test_verdicts_are_exit_codes():
    assert [Exit.of(status) for status in Status] == [0, 1, 3]


@pytest.mark.parametrize('words', [
    ['nonsense'], ['precheck'], ['precheck', 'x', '--tiers', '0,7'],
    ['precheck', 'x', '--tiers', 'all'], ['precheck', 'x', '--frames', '1'],
    ['demo', '--frames', 'many'], ['view', 'x', '--frames', '0'], ['engine', '--frames', '-3']])
def test_wrong_usage(words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == Exit.USAGE
    assert 'usage: kinema4d' in capsys.readouterr().err


def test_the_command_alone_tells_what_there_is(capsys):
    assert main([]) == Exit.USAGE
    said = capsys.readouterr().err
    assert 'COMMAND --help' in said and all(name in said for name in COMMANDS)


@pytest.mark.parametrize(('words', 'said'), [
    (['precheck', 'nothing_like_it'], 'no such episode'),
    (['precheck', TABLE, '--set', 'x'], 'not of the form NAME=VALUE'),
    (['precheck', TABLE, '--set', 'x=['], 'is not YAML'),
    (['precheck', TABLE, '--goal', 'world_peace'], "there is no goal 'world_peace'.*lift"),
    (['precheck', TABLE, '--world-model', 'oracle', '--tiers', '0'], 'unknown world model'),
    (['precheck', TABLE, '--incident-dir', __file__], 'test_cli_command.py is a file; name a fold'),
    (['precheck', TABLE, '--trajectory', '/etc/hostname'], 'is no trajectory .*no mapping.*write'),
    (['view', TABLE, '--port', '70000'], '--port 70000: a port is 1 to 65535'),
    (['evaluate', '/nowhere'], 'no such episode: ./nowhere'),
    (['replay-incident', '/nowhere.zip'], 'No such file'),
    (['record', '--repair', '/nowhere.mcap'], 'cannot be repaired')])
def test_what_cannot_be_read(words, said, capsys):
    assert main(words) == Exit.USAGE
    captured = capsys.readouterr()
    assert re.search(said, captured.err + captured.out.replace('\n', ' '))
    assert 'Traceback' not in captured.err


def test_precheck_fails_with_a_packet_that_replays(tmp_path, capsys):
    assert main(['precheck', TABLE, '--json', '--incident-dir', str(tmp_path)]) == Exit.FAIL
    verdict = json.loads(capsys.readouterr().out)
    assert verdict['status'] == 'FAIL'
    assert {'CONTACT'} <= {finding['code'] for finding in verdict['findings']}
    packet, = tmp_path.iterdir()
    assert read_packet(packet).verdict.status == Status.FAIL

    assert main(['replay-incident', str(packet)]) == Exit.PASS
    text = capsys.readouterr().out
    assert text.startswith('FAIL') and 'came again as it was recorded' in text
    assert main(['replay-incident', str(packet), '--json']) == Exit.PASS
    assert json.loads(capsys.readouterr().out)['reproduced'] is True


def test_a_replay_that_differs(tmp_path, capsys, monkeypatch):
    import dataclasses

    assert main(['precheck', TABLE, '--tiers', '0,1', '--incident-dir', str(tmp_path)]) == 1
    assert 'written: ' in capsys.readouterr().out
    path, = tmp_path.iterdir()
    packet = read_packet(path)
    write_packet(path, dataclasses.replace(packet, verdict=dataclasses.replace(
        packet.verdict, status=Status.UNSURE, min_clearance=1.0)))
    assert main(['replay-incident', str(path)]) == Exit.FAIL
    text = capsys.readouterr().out
    assert 'differs: status: UNSURE then, FAIL now' in text and 'differs: min_clearance' in text


def test_precheck_passes_for_people(capsys):
    assert main(['precheck', 'libero_object_0_0_success', '--goal', 'episode']) == Exit.PASS
    text = capsys.readouterr().out
    assert text.startswith('PASS') and 'goal is met with' in text and 'nearest to the scene' in text


def test_precheck_by_some_of_the_cameras(capsys):
    name = 'libero_object_6_0_success_wrist'
    assert main(['precheck', name]) == Exit.PASS
    assert 'cameras: camera, wrist\n' in capsys.readouterr().out
    assert main(['precheck', name, '--cameras', 'camera']) == Exit.PASS
    assert 'cameras: camera\n' in capsys.readouterr().out
    assert main(['precheck', name, '--cameras', 'side']) == Exit.USAGE
    assert "no camera 'side'; it has: camera, wrist" in capsys.readouterr().err
    for wrong in ('a,,b', 'a,a', ''):
        with pytest.raises(argparse.ArgumentTypeError, match='each once'):
            precheck.cameras(wrong)


def test_precheck_with_tier_2_and_a_rubric(capsys):
    assert main(['precheck', str(EPISODES / f'{TABLE}.mcap'), '--tiers', '0,2', '--frames', '3',
                 '--world-model', 'frozen', '--goal', 'lift', '--json']) in (0, 3)
    assert json.loads(capsys.readouterr().out)['world_model'] == 'frozen'


def test_evaluate(tmp_path, capsys):
    for name in (TABLE, 'libero_object_0_0_success'):
        (tmp_path / f'{name}.mcap').symlink_to(EPISODES / f'{name}.mcap')
    (tmp_path / 'broken.mcap').write_bytes(b'no')
    assert main(['evaluate', str(tmp_path), '--json', '--workers', '1']) == Exit.PASS
    out = json.loads(capsys.readouterr().out)
    assert out['figures'] and 'broken.mcap: ' in out['unread'][0]
    (tmp_path / f'{TABLE}.mcap').unlink()
    (tmp_path / 'libero_object_0_0_success.mcap').unlink()
    assert main(['evaluate', str(tmp_path)]) == Exit.USAGE
    assert 'not judged: broken.mcap' in capsys.readouterr().out
    (tmp_path / 'broken.mcap').unlink()
    assert main(['evaluate', str(tmp_path)]) == Exit.USAGE


def test_an_evaluation_that_breaks_has_not_passed(tmp_path, monkeypatch, capsys):
    """As opposed to an episode that cannot be judged, which is left out."""
    def breaks(path):
        raise ValueError('nobody thought of that')

    monkeypatch.setattr(stages, 'precheck', breaks)
    assert main(['evaluate', str(EPISODES / f'{TABLE}.mcap')]) == Exit.FAIL
    assert 'ValueError: nobody thought of that' in capsys.readouterr().out


@pytest.mark.parametrize(('raised', 'code'), [
    (KeyboardInterrupt(), Exit.INTERRUPTED), (LackingError('get it'), Exit.LACKING)])
def test_ends_cleanly(monkeypatch, capsys, raised, code):
    def stopped(options):
        raise raised

    monkeypatch.setattr(precheck, 'run', stopped)
    assert main(['precheck', 'x']) == code
    err = capsys.readouterr().err
    assert 'Traceback' not in err and ('stopped' in err or 'get it' in err)


def test_what_plays_a_robot_does_so_in_a_domain_of_its_own(monkeypatch):
    for name, value in {'ROS_DOMAIN_ID': '7', 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SUBNET'}.items():
        monkeypatch.setenv(name, value)     # as a robot's computer has them
    monkeypatch.delenv('KINEMA4D_DOMAIN_ID', raising=False)
    stay_alone()
    assert 20 <= int(os.environ['ROS_DOMAIN_ID']) < 100
    assert os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] == 'LOCALHOST'
    monkeypatch.setenv('KINEMA4D_DOMAIN_ID', '31')
    stay_alone()
    assert os.environ['ROS_DOMAIN_ID'] == '31'


def test_view_without_viser(monkeypatch, capsys):
    monkeypatch.setattr('kinema4d_ros.cli.ros.need_ros', lambda: None)
    monkeypatch.setitem(sys.modules, 'viser', None)
    assert main(['view']) == Exit.LACKING
    assert 'pip install viser, or in a clone' in capsys.readouterr().err


def started(*words, **options):
    """Start the command as a process of its own."""
    root = Path(__file__).resolve().parents[2]
    return subprocess.Popen(
        [sys.executable, str(root / 'executables' / 'kinema4d'), *words], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, 'PYTHONPATH': str(root)}, **options)


def test_ctrl_c_of_the_real_thing():
    # A test run that a shell put into the background would have it ignored.
    with started('evaluate', str(EPISODES), preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.SIG_DFL)) as process:
        assert 'success' in process.stdout.readline()      # of the first episode
        process.send_signal(signal.SIGINT)
        assert 'Traceback' not in process.communicate(timeout=60)[1]
        assert process.returncode == Exit.INTERRUPTED


@pytest.mark.parametrize('words', [
    ['--help'], ['precheck', TABLE, '--tiers', '0'], ['precheck', TABLE, '--tiers', '0', '--json']],
    ids=['help', 'for people', 'JSON'])
def test_a_reader_that_has_gone_ends_it_quietly(words):
    with started(*words) as process:
        process.stdout.close()          # as head does when it has read enough
        assert process.stderr.read() == ''
        assert process.wait(60) == 128 + signal.SIGPIPE


def test_a_reader_of_everything_that_has_gone():
    with started('precheck', 'nothing_like_it') as process:
        process.stdout.close()
        process.stderr.close()
        assert process.wait(60) == 128 + signal.SIGPIPE


def test_json_has_no_nan(capsys):
    show.write_json(Verdict(Status.PASS, 'x', min_clearance=float('nan'),
                            latencies={'a': float('inf')}))
    text = capsys.readouterr().out
    assert 'NaN' not in text and 'Infinity' not in text
    assert json.loads(text)['min_clearance'] is None


def test_tiers():
    assert precheck.tiers('1,0') == (0, 1)
    with pytest.raises(argparse.ArgumentTypeError):
        precheck.tiers('')


def levels() -> dict:
    """Return the doctor's checks of the installation by name."""
    return {check.name: check for check in installation.check_installation()}


def test_the_installation_is_fine_here():
    checks = levels()
    assert checks['Python packages'].level == checks['PyKDL'].level == Level.OK
    assert not [check for check in checks.values() if check.level == Level.ERROR]


def test_what_is_missing_is_reported_with_the_cure(monkeypatch, tmp_path):
    there = installation._is_there
    monkeypatch.setattr(installation, '_is_there', lambda name: name not in (
        'coal', 'cv2', 'torch', 'viser', 'rclpy') and there(name))
    monkeypatch.setitem(sys.modules, 'PyKDL', None)
    monkeypatch.setenv('NUMBA_CACHE_DIR', str(tmp_path))
    checks = levels()
    assert checks['Python packages'].level == Level.ERROR
    assert 'pip install opencv-python-headless coal' in checks['Python packages'].cure
    assert 'apt install python3-pykdl' in checks['PyKDL'].cure
    assert checks['compiled code'].level == Level.INFO
    assert 'make setup' in checks['ROS'].cure and 'viewer' in checks['viser'].cure


@pytest.mark.parametrize(('profile', 'level'), [
    ('', Level.WARNING), ('nowhere.xml', Level.ERROR), ('<a/>', Level.WARNING),
    ('<segment_size>67108864</segment_size>', Level.OK)])
def test_the_profile_of_fast_dds(monkeypatch, tmp_path, profile, level):
    path = tmp_path / 'profile.xml'
    if profile.startswith('<'):
        path.write_text(profile)
    for name in ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE'):
        monkeypatch.setenv(name, str(path) if profile else '')
    assert installation._profile().level == level


@pytest.mark.parametrize(('module', 'cure'), [
    ('PyKDL', 'apt install python3-pykdl'), ('coal', 'pip install coal'),
    ('cv2', 'pip install opencv-python-headless')])
def test_what_is_not_installed_is_said_in_one_line(module, cure):
    code = ('import sys; sys.modules[sys.argv[1]] = None; '
            'from kinema4d_ros.cli.main import main; sys.exit(main(sys.argv[2:]))')
    done = subprocess.run([sys.executable, '-c', code, module, 'precheck', TABLE],
                          capture_output=True, text=True)
    assert done.returncode == Exit.LACKING
    assert cure in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize('kind', [ImportError, OSError])
def test_a_library_of_the_system_that_is_not_there_is_said(monkeypatch, capsys, kind):
    def lacks(_):
        raise kind('libGL.so.1: cannot open shared object file: No such file or directory')

    monkeypatch.setattr(precheck, 'run', lacks)
    assert main(['precheck', TABLE]) == Exit.LACKING
    said = capsys.readouterr().err
    assert 'libGL.so.1' in said and 'apt install libegl1 libgl1' in said
    assert said.count('\n') == 1
