# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The gate's machine: what goes out, what is refused, and who may say so."""
import dataclasses
import math

import numpy as np
import pytest
from gate_driver import ahead, Driver, NS, READY, ROOT, swing

from kinema4d_ros.gate import Phase, ShadowSimAnswer
from kinema4d_ros.gate.commands import AskShadowSim, EndGoal, Forward
from kinema4d_ros.gate.events import ControllerRejected, GoalEnd, TrajectorySubmitted
from kinema4d_ros.robot import Robot
from kinema4d_ros.types import Finding, FindingCode, Severity, Status, Verdict

NO = ShadowSimAnswer(problem='no')


def test_the_way_of_a_good_trajectory():
    gate = Driver()
    request = gate.submit()
    assert gate.machine.phase(request.number) is Phase.ASKED
    gate.pass_(request)
    assert gate.machine.phase(request.number) is Phase.SENT
    gate.accept(request)
    assert gate.machine.phase(request.number) is Phase.EXECUTING
    assert gate.log == ['ask', 'forward', 'send']
    gate.finish(request, text='there')
    assert gate.ends == [EndGoal(request.number, GoalEnd.SUCCEED, 0, 'there')]
    assert gate.machine.is_idle and gate.machine.phase(request.number) is Phase.ENDED


def test_what_is_asked_and_forwarded_is_the_request_itself():
    gate = Driver()
    request = gate.submit()
    assert gate.question(request) == gate.commands[0] and gate.commands[0].question is None
    assert gate.commands[0].timeout == pytest.approx(10.0)
    gate.pass_(request)
    assert [c.request for c in gate.commands if isinstance(c, Forward)] == [request]


def test_a_path_is_made_while_shadow_sim_judges_and_anew_for_another_robot_or_start():
    gate = Driver()
    gate.submit()
    gate.machine.prepare(gate.world())
    waiting, paths = gate.machine._waiting, []
    other = Robot.from_file(ROOT / 'urdf' / 'demo_arm.urdf')
    for change in (lambda: None, lambda: setattr(waiting, 'start', dict(waiting.start)),
                   lambda: setattr(gate, 'robot', other)):
        paths.append(waiting.path)
        change()
        waiting.prepare_path(gate.world())
    paths.append(waiting.path)
    assert paths[0] is not None and len(set(map(id, paths))) == 3 and paths[0] is paths[1]
    gate.robot = None
    waiting.prepare_path(gate.world())
    assert waiting.path is None and 'no robot description' in waiting.watch_problem


def test_when_the_gate_closes_all_is_cancelled_before_anything_is_said():
    gate = Driver()
    first, second = gate.moving(), gate.moving()
    waiting = gate.submit()
    gate.cancel(first)                # is being stopped already, and is cancelled again
    gate.log.clear()
    gate.close('the gate failed')
    assert gate.log == ['cancel at controller'] * 2 + ['stop', 'abandon', 'refuse', 'end']
    assert gate.told(waiting) == 'the gate failed'
    assert gate.told(second) is None              # the controller tells how it ended
    gate.finish(second, GoalEnd.CANCEL)
    assert gate.told(second) == 'the gate failed'
    assert gate.told(gate.submit()) == 'the gate failed'
    assert 'send' not in gate.log


def test_an_absent_shadow_sim_is_waited_for_only_at_the_start():
    gate = Driver()
    gate.look(shadow_sim_problem='none there', settled=False)
    gate.submit()
    gate.wait()
    assert gate.ends == []
    gate.look()
    gate.wait()
    assert gate.log == ['ask']
    gate.look(shadow_sim_problem='none there')
    assert gate.told(gate.submit()).startswith('none there')


def test_a_shadow_sim_that_is_not_ready_is_waited_for():
    gate = Driver(verdict_timeout=1.0)
    gate.look(shadow_sim_ready=False)
    request = gate.submit()
    gate.wait(0.5)
    assert gate.log == []
    gate.wait(0.6)
    assert gate.told(request) == 'shadow_sim gave no verdict within 1.0 s'


def test_joints_that_have_not_been_heard_are_waited_for_only_at_the_start():
    gate = Driver()
    gate.joints = {}
    gate.look(settled=False)
    request = gate.submit()
    gate.wait()
    assert 'ask' not in gate.log
    gate.joints = dict(READY)
    gate.wait()
    assert gate.log == ['ask']
    gate.pass_(request)
    assert gate.log[-1] == 'send'                  # its start is known
    gate.joints = {}
    gate.look()
    gate.submit()
    assert gate.log[-1] == 'ask'


