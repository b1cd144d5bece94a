# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""docs/security.md says how another robot and camera get into a policy; that is done here."""
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from kinema4d_ros.cli.main import main
from kinema4d_ros.security import SecurityPolicy, Verb

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / 'docs' / 'security.md').read_text()
NAMES = {right.name for enclave in SecurityPolicy.read(ROOT / 'config/security/policy.xml').enclaves
         for profile in enclave.profiles for right in profile.rights}
CAMERA = {f'rt/camera/camera/{name}' for name in (
    'color/image_raw', 'color/image_raw/compressed', 'color/camera_info',
    'aligned_depth_to_color/image_raw', 'aligned_depth_to_color/image_raw/compressedDepth')}


def states(file: Path) -> dict[str, set[str]]:
    """Return node -> topics that a file of config/robots/ has it read the robot's state from."""
    found = {}
    for node, section in yaml.safe_load(file.read_text()).items():
        entries = section['ros__parameters'].get('robot_state_topics', [])
        found[node.rpartition('/')[2]] = {entry.split()[0].lstrip('!') for entry in entries
                                          if entry}
    return found


@pytest.mark.parametrize('file', [
    path for path in sorted((ROOT / 'config' / 'robots').glob('*.yaml'))
    if 'robot_state_topics' in path.read_text()], ids=lambda path: path.stem)
def test_the_policy_or_its_page_has_the_states_of_each_robot(file):
    topics = {topic for found in states(file).values() for topic in found}
    assert topics
    assert {topic for topic in topics if f'/{topic}' not in NAMES and topic not in PAGE} == set()


def permitted(keys: Path, name: str, verb: Verb) -> set[str]:
    tree = ElementTree.parse(keys / 'enclaves' / 'kinema4d' / name / 'permissions.xml')
    return {topic.text for topic in tree.iterfind(f'.//{verb}/topics/topic')}


def test_the_example_gives_an_xarm_and_a_realsense_what_they_need(tmp_path):
    if shutil.which('openssl') is None:
        pytest.skip('there is no openssl: apt-get install openssl')
    (block,) = [text for text in re.findall(r'```bash\n(.*?)```', PAGE, re.S) if 'xarm' in text]
    edits, _, command = block.partition('kinema4d keystore ')
    subprocess.run(['bash', '-ec', edits.replace('$(ros2 pkg prefix --share kinema4d_ros)',
                                                 str(ROOT))], cwd=tmp_path, check=True)
    words = [word.replace('my_policy.xml', str(tmp_path / 'my_policy.xml'))
             .replace('~', str(tmp_path)) for word in shlex.split(command)]
    assert main(['keystore', *words]) == 0
    wanted = states(ROOT / 'config' / 'robots' / 'xarm7.yaml')
    keys = tmp_path / 'keystore'
    for node, topics in wanted.items():
        assert topics and {f'rt/{topic}' for topic in topics} <= permitted(
            keys, node, Verb.SUBSCRIBE), node
    assert permitted(keys, 'robot', Verb.PUBLISH) >= {'rt/xarm/robot_states', *CAMERA}
    for node in ('shadow_sim', 'viewer', 'recorder', 'doctor'):
        assert permitted(keys, node, Verb.SUBSCRIBE) >= CAMERA, node
        assert 'rt/camera/image_raw' not in permitted(keys, node, Verb.SUBSCRIBE)
    assert 'rt/xarm7_traj_controller/joint_trajectory' in permitted(
        keys, 'trajectory_gate', Verb.PUBLISH)
