# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The supervisor with a real worker process and world models that misbehave; no ROS."""
import contextlib
import os
import select
import signal
import time
from pathlib import Path

import pytest
from stub_models import (AT, CRASH, DIE, GARBAGE, GOOD, HUNGRY, HUNGRY_DEVICE, RAISE, STOPS, STUCK,
                         UNRESPONSIVE)
from supervised import (FRAMES, LIMIT, Log, Sink, TRAJECTORY, URDF, finished, in_trouble,
                        observation, submit)

from kinema4d_ros.robot import Robot
from kinema4d_ros.types import FindingCode
from kinema4d_ros.worker.job import JobOutcome
from kinema4d_ros.worker.process import WorkerProcess, WorkerState
from kinema4d_ros.worker.protocol import CheckTask, WorkerSettings
from kinema4d_ros.worker.supervisor import Supervisor


def test_frames_arrive_whole_and_in_order(running):
    job = submit(running, GOOD)
    assert finished(job) == JobOutcome.DONE, job.message
    frames = [frame for frame in running[1].frames if frame[0] is job.sink]
    assert [index for _, index, *_ in frames] == list(range(FRAMES))
    assert [colour for _, _, colour, _ in frames] == list(range(FRAMES))
    assert all(0.8 < depth < 1.1 for *_, depth in frames)        # the stick, 1 m away
    assert job.frames == FRAMES
    assert 0 <= job.assessment.latencies['first frame'] <= job.assessment.latencies['total']


def test_same_observation_is_sent_once_and_a_larger_one_makes_the_memory_grow(running):
    look, large = observation(), observation(120, 80)
    for each in (look, look, large, look):
        assert finished(submit(running, GOOD, look=each)) == JobOutcome.DONE


def test_cancel_ends_the_job_at_once_and_keeps_the_worker(running):
    supervisor, _ = running
    job = in_trouble(running, STUCK)
    pid = supervisor.pid
    job.cancel(message='asked to')
    assert finished(job) == JobOutcome.CANCELLED
    assert job.message == 'asked to'
    assert finished(submit(running, GOOD)) == JobOutcome.DONE
    assert supervisor.pid == pid


def test_cancelling_does_not_wait_for_frames_that_come_without_a_pause(running):
    class Slow(Sink):       # publishing takes longer than predicting
        def on_frame(self, frame):
            time.sleep(0.05)
            super().on_frame(frame)
            jobs[0].cancel(message='seen enough')

    jobs = []
    jobs.append(submit(running, STUCK, sink=Slow(running[1])))
    assert finished(jobs[0]) == JobOutcome.CANCELLED
    assert running[1].indices(jobs[0]) == [0]


def test_each_job_tells_its_own_sink(running):
    logs = [Log() for _ in range(3)]
    jobs = [submit(running, STUCK, sink=Sink(logs[0]))]
    logs[0].wait(lambda log: len(log.frames) == AT)
    jobs += [submit(running, GOOD, sink=Sink(log)) for log in logs[1:]]
    assert finished(jobs[2]) == JobOutcome.DONE
    assert [log.indices(job) for log, job in zip(logs, jobs)] == [
        list(range(AT)), [], list(range(FRAMES))]


def test_newest_wins(running):
    jobs = [in_trouble(running, STUCK), submit(running, STUCK), submit(running, GOOD)]
    assert [finished(job) for job in jobs] == [
        JobOutcome.REPLACED, JobOutcome.REPLACED, JobOutcome.DONE]
    assert 'newer request' in jobs[0].message
    assert running[1].indices(jobs[1]) == []


def test_deadline(running):
    job = submit(running, STUCK, deadline=0.4)
    assert finished(job) == JobOutcome.DEADLINE
    assert '0.4 s' in job.message
    assert finished(submit(running, GOOD)) == JobOutcome.DONE


def test_a_model_that_says_no_fails_the_job_only(running):
    pid = running[0].pid
    job = submit(running, RAISE)
    assert finished(job) == JobOutcome.FAILED
    assert 'nothing can be predicted from this' in job.message
    assert finished(submit(running, GOOD)) == JobOutcome.DONE
    assert running[0].pid == pid


def test_a_model_that_stops_by_itself_has_failed(running):
    job = in_trouble(running, STOPS)
    assert finished(job) == JobOutcome.FAILED and 'stopped by itself: enough' in job.message