def test_what_is_no_message_and_what_is_no_trajectory():
    gate = Driver(mode='monitor')
    request = gate.submit(trajectory_hash='', trajectory=None, problem='it cannot be read: x',
                          is_message=False)
    assert gate.log == ['refuse', 'end'] and 'unreadable' in gate.sentence
    assert gate.told(request) == 'it cannot be read: x'
    gate.log.clear()
    gate.submit(trajectory_hash='', trajectory=None, problem='point 0 has 7 positions')
    assert 'send' in gate.log and 'ask' in gate.log      # monitor leaves it to the controller
    for mode in ('advise', 'enforce'):
        gate = Driver(mode=mode)
        assert gate.told(gate.submit(trajectory=None, trajectory_hash='',
                                     problem='7 positions')).startswith('7 positions')
        assert 'send' not in gate.log and 'ask' not in gate.log


# ---------------------------------------------------------------- operators

def test_an_approval_is_for_the_hash_that_is_shown():
    gate = Driver(mode='advise')
    assert gate.approve('x') == (False, 'no trajectory waits for an approval')
    older = gate.submit(swing(0.1))
    assert gate.approve(older.trajectory_hash)[1].endswith('its verdict is not there yet')
    gate.pass_(older)
    assert gate.machine.phase(older.number) is Phase.SHOWN
    newer = gate.submit(swing(0.2))
    gate.pass_(newer)
    for decide in (gate.approve, gate.deny):
        for digest in (older.trajectory_hash, '', newer.trajectory_hash[:12]):
            done, text = decide(digest)
            assert not done and text.endswith(newer.trajectory_hash) and 'that is' in text
    assert 'an empty trajectory_hash' in gate.approve('')[1]
    assert 'send' not in gate.log and gate.told(newer) is None
    assert gate.approve(newer.trajectory_hash)[0]
    assert gate.log[-2:] == ['send', 'answer']


def test_a_denied_one_is_refused():
    gate = Driver(mode='advise')
    request = gate.submit()
    gate.answer(request, NO)
    assert gate.deny(request.trajectory_hash) == (True, f'{request.name} was refused')
    assert gate.told(request) == 'denied by the operator' and 'send' not in gate.log


@pytest.mark.parametrize('between', [(), ('with efforts',)], ids=['at once', 'one between'])
def test_an_approval_for_another_goal_with_the_same_hash_must_be_repeated(between):
    gate = Driver(mode='advise')
    gate.pass_(gate.submit(goal_digest='harmless'))
    for digest in between:                           # replaced before anybody saw it
        gate.submit(goal_digest=digest)
    newer = gate.submit(goal_digest='with more efforts')
    gate.pass_(newer)
    done, text = gate.approve(newer.trajectory_hash)
    assert not done and 'taken the place of another with the same hash' in text
    assert gate.approve(newer.trajectory_hash)[0]


def test_one_that_was_read_late_does_not_take_the_place_of_a_newer_one():
    gate = Driver()
    late, newer = gate.request(swing(0.1)), gate.submit(swing(0.2))
    assert late.number < newer.number
    gate.handle(TrajectorySubmitted(late))
    assert 'which was read sooner' in gate.told(late) and gate.told(newer) is None
    gate.pass_(newer)
    assert gate.log.count('send') == 1


def test_an_override_is_for_the_hash_that_was_refused_last():
    gate = Driver()
    nothing = (False, 'no trajectory that could be forwarded has been refused')
    assert gate.override('x') == nothing
    for angle in (0.1, 0.2):
        gate.answer(gate.submit(swing(angle)), NO)
    first, second = (end.number for end in gate.ends)
    assert first != second
    digest = gate.request(swing(0.2)).trajectory_hash
    done, text = gate.override(gate.request(swing(0.1)).trajectory_hash)
    assert not done and text.endswith(digest)
    assert gate.override(digest)[0]
    gate.now += 61.0                     # too late
    gate.log.clear()
    gate.submit(swing(0.2))
    assert gate.log == ['abandon', 'ask'] or gate.log == ['ask']
    assert gate.override(digest)[0]
    gate.submit(swing(0.2))
    assert gate.log[-1] == 'send' and gate.machine.counts['overridden'] == 1
    assert 'nothing to override' in Driver(mode='advise').override(digest)[1]


