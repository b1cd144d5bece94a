# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Policies: names as ROS and DDS have them, and who may do what by those of the package."""
import pytest

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.resources import share_dir
from kinema4d_ros.security import Right, SecurityPolicy, Verb

FOLDER = share_dir() / 'config' / 'security'
CELL, PLAYER = (SecurityPolicy.read(FOLDER / f'{name}.xml') for name in ('policy', 'player'))
CONTROLLER, GATE = '/joint_trajectory_controller', '/trajectory_gate'
COMMAND = f'{CONTROLLER}/follow_joint_trajectory'
PUBLISH, SUBSCRIBE, REPLY, REQUEST, EXECUTE, CALL = Verb


def written(tmp_path, profile, version='0.2.0', path='/cell/arm'):
    """Return the path of a policy with one profile."""
    file = tmp_path / 'policy.xml'
    file.write_text(f'<policy version="{version}"><enclaves><enclave path="{path}"><profiles>'
                    f'{profile}</profiles></enclave></enclaves></policy>')
    return file


def who_may(verb, name, policy=CELL):
    """Return the last names of the enclaves that may do something."""
    return {enclave.path.rpartition('/')[2] for enclave in policy.enclaves
            for profile in enclave.profiles for right in profile.rights
            for simple in right.simple() if simple == Right(verb, name)}


def rights(policy=CELL):
    """Return all topics and services of a policy, as rights."""
    return {simple for enclave in policy.enclaves for profile in enclave.profiles
            for right in profile.rights for simple in right.simple()}


# ------------------------------------------------------------------------------- who may

@pytest.mark.parametrize(('verb', 'name', 'whoever'), [
    (PUBLISH, f'{CONTROLLER}/joint_trajectory', {'trajectory_gate'}),
    (REQUEST, f'{COMMAND}/_action/send_goal', {'trajectory_gate'}),
    (REQUEST, f'{COMMAND}/_action/cancel_goal', {'trajectory_gate'}),
    (REPLY, f'{COMMAND}/_action/send_goal', {'robot'}),
    *[(REQUEST, f'{GATE}/{service}', {'operator'}) for service in ('approve', 'deny', 'override')],
    *[(REPLY, f'{GATE}/{service}', {'trajectory_gate'}) for service in ('approve', 'override')],
    (REQUEST, f'{GATE}/set_parameters', {'administrator'}),
    (REQUEST, '/shadow_sim/change_state', {'administrator'}),
    (PUBLISH, '/joint_states', {'robot'}), (PUBLISH, '/robot_description', {'robot'}),
    (PUBLISH, '/camera/depth/image_raw', {'robot'}), (PUBLISH, '/tf', {'robot'}),
    (PUBLISH, '/verdict', {'shadow_sim'}), (PUBLISH, '/robot_motions', {'trajectory_gate'}),
    (REPLY, '/shadow_sim/precheck/_action/get_result', {'shadow_sim'}),
    (REQUEST, f'{GATE}/follow_joint_trajectory/_action/send_goal', {'client'}),
    (PUBLISH, '/clock', set())])
def test_only_these_may(verb, name, whoever):
    assert who_may(verb, name) == whoever


def test_shadow_sim_commands_nobody_and_calls_nobody():
    enclave = CELL.enclave('/kinema4d/shadow_sim')
    verbs = {right.verb for profile in enclave.profiles for right in profile.rights}
    assert verbs == {PUBLISH, SUBSCRIBE, REPLY, EXECUTE}
    assert not [topic for topic in enclave.dds(PUBLISH) if 'controller' in topic or 'gate' in topic]
    assert not [topic for topic in enclave.dds(PUBLISH) if topic.startswith('rq')]


def test_those_who_look_publish_nothing_but_their_log():
    for name in ('viewer', 'recorder', 'doctor'):
        enclave = CELL.enclave(f'/kinema4d/{name}')
        published = {topic for topic in enclave.dds(PUBLISH) if topic.startswith('rt')}
        assert published <= {'rt/rosout', 'rt/parameter_events'}
        assert not [topic for topic in enclave.dds(PUBLISH) if topic.startswith('rq')]


def test_who_sends_or_decides_may_hear_whether_shadow_sim_is_ready():
    assert who_may(SUBSCRIBE, '/shadow_sim/readiness') == {'operator', 'client', 'administrator'}


def test_what_one_hears_another_may_say():
    """Or there is a name with a slip in it."""
    all_rights = rights() | rights(PLAYER)
    alone = {right for right in all_rights if right.verb in (SUBSCRIBE, REQUEST)
             and Right(PUBLISH if right.verb is SUBSCRIBE else REPLY, right.name)
             not in all_rights}
    assert alone == {Right(SUBSCRIBE, '/attached_collision_object'),     # move_group's
                     Right(REQUEST, '/policy/get_action_chunk')}        # a policy's


def test_who_is_believed_to_be_the_robot_is_in_a_file_of_its_own():
    assert [enclave.path for enclave in PLAYER.enclaves] == ['/kinema4d/episode_player']
    assert who_may(PUBLISH, '/joint_states', PLAYER) == {'episode_player'}
    assert not who_may(PUBLISH, f'{CONTROLLER}/joint_trajectory', PLAYER)


# ------------------------------------------------------------------------------- names