def test_a_bug_in_a_model_fails_the_job_only(running):
    job = submit(running, CRASH)
    assert finished(job) == JobOutcome.FAILED
    assert 'RuntimeError: a bug' in job.message
    assert finished(submit(running, GOOD)) == JobOutcome.DONE


@pytest.mark.parametrize('seed, words', [
    (HUNGRY, 'MemoryError: nothing left'),
    (HUNGRY_DEVICE, 'OutOfMemoryError: CUDA out of memory')])
def test_a_worker_without_memory_says_so_and_is_started_again(running, seed, words):
    supervisor, log = running
    pid, restarts = supervisor.pid, supervisor.restarts
    job = submit(running, seed)
    assert finished(job) == JobOutcome.FAILED
    assert job.message == words
    assert finished(submit(running, GOOD)) == JobOutcome.DONE
    assert supervisor.pid != pid and supervisor.restarts == restarts + 1
    assert (WorkerState.RESTARTING, f'the worker process is started again after {words}') \
        in log.states


def test_an_unresponsive_model_is_killed_and_started_again(running):
    supervisor, _ = running
    pid, restarts = supervisor.pid, supervisor.restarts
    job = in_trouble(running, UNRESPONSIVE)
    job.cancel()
    assert finished(job) == JobOutcome.CANCELLED
    assert finished(submit(running, GOOD)) == JobOutcome.DONE
    assert supervisor.pid != pid
    assert supervisor.restarts == restarts + 1


@pytest.mark.parametrize('how', ['by itself', 'from outside'])
def test_a_worker_that_is_killed_fails_the_job_and_comes_back(running, how):
    if how == 'by itself':
        job = submit(running, DIE)
    else:
        job = in_trouble(running, STUCK)
        os.kill(running[0].pid, signal.SIGKILL)
    assert finished(job) == JobOutcome.FAILED
    assert 'signal 9' in job.message
    assert finished(submit(running, GOOD)) == JobOutcome.DONE


def test_changing_the_robot_ends_the_job(running):
    job = in_trouble(running, STUCK)
    running[0].set_robot(URDF.replace('0.4', '0.5'))
    assert finished(job) == JobOutcome.CANCELLED
    assert 'robot description changed' in job.message
    assert finished(submit(running, GOOD)) == JobOutcome.DONE


def test_a_bad_robot_is_said_and_a_good_one_cures_it(running):
    running[0].set_robot('<robot/>')
    job = submit(running, GOOD)
    assert finished(job) == JobOutcome.FAILED
    assert 'the robot cannot be simulated' in job.message
    assert running[0].state == WorkerState.FAILED      # not idle, as if all were well
    assert running[0].state_message == job.message == running[1].states[-1][1]
    running[0].set_robot(URDF)
    assert finished(submit(running, GOOD)) == JobOutcome.DONE


def test_a_robot_that_waits_is_taken_though_the_one_before_fails(running, monkeypatch):
    supervisor, log = running
    seen, told, robots = len(log.states), supervisor._on_state, iter([URDF])

    def on_state(state, message):
        told(state, message)
        if message == 'loading the robot':       # the second comes while the first is loading
            for urdf in robots:
                supervisor.set_robot(urdf)

    monkeypatch.setattr(supervisor, '_on_state', on_state)
    supervisor.set_robot('<robot/>')
    log.wait(lambda log: [message for _, message in log.states[seen:]].count(
        'loading the robot') == 2)
    assert finished(submit(running, GOOD)) == JobOutcome.DONE
    assert WorkerState.FAILED not in [state for state, _ in log.states[seen:]]


def test_a_robot_that_is_not_the_one_of_the_node_is_refused(running):
    running[0].set_robot(URDF, (), 'f00d')
    job = submit(running, GOOD)
    assert finished(job) == JobOutcome.FAILED and 'f00d' in job.message
    running[0].set_robot(URDF, (), Robot.from_urdf(URDF).description_hash)
    assert finished(submit(running, GOOD)) == JobOutcome.DONE


def test_a_model_that_cannot_be_built_is_not_tried_for_ever():
    log = Log()
    supervisor = Supervisor(WorkerSettings('stub_models:Unbuildable'), log.on_state)
    log.wait(lambda log: any(state == WorkerState.FAILED for state, _ in log.states))
    job = supervisor.submit(observation(), TRAJECTORY, deadline=time.monotonic() + LIMIT)
    assert finished(job) == JobOutcome.FAILED
    assert job.message == 'weights are missing'
    assert supervisor.pid is None
    supervisor.stop()
    late = supervisor.submit(observation(), TRAJECTORY, deadline=time.monotonic() + LIMIT)
    assert finished(late) == JobOutcome.CANCELLED