def test_an_override_is_for_all_that_the_goal_commands():
    gate = Driver()
    gate.answer(gate.submit(goal_digest='1 N m', unchecked='it commands efforts'), NO)
    digest = gate.request().trajectory_hash
    assert gate.override(digest)[0]
    other = gate.submit(goal_digest='50 N m', unchecked='it commands efforts')
    assert other.trajectory_hash == digest and 'send' not in gate.log
    gate.answer(other, NO)
    gate.answer(gate.submit(goal_digest='50 N m', source='topic'), NO)    # once more
    assert 'the same hash as another' in gate.override(digest)[1]      # which one is meant?
    assert gate.override(digest)[0]
    gate.submit(goal_digest='50 N m', source='topic')
    assert gate.log[-1] == 'send'


@pytest.mark.parametrize('status', [Status.FAIL, Status.UNSURE])
@pytest.mark.parametrize('mode', ['enforce', 'advise'])
def test_a_worse_verdict_before_it_is_forwarded(mode, status):
    gate = Driver(mode=mode)
    if mode == 'enforce':
        gate.moving(swing(0.4, seconds=4.0))
        request = gate.submit(swing(0.1, start=ahead(0.3)))
    else:
        request = gate.submit()
    gate.pass_(request, seconds=10, rollout_id='r', final=False)
    assert gate.log[-1] == {'enforce': 'hold', 'advise': 'ask'}[mode]
    worse = Verdict(status, 'it spills', trajectory_hash=gate.asked_hash(request))
    gate.hear(worse, 'r')
    if mode == 'enforce':
        assert gate.told(request) == f'{status.name}: it spills'
    else:
        assert f'{status.name}: it spills' in gate.sentence
        done, text = gate.approve(request.trajectory_hash)
        assert not done and f'has become {status.name}: it spills; look at' in text
        softer = dataclasses.replace(worse, status=Status.UNSURE)
        gate.hear(softer, 'of somebody else')
        assert f'{status.name}: it spills' in gate.sentence
    gate.log.clear()
    gate.hear(worse, 'r')      # known by now
    assert gate.log == []
    if mode == 'advise':
        assert gate.approve(request.trajectory_hash)[0]


@pytest.mark.parametrize('status', [Status.FAIL, Status.UNSURE])
def test_a_pass_that_was_already_taken_back(status):
    for mode in ('enforce', 'advise'):
        gate = Driver(mode=mode)
        request = gate.submit()
        worse = Verdict(status, 'it spills', trajectory_hash=request.asked_hash)
        gate.hear(worse, 'r')
        assert gate.told(request) is None           # the answer to its question is still to come
        gate.pass_(request, rollout_id='r', final=False)
        assert 'send' not in gate.log
        assert f'{status.name}: it spills' in gate.sentence
    gate.pass_(gate.submit(), rollout_id='r2')    # another look at the world
    assert 'PASS' in gate.sentence


def test_what_cannot_be_watched_goes_out_only_by_an_override():
    gate = Driver()
    gate.robot = None
    request = gate.submit()
    gate.pass_(request)
    assert 'cannot be watched: the gate has no robot' in gate.told(request)
    assert 'send' not in gate.log
    assert gate.override(request.trajectory_hash)[0]
    gate.submit()
    assert gate.log[-2:] == ['unwatched', 'send']


def test_nobody_approves():
    gate = Driver(mode='advise', approval_timeout=5.0)
    request = gate.submit()
    gate.pass_(request, seconds=100)
    gate.wait(4.9)
    assert gate.told(request) is None
    gate.wait(0.2)
    assert gate.told(request) == 'no operator approved it within 5.0 s'


def test_a_client_that_cancels_what_waits():
    gate = Driver()
    request = gate.submit()
    gate.cancel(request)
    assert gate.log == ['ask', 'abandon', 'cancel', 'end']
    assert gate.ends[-1].how is GoalEnd.CANCEL
    gate.pass_(request)                          # too late
    assert 'send' not in gate.log and gate.machine.is_idle


def test_monitor_says_what_it_would_have_done():
    gate = Driver(mode='monitor')
    request = gate.submit()
    assert gate.log == ['forward', 'send', 'ask']
    gate.pass_(request)
    assert 'would have been forwarded: PASS: fine' in gate.sentence
    gate.answer(gate.submit(), NO)
    assert gate.sentence.endswith('would have been refused: no')
    gate.submit()
    gate.wait(11.0)
    assert 'no verdict within 10.0 s' in gate.sentence


