# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Keystores, held against openssl itself."""
import os
import shutil
import stat
import subprocess
from datetime import datetime, timedelta, UTC
from xml.etree import ElementTree

import pytest

from kinema4d_ros.cli.main import main
from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.resources import share_dir
from kinema4d_ros.security import Keystore, SecurityPolicy, Verb
from kinema4d_ros.security.keystore import valid_until

ONE = """<policy version="0.2.0"><enclaves><enclave path="/cell/arm"><profiles>
<profile ns="/" node="arm"><topics publish="ALLOW"><topic>joint_states</topic>{}</topics></profile>
</profiles></enclave></enclaves></policy>"""
FILES = {'cert.pem', 'key.pem', 'identity_ca.cert.pem', 'permissions_ca.cert.pem',
         'governance.p7s', 'permissions.p7s', 'permissions.xml'}


@pytest.fixture(autouse=True)
def need_openssl():
    if shutil.which('openssl') is None:
        pytest.skip('there is no openssl: apt-get install openssl')


def openssl(*words) -> subprocess.CompletedProcess:
    return subprocess.run(['openssl', *map(str, words)], capture_output=True, text=True)


def policy(tmp_path, more='') -> SecurityPolicy:
    path = tmp_path / 'policy.xml'
    path.write_text(ONE.format(more))
    return SecurityPolicy.read(path)


def document(folder, name) -> ElementTree.Element:
    """Return a signed document, once its signature is found good."""
    done = openssl('smime', '-verify', '-text', '-in', folder / f'{name}.p7s', '-CAfile',
                   folder / 'permissions_ca.cert.pem')
    assert done.returncode == 0, done.stderr
    return ElementTree.fromstring(done.stdout)


def published(folder) -> list[str]:
    return [topic.text for topic in document(folder, 'permissions').iterfind(
        './/publish/topics/topic')]


def test_an_enclave_has_what_dds_security_needs(tmp_path):
    (folder,) = Keystore(tmp_path / 'keys', domain=7, days=30).add(policy(tmp_path))
    assert folder == tmp_path / 'keys' / 'enclaves' / 'cell' / 'arm'
    assert {path.name for path in folder.iterdir()} == FILES
    assert not any(path.is_symlink() for path in folder.iterdir())      # it is copied to a robot
    assert openssl('verify', '-CAfile', folder / 'identity_ca.cert.pem',
                   folder / 'cert.pem').returncode == 0
    named = openssl('x509', '-in', folder / 'cert.pem', '-noout', '-subject', '-nameopt',
                    'RFC2253', '-pubkey')
    grant = document(folder, 'permissions').find('permissions/grant')
    assert f'subject={grant.findtext("subject_name")}\n' in named.stdout
    assert grant.findtext('subject_name') == 'CN=/cell/arm'
    assert openssl('pkey', '-in', folder / 'key.pem', '-pubout').stdout in named.stdout
    assert 'prime256v1' in openssl('pkey', '-in', folder / 'key.pem', '-text', '-noout').stdout
    assert grant.findtext('default') == 'DENY'
    assert published(folder) == ['ros_discovery_info', 'rt/joint_states']
    begin, end = (datetime.fromisoformat(grant.findtext(f'validity/{name}')).replace(tzinfo=UTC)
                  for name in ('not_before', 'not_after'))
    now = datetime.now(UTC)
    assert begin < now < end == valid_until(folder / 'cert.pem') < now + timedelta(days=31)
    for name in ('permissions', 'governance'):
        assert {id_.text for id_ in document(folder, name).iterfind('.//domains/id')} == {'7'}


def test_governance_leaves_nothing_open(tmp_path):
    (folder,) = Keystore(tmp_path / 'keys').add(policy(tmp_path))
    rule = document(folder, 'governance').find('domain_access_rules/domain_rule')
    assert rule.findtext('allow_unauthenticated_participants') == 'false'
    assert rule.findtext('enable_join_access_control') == 'true'
    (topics,) = rule.iterfind('topic_access_rules/topic_rule')
    assert topics.findtext('topic_expression') == '*'
    for name in ('enable_read_access_control', 'enable_write_access_control'):
        assert topics.findtext(name) == 'true'
    assert topics.findtext('metadata_protection_kind') == 'ENCRYPT'