def test_a_bug_while_the_model_is_built_is_not_tried_for_ever():
    log = Log()
    supervisor = Supervisor(WorkerSettings('stub_models:Broken'), log.on_state)
    log.wait(lambda log: any(state in (WorkerState.FAILED, WorkerState.RESTARTING)
                             for state, _ in log.states))
    assert log.states[-1] == (WorkerState.FAILED, 'ZeroDivisionError: a bug')
    supervisor.stop()


def test_a_deadline_in_no_time_or_never(running):
    for deadline in (float('inf'), 3e6):
        assert finished(submit(running, GOOD, deadline=deadline)) == JobOutcome.DONE


def test_a_bug_in_the_supervisor_ends_jobs_with_the_reason_and_it_goes_on(running, monkeypatch):
    supervisor, log = running
    first = in_trouble(running, STUCK)

    def bug(*_):
        raise ValueError('who wrote this?')

    monkeypatch.setattr(supervisor, '_show', bug)
    supervisor.remember(observation())
    assert finished(first) == JobOutcome.FAILED
    assert first.message == 'internal error: ValueError: who wrote this?'
    assert (WorkerState.FAILED, first.message) in log.states
    late = submit(running, GOOD)
    assert finished(late) == JobOutcome.DONE or late.message == first.message
    log.wait(lambda _: supervisor.is_idle)
    assert finished(submit(running, GOOD)) == JobOutcome.DONE


def test_a_listener_with_a_bug_keeps_nobody_waiting(running, monkeypatch, capfd):
    supervisor, _ = running
    pid = supervisor.pid
    monkeypatch.setattr(supervisor, '_on_state', lambda state, message: 1 / 0)
    assert finished(submit(running, GOOD)) == JobOutcome.DONE
    monkeypatch.undo()
    assert finished(submit(running, GOOD)) == JobOutcome.DONE
    assert supervisor.pid == pid and 'ZeroDivisionError' in capfd.readouterr().err


@pytest.mark.parametrize('broken', ['on_frame', 'on_progress'])
def test_a_sink_with_a_bug_ends_its_job_and_no_other(running, broken, monkeypatch):
    pid, restarts = running[0].pid, running[0].restarts
    sink = Sink(running[1])
    monkeypatch.setattr(sink, broken, lambda *_: 1 / 0)
    job = submit(running, GOOD, sink=sink)
    assert finished(job) == JobOutcome.FAILED
    assert 'could not be passed on: ZeroDivisionError' in job.message
    assert finished(submit(running, GOOD)) == JobOutcome.DONE
    assert (running[0].pid, running[0].restarts) == (pid, restarts)


def test_a_job_for_another_robot_fails(running):
    meant = Robot.from_urdf(URDF).description_hash
    assert finished(submit(running, GOOD, robot_hash=meant)) == JobOutcome.DONE
    job = submit(running, GOOD, robot_hash='f00d')
    assert finished(job) == JobOutcome.FAILED
    assert 'the robot description changed' in job.message and 'f00d' in job.message


def test_a_worker_that_sends_nonsense_is_started_again(running):
    supervisor, log = running
    restarts = supervisor.restarts
    job = submit(running, GARBAGE)
    assert finished(job) == JobOutcome.FAILED
    assert 'sent what cannot be read (UnpicklingError' in job.message
    assert finished(submit(running, GOOD)) == JobOutcome.DONE
    assert supervisor.restarts == restarts + 1


def test_stopping_ends_the_worker_in_the_middle_of_a_job():
    log = Log()
    supervisor = Supervisor(
        WorkerSettings('stub_models:Scripted', simulator_settings={'frames': FRAMES}),
        log.on_state, cancel_grace=0.2)
    supervisor.set_robot(URDF)
    job = in_trouble((supervisor, log), UNRESPONSIVE)
    pid = supervisor.pid
    supervisor.stop()
    assert finished(job) == JobOutcome.CANCELLED
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert log.states[-1][0] == WorkerState.STOPPED