def test_names_are_those_of_dds():
    def dds(verb, name):
        return set(Right(verb, name).dds())

    assert dds(PUBLISH, '/verdict') == {(PUBLISH, 'rt/verdict')}
    assert dds(SUBSCRIBE, '/verdict') == {(SUBSCRIBE, 'rt/verdict')}
    assert dds(REPLY, '/g/deny') == {(SUBSCRIBE, 'rq/g/denyRequest'), (PUBLISH, 'rr/g/denyReply')}
    assert dds(REQUEST, '/g/deny') == {(PUBLISH, 'rq/g/denyRequest'),
                                       (SUBSCRIBE, 'rr/g/denyReply')}
    called, executed = dds(CALL, '/a'), dds(EXECUTE, '/a')
    assert (PUBLISH, 'rq/a/_action/cancel_goalRequest') in called
    assert (SUBSCRIBE, 'rt/a/_action/feedback') in called and len(called) == 8
    other = {PUBLISH: SUBSCRIBE, SUBSCRIBE: PUBLISH}
    assert executed == {(other[verb], name) for verb, name in called}


def test_names_follow_namespace_and_controller():
    moved = SecurityPolicy.read(FOLDER / 'policy.xml', namespace='/left', controller='/arm/scaled')
    (profile,) = moved.enclave('/kinema4d/trajectory_gate').profiles
    assert profile.node == '/left/trajectory_gate'
    names = {right.name for right in profile.rights}
    assert {'/left/joint_states', '/left/trajectory_gate/override', '/diagnostics',
            '/arm/scaled/follow_joint_trajectory', '/arm/scaled/joint_trajectory',
            '/left/shadow_sim/precheck'} <= names
    assert not [name for name in names if 'joint_trajectory_controller' in name]
    relative = SecurityPolicy.read(FOLDER / 'policy.xml', namespace='/left', controller='scaled')
    assert {f'/left/scaled/{name}' for name in ('follow_joint_trajectory', 'joint_trajectory')} <= {
        right.name for right in relative.enclave('/kinema4d/trajectory_gate').profiles[0].rights}


# ------------------------------------------------------------------------------- what is refused

@pytest.mark.parametrize(('profile', 'words'), [
    ('<profile ns="/" node="n"><topics publish="DENY"><topic>a</topic></topics></profile>',
     'topics publish="ALLOW"'),
    ('<profile ns="/" node="n"><topics><topic>a</topic></topics></profile>', 'understood are'),
    ('<profile ns="/" node="n"><topics reply="ALLOW"><topic>a</topic></topics></profile>',
     'understood are'),
    ('<profile ns="/" node="n"><topics publish="ALLOW"><service>a</service></topics></profile>',
     'understood are'),
    ('<profile ns="/" node="n"><parameters/></profile>', 'understood are'),
    ('<profile ns="/"/>', 'the name of a node'),
    ('<profile ns="left" node="n"/>', 'begins with /')])
def test_what_is_not_understood_is_refused(tmp_path, profile, words):
    with pytest.raises(ConfigurationError, match=words):
        SecurityPolicy.read(written(tmp_path, profile))


def test_files_that_are_no_policy_are_refused(tmp_path):
    good = '<profile ns="/" node="n"/>'
    assert SecurityPolicy.read(written(tmp_path, good)).enclaves[0].profiles[0].node == '/n'
    for path in ('arm', '/', '/a/../b', '/a b'):
        with pytest.raises(ConfigurationError, match='an enclave has the path'):
            SecurityPolicy.read(written(tmp_path, good, path=path))
    with pytest.raises(ConfigurationError, match=r'version 0\.2\.0 is understood'):
        SecurityPolicy.read(written(tmp_path, good, version='0.1.0'))
    file = tmp_path / 'other.xml'
    for text, words in (
            ('<policy', 'cannot be read'),
            ('<!DOCTYPE p [<!ENTITY a "b">]><policy version="0.2.0">&a;</policy>',
             'cannot be read'),
            ('<policy version="0.2.0"><enclaves/></policy>', 'no enclave'),
            ('<policy version="0.2.0"><enclaves><enclave path="/a"/><enclave path="/a"/>'
             '</enclaves></policy>', 'an enclave twice')):
        file.write_text(text)
        with pytest.raises(ConfigurationError, match=words):
            SecurityPolicy.read(file)
    with pytest.raises(ConfigurationError, match='cannot be read'):
        SecurityPolicy.read(tmp_path / 'nothing.xml')
    with pytest.raises(ConfigurationError, match='it has: /kinema4d/shadow_sim, '):
        CELL.enclave('/kinema4d/nobody')


@pytest.mark.parametrize('name', ['*', '/*', '/arm*', '/arm/', '//arm', 'a b', '/1', '~/a', '/a?'])
def test_only_names_of_ros_get_into_permissions(name):
    with pytest.raises(ConfigurationError, match='is no name of ROS'):
        SecurityPolicy.read(FOLDER / 'policy.xml', controller=name)
    with pytest.raises(ConfigurationError, match='is none of ROS'):
        SecurityPolicy.read(FOLDER / 'policy.xml', namespace=name)


def test_a_namespace_begins_at_the_root():
    with pytest.raises(ConfigurationError, match='with a / before each'):
        SecurityPolicy.read(FOLDER / 'policy.xml', namespace='left')