def test_another_run_keeps_the_keys_and_takes_the_new_policy(tmp_path):
    (folder,) = Keystore(tmp_path / 'keys').add(policy(tmp_path))
    before = {name: (folder / name).read_bytes() for name in FILES}
    Keystore(tmp_path / 'keys').add(policy(tmp_path, '<topic>~/state</topic>'))
    after = {name: (folder / name).read_bytes() for name in FILES}
    changed = {name for name in FILES if before[name] != after[name]}
    assert changed == {'governance.p7s', 'permissions.p7s', 'permissions.xml'}
    assert published(folder)[-1] == 'rt/joint_states' and 'rt/arm/state' in published(folder)


def test_only_the_owner_reads_keys(tmp_path):
    Keystore(tmp_path / 'keys').add(policy(tmp_path))
    for path in (tmp_path / 'keys').rglob('*.key.pem'), (tmp_path / 'keys').rglob('key.pem'):
        found = list(path)
        assert found and {stat.S_IMODE(key.stat().st_mode) for key in found} == {0o600}


def test_another_authority_signs_nothing_that_is_believed(tmp_path):
    (ours,), (theirs,) = (Keystore(tmp_path / name).add(policy(tmp_path))
                          for name in ('ours', 'theirs'))
    assert openssl('verify', '-CAfile', ours / 'identity_ca.cert.pem',
                   theirs / 'cert.pem').returncode != 0
    assert openssl('smime', '-verify', '-in', theirs / 'permissions.p7s', '-CAfile',
                   ours / 'permissions_ca.cert.pem').returncode != 0
    text = (ours / 'permissions.p7s').read_text()
    (ours / 'permissions.p7s').write_text(text.replace('joint_states', 'joint_stated', 1))
    assert openssl('smime', '-verify', '-in', ours / 'permissions.p7s', '-CAfile',
                   ours / 'permissions_ca.cert.pem').returncode != 0


def test_what_cannot_be_is_refused(tmp_path, monkeypatch):
    with pytest.raises(ConfigurationError, match='it must be 0 to 232'):
        Keystore(tmp_path / 'keys', domain=233)
    with pytest.raises(ConfigurationError, match='it must be 1 to'):
        Keystore(tmp_path / 'keys', days=0)
    Keystore(tmp_path / 'keys')
    (tmp_path / 'keys' / 'private' / 'permissions_ca.key.pem').unlink()
    with pytest.raises(ConfigurationError, match='bring the folder private/ back'):
        Keystore(tmp_path / 'keys')
    with pytest.raises(ConfigurationError, match='openssl x509 failed'):
        valid_until(tmp_path / 'nothing.pem')
    monkeypatch.setenv('PATH', str(tmp_path))
    with pytest.raises(ConfigurationError, match='apt-get install openssl'):
        Keystore(tmp_path / 'other')