def test_what_a_world_model_started_does_not_outlive_a_worker_that_died(tmp_path):
    def runs(pid):
        with contextlib.suppress(FileNotFoundError):
            return Path('/proc', pid, 'stat').read_text().rpartition(')')[2].split()[0] != 'Z'
        return False

    def ends(pid):              # what was killed may not have come to that yet
        with contextlib.suppress(ProcessLookupError), open(os.pidfd_open(pid), 'rb') as ended:
            return bool(select.select([ended], [], [], LIMIT)[0])
        return True

    log, words = Log(), tmp_path / 'started'
    supervisor = Supervisor(
        WorkerSettings('stub_models:Starting', {'words': str(words)},
                       simulator_settings={'frames': FRAMES}), log.on_state)
    try:
        log.wait(lambda log: WorkerState.IDLE in [state for state, _ in log.states])
        program, = words.read_text().split()
        assert runs(program)
        os.kill(supervisor.pid, signal.SIGTERM)
        log.wait(lambda log: WorkerState.RESTARTING in [state for state, _ in log.states])
        assert 'signal 15' in log.states[-1][1]
    finally:
        supervisor.stop()
    left = [each for each in words.read_text().split() if runs(each) and not ends(int(each))]
    assert not left, [os.kill(int(each), signal.SIGKILL) for each in left]


def first_unkillable(pids):
    """Return what starts processes, the first of which no signal ends; `pids` gets theirs."""
    def start(memory_fd):
        process = WorkerProcess(memory_fd) if pids else WorkerProcess(
            memory_fd, kill=lambda process: None, kill_timeout=0.2)
        pids.append(process.pid)
        return process
    return start


@pytest.mark.parametrize('stuck', ['in a call', 'stopped'])
def test_a_process_that_cannot_be_killed_is_left_behind_and_another_one_goes_on(stuck):
    """As one that waits for a device in the kernel: here the signal is not sent."""
    log, pids = Log(), []
    supervisor = Supervisor(
        WorkerSettings('stub_models:Scripted', simulator_settings={'frames': FRAMES}),
        log.on_state, cancel_grace=0.2, start_process=first_unkillable(pids))
    try:
        supervisor.set_robot(URDF)
        job = in_trouble((supervisor, log), UNRESPONSIVE)
        if stuck == 'stopped':      # it does not even see that its pipe has ended
            os.kill(pids[0], signal.SIGSTOP)
        job.cancel()
        assert finished(job) == JobOutcome.CANCELLED
        assert finished(submit((supervisor, log), GOOD)) == JobOutcome.DONE
        os.kill(pids[0], 0)         # it is still there
        assert supervisor.pid == pids[1] and supervisor.restarts == 1
        assert any(f'process {pids[0]} did not end' in message and 'left behind' in message
                   for _, message in log.states)
    finally:
        os.kill(pids[0], signal.SIGKILL)
        supervisor.stop()


def test_stopping_does_not_wait_for_a_process_that_cannot_be_killed(capfd):
    log, pids = Log(), []
    supervisor = Supervisor(
        WorkerSettings('stub_models:Scripted', simulator_settings={'frames': FRAMES}),
        log.on_state, cancel_grace=0.2, start_process=first_unkillable(pids))
    supervisor.set_robot(URDF)
    job = in_trouble((supervisor, log), UNRESPONSIVE)
    try:
        supervisor.stop()       # waiting for it would not end
        assert finished(job) == JobOutcome.CANCELLED
        assert log.states[-1][0] == WorkerState.STOPPED and 'left behind' in log.states[-1][1]
    finally:
        os.kill(pids[0], signal.SIGKILL)


def test_a_worker_without_model_checks_and_cannot_predict():
    supervisor = Supervisor(WorkerSettings('', simulator_settings={'frames': FRAMES}))
    supervisor.set_robot(URDF)
    late, start = time.monotonic() + LIMIT, observation().start
    job = supervisor.submit(observation(), TRAJECTORY, task=CheckTask((0,), start=start),
                            deadline=late)      # to which nothing of it is sent
    assert finished(job) == JobOutcome.DONE and job.assessment.findings == {0: ()}, job.message
    job = supervisor.submit(observation(), TRAJECTORY, task=CheckTask((0, 1)), deadline=late)
    assert finished(job) == JobOutcome.DONE and job.assessment.findings[0] == (), job.message
    assert [finding.code for finding in job.assessment.findings[1]] == [FindingCode.NO_DEPTH]
    assert {'self-collision', 'tier 1'} == set(job.assessment.latencies) and job.waited >= 0
    job = supervisor.submit(observation(), TRAJECTORY, deadline=late)
    assert finished(job) == JobOutcome.FAILED
    assert 'this process has no world model' in job.message
    supervisor.stop()