@pytest.mark.parametrize('how, text, words', [
    (GoalEnd.ABORT, 'joint 3 is stuck', 'joint 3 is stuck'), (GoalEnd.ABORT, '', 'aborted'),
    (GoalEnd.CANCEL, '', 'cancelled'), (GoalEnd.CANCEL, 'stopped', 'stopped')])
def test_how_a_motion_ended_is_said(how, text, words):
    gate = Driver()
    gate.finish(gate.moving(), how, text=text)
    assert gate.sentence.endswith(f'ended: {words}')
    assert gate.ends[-1].how is GoalEnd.ABORT        # CANCELED only where the client cancelled


def test_a_goal_that_the_controller_rejects():
    gate = Driver()
    request = gate.submit()
    gate.pass_(request)
    gate.handle(ControllerRejected(request.number))
    assert 'the controller rejected it' in gate.told(request) and gate.machine.is_idle


def test_ten_thousand_trajectories_of_which_only_a_fresh_full_pass_goes_out():
    random = np.random.default_rng(0)
    gate, sent = Driver(required_tiers=(0, 1)), 0
    bad = {
        'status': (Status.FAIL, Status.UNSURE), 'tiers_passed': ((), (0,), (1,), (0, 2)),
        'trajectory_hash': ('', '00', 'f' * 64), 'robot_hash': ('', '00'),
        'scene_stamp_ns': (0, 1, gate.now_ns + 100 * NS, gate.now_ns - 11 * NS),
        'findings': ((Finding(FindingCode.CONTACT, Severity.FAIL, ''),),
                     (Finding(FindingCode.NOT_CHECKED, Severity.UNSURE, ''),)),
        'seconds': (0, -1, -100), 'answer': ('it restarts',),
        'controller_problem': ('gone',), 'gate_problem': ('two',), 'age': (10.0,),
        'shadow_sim_problem': ('two',), 'moved': (0.1, math.nan, math.inf),
        'silent': ('elbow_joint',), 'no robot': ('',),
        'request': ({'problem': 'point 1 is short', 'trajectory': None, 'trajectory_hash': ''},
                    {'unchecked': 'it commands efforts'}, 'nan', 'inf')}
    for _ in range(10_000):
        wrong = set(random.choice(list(bad), random.integers(0, 3), replace=False))
        chosen = {name: bad[name][random.integers(len(bad[name]))] for name in wrong}
        motion, fields = swing(float(random.uniform(-3, 3))), chosen.get('request', {})
        odd = float(fields) if isinstance(fields, str) else float(
            random.choice([-1e308, 1e-320]))       # of any size: judged by shadow_sim
        if isinstance(fields, str) or random.random() < 0.5:
            positions = motion.positions.copy()
            positions[1, 2] = odd
            motion = dataclasses.replace(motion, positions=positions)
        gate.log.clear()
        gate.commands.clear()
        request = gate.submit(motion, **({} if isinstance(fields, str) else fields))
        gate.look(**{name: value for name, value in chosen.items() if name.endswith('_problem')})
        gate.joints = {name: value + chosen.get('moved', 0.0) for name, value in READY.items()
                       if name != chosen.get('silent')}
        gate.age = chosen.get('age', 0.0)
        gate.robot = None if 'no robot' in wrong else gate_robot
        verdict = {name: chosen[name] for name in wrong & {
            'status', 'tiers_passed', 'trajectory_hash', 'robot_hash', 'scene_stamp_ns',
            'findings'}}
        if 'answer' in wrong:
            gate.answer(request, ShadowSimAnswer(problem='it restarts'))
        else:
            gate.pass_(request, **{'tiers_passed': (0, 1), **verdict,
                                   'seconds': chosen.get('seconds', 1)})
        assert ('send' in gate.log) == (not wrong), (wrong, gate.ends)
        gate.look()
        gate.joints, gate.age, gate.robot = dict(READY), 0.0, gate_robot
        sent += not wrong
        if not wrong:
            gate.finish(request)
        assert gate.machine.is_idle and len(gate.ends) == 1
    assert 1000 < sent < 9000


gate_robot = Driver().robot


def test_asking_again_is_not_needed_for_a_second_answer():
    gate = Driver()
    request = gate.submit()
    gate.pass_(request)
    gate.pass_(request)
    assert gate.log.count('send') == 1
    assert sum(isinstance(command, AskShadowSim) for command in gate.commands) == 1