def test_the_command_makes_what_the_policy_of_the_package_says(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv('ROS_DOMAIN_ID', '9')
    keys = tmp_path / 'keys'
    assert main(['keystore', str(keys), '--controller', '/scaled', '--with-player']) == 0
    said = capsys.readouterr().out
    assert '/kinema4d/trajectory_gate until 20' in said and 'domain 9' in said
    gate = keys / 'enclaves' / 'kinema4d' / 'trajectory_gate'
    assert 'rt/scaled/joint_trajectory' in published(gate)
    assert 'rt/joint_states' in published(gate.parent / 'episode_player')
    wanted = SecurityPolicy.read(share_dir() / 'config' / 'security' / 'policy.xml',
                                 controller='/scaled')
    assert published(gate)[1:] == wanted.enclave('/kinema4d/trajectory_gate').dds(Verb.PUBLISH)
    assert main(['keystore', str(keys), '--policy', str(tmp_path / 'none.xml')]) == 2
    monkeypatch.setenv('PATH', str(tmp_path))
    assert main(['keystore', str(keys)]) == 4


def test_enclaves_of_another_run_are_refused_or_deleted(tmp_path, capsys):
    """Who was once believed as the robot would be so for ten years, whatever a later run says."""
    keys = tmp_path / 'keys'
    assert main(['keystore', str(keys), '--with-player']) == 0
    player = keys / 'enclaves' / 'kinema4d' / 'episode_player'
    gate = (player.parent / 'trajectory_gate' / 'permissions.p7s').read_bytes()
    capsys.readouterr()
    assert main(['keystore', str(keys), '--controller', '/other']) == 2
    said = capsys.readouterr().err
    assert 'would keep what they may: /kinema4d/episode_player.' in said
    assert '--remove-others' in said
    assert (player.parent / 'trajectory_gate' / 'permissions.p7s').read_bytes() == gate
    assert main(['keystore', str(keys), '--remove-others']) == 0
    assert not player.exists() and (player.parent / 'viewer' / 'key.pem').exists()
    assert main(['keystore', str(keys)]) == 0


@pytest.mark.parametrize('authority', ['identity_ca', 'permissions_ca'])
def test_a_certificate_that_is_not_of_its_key_is_refused(tmp_path, authority):
    (folder,) = Keystore(tmp_path / 'keys').add(policy(tmp_path))
    Keystore(tmp_path / 'others')
    certificate = tmp_path / 'keys' / 'public' / f'{authority}.cert.pem'
    good = certificate.read_bytes()
    for content in (b'', (tmp_path / 'others' / 'public' / certificate.name).read_bytes()):
        certificate.write_bytes(content)
        with pytest.raises(ConfigurationError, match=f'{certificate} is not the certificate of'):
            Keystore(tmp_path / 'keys')
        assert (folder / certificate.name).read_bytes() == good


def test_a_run_that_was_cut_off_is_completed(tmp_path, monkeypatch):
    """No file is there by half; a key without its certificate gets one."""
    tools = tmp_path / 'tools'
    tools.mkdir()
    broken = tools / 'openssl'
    broken.write_text(f'''#!/bin/sh
[ "$1" = req ] || exec {shutil.which('openssl')} "$@"
while [ "$1" != -out ]; do shift; done
: > "$2"
echo the disk is full >&2
exit 1
''')
    broken.chmod(0o755)
    with monkeypatch.context() as patched:
        patched.setenv('PATH', f'{tools}:{os.environ["PATH"]}')
        with pytest.raises(ConfigurationError, match='the disk is full'):
            Keystore(tmp_path / 'keys')
    assert [path.name for path in (tmp_path / 'keys').rglob('*') if path.is_file()] == [
        'identity_ca.key.pem']
    (folder,) = Keystore(tmp_path / 'keys').add(policy(tmp_path))
    assert openssl('verify', '-CAfile', folder / 'identity_ca.cert.pem',
                   folder / 'cert.pem').returncode == 0


def test_links_as_sros2_makes_them_become_files(tmp_path):
    (folder,) = Keystore(tmp_path / 'keys').add(policy(tmp_path))
    public = tmp_path / 'keys' / 'public'
    for target in (public / 'identity_ca.cert.pem', public / 'permissions_ca.cert.pem',
                   tmp_path / 'keys' / 'enclaves' / 'governance.p7s'):
        (folder / target.name).unlink()
        (folder / target.name).symlink_to(os.path.relpath(target, folder))
    assert Keystore(tmp_path / 'keys').add(policy(tmp_path)) == [folder]
    assert {path.name for path in folder.iterdir()} == FILES
    assert not any(path.is_symlink() for path in folder.iterdir())
    assert (public / 'identity_ca.cert.pem').stat().st_size > 0


def test_a_folder_that_cannot_be_is_named(tmp_path):
    file = tmp_path / 'file'
    file.write_text('')
    for folder in (file, file / 'below'):
        with pytest.raises(ConfigurationError, match=f'the keystore {folder} cannot be written'):
            Keystore(folder)


def test_a_domain_that_is_none_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('ROS_DOMAIN_ID', 'abc')
    with pytest.raises(SystemExit) as end:
        main(['keystore', '--help'])
    assert end.value.code == 0
    with pytest.raises(SystemExit) as end:
        main(['keystore', str(tmp_path / 'keys')])
    assert end.value.code == 2 and "'abc' is no ROS domain" in capsys.readouterr().err
    assert main(['keystore', str(tmp_path / 'keys'), '--domain', '7']) == 0
