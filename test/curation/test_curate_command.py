# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`kinema4d curate`: many recordings, what stays done, what another run must not mix, the page."""
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import browser
import job_work
import pytest
from lacking import needs
from small_recordings import recording

from kinema4d_ros.cli.exits import Exit
from kinema4d_ros.cli.main import main
from kinema4d_ros.curation import EpisodeRecord
from kinema4d_ros.curation.names import named
from kinema4d_ros.curation.summary import CurationSummary
from kinema4d_ros.datasets import open_source
from kinema4d_ros.episodes import Episode
from kinema4d_ros.errors import DatasetError
from kinema4d_ros.jobs import LineFile, read_jobs

#: the module, whose name the function of the room has taken
curating = sys.modules['kinema4d_ros.curation.curate']
ROOT = Path(__file__).resolve().parents[2]
WORDS = ['--frames', '5', '--workers', '0']


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Return a folder of a success, a failure, one without depth and a damaged file."""
    folder = tmp_path_factory.mktemp('recordings')
    recording(folder / 'a_good.mcap', frames=6)
    recording(folder / 'b_failed.mcap', frames=7, success=False)
    recording(folder / 'c_blind.mcap', frames=6, depth=False, success=None)
    (folder / 'd_damaged.mcap').write_bytes((folder / 'a_good.mcap').read_bytes()[:9000])
    return folder


@pytest.fixture(scope='module')
def out(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp('made') / '4d'
    assert main(['curate', str(folder), str(out), *WORDS]) == Exit.PASS
    return out


def records(out):
    return {record.key: record for record in read_jobs(out, 'curation.jsonl')}


def clips(out):
    return sorted(path.name for path in (out / 'episodes').iterdir())


def test_a_table_a_page_and_a_file_for_what_is_left_out(out, folder, capsys):
    assert main(['curate', str(folder), str(out), *WORDS]) == Exit.PASS
    printed = ' '.join(capsys.readouterr().out.split())
    assert '2 of 4 recordings kept, 4 clips; 0 made now' in printed
    assert 'c_blind: no depth was recorded' in printed and 'd_damaged: episode' in printed
    assert clips(out) == [f'{name}_00{n}.mcap' for name in ('a_good', 'b_failed') for n in (0, 1)]
    assert sorted(path.stem for path in (out / 'quarantine').iterdir()) == ['c_blind', 'd_damaged']
    told = json.loads((out / 'quarantine' / 'c_blind.json').read_text())
    assert 'no depth' in told['refused'] and told['quality']['robot_seen'] == 1.0
    assert set(told['lineage']) == {'code', 'depth_model', 'libraries', 'meshes', 'parameters',
                                    'source'}
    page = (out / 'index.html').read_text()
    assert 'data-label="failure"' in page and 'src="thumbnails/a_good.jpg"' in page


def test_what_is_done_stays_and_what_has_changed_is_made_anew(folder, tmp_path, capsys):
    sources, made = tmp_path / 'in', tmp_path / 'out'
    shutil.copytree(folder, sources)
    assert main(['curate', str(sources), str(made), *WORDS]) == Exit.PASS
    before = {path.name: path.stat().st_mtime_ns for path in (made / 'episodes').iterdir()}
    recording(sources / 'a_good.mcap', frames=4)      # one clip, where there were two
    (made / 'episodes' / 'b_failed_001.mcap').unlink()
    assert main(['curate', str(sources), str(made), *WORDS]) == Exit.PASS
    assert '2 made now' in ' '.join(capsys.readouterr().out.split())
    assert clips(made) == ['a_good_000.mcap', 'b_failed_000.mcap', 'b_failed_001.mcap']
    assert (made / 'episodes' / 'a_good_000.mcap').stat().st_mtime_ns != before['a_good_000.mcap']
    recording(sources / 'c_blind.mcap', frames=6)     # has depth now
    assert main(['curate', str(sources), str(made), *WORDS]) == Exit.PASS
    assert not (made / 'quarantine' / 'c_blind.json').exists()
    assert 'c_blind_000.mcap' in clips(made)
    shutil.copy(folder / 'a_good.mcap', sources)      # as it was at first: its record is there
    for count in 1, 0:
        assert main(['curate', str(sources), str(made), *WORDS]) == Exit.PASS
        assert f'{count} made now' in ' '.join(capsys.readouterr().out.split())
        assert 'a_good_001.mcap' in clips(made)
    assert Episode.open(made / 'episodes' / 'a_good_000.mcap').metadata.source.endswith('0 to 4')


def test_another_run_is_not_mixed_in(folder, out, tmp_path, capsys):
    assert main(['curate', str(folder), str(out), *WORDS, '--overlap', '2']) == Exit.USAGE
    assert 'other settings: overlap 0 there, 2 now; choose another folder' in \
        capsys.readouterr().err
    (tmp_path / 'strange' / 'episodes').mkdir(parents=True)
    (tmp_path / 'strange' / 'episodes' / 'x.mcap').touch()
    assert main(['curate', str(folder), str(tmp_path / 'strange'), *WORDS]) == Exit.USAGE
    assert 'no curation.json that says how they were made' in capsys.readouterr().err
    assert len(records(out)) == 4


@pytest.mark.parametrize(('words', 'told'), [
    (['nowhere', 'OUT'], 'no such episode'), (['EMPTY', 'OUT'], 'has no episode'),
    (['IN', 'FILE/out'], 'cannot be written to'), (['IN', 'OUT', '--frames', '1'], '2 frames'),
    (['IN', 'OUT', '--depth-model', 'EMPTY'], 'holds no depth model: it lacks config.json'),
    (['IN', 'OUT', '--depth-model', 'EMPTY', '--depth-backend', 'x'], 'no depth backend'),
    (['IN', 'OUT', '--workers', '-1'], 'workers must be 0 or more')])
def test_wrong_words_are_told(folder, tmp_path, words, told, capsys):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'file').touch()
    places = {'IN': folder, 'OUT': tmp_path / 'out', 'EMPTY': tmp_path / 'empty',
              'FILE/out': tmp_path / 'file' / 'out'}
    assert main(['curate', *(str(places.get(word, word)) for word in words)]) == Exit.USAGE
    assert told in capsys.readouterr().err


def test_a_full_disk_stops_it_and_the_same_command_goes_on(folder, tmp_path, capsys):
    words = ['curate', str(folder / 'a_good.mcap'), str(folder / 'c_blind.mcap'),
             str(tmp_path / 'out'), *WORDS]
    was = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, was[1]))
        assert main(words) == Exit.USAGE
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, was)
    said = capsys.readouterr().err
    assert 'cannot be written: ' in said and 'the same command goes on from here' in said
    assert clips(tmp_path / 'out') == []
    assert main(words) == Exit.PASS
    assert '1 of 2 recordings kept, 2 clips; 2 made now' in ' '.join(
        capsys.readouterr().out.split())


def test_two_days_into_one_folder(folder, out, tmp_path, capsys):
    """Monday's and tuesday's recordings are called alike: the page shows both, names stay."""
    tuesday, made = tmp_path / 'tuesday', tmp_path / 'out'
    tuesday.mkdir()
    recording(tuesday / 'a_good.mcap', frames=3)
    shutil.copytree(out, made)
    for count in 1, 0:
        assert main(['curate', str(tuesday), str(made), *WORDS]) == Exit.PASS
        assert f'3 of 5 recordings kept, 5 clips; {count} made now' in ' '.join(
            capsys.readouterr().out.split())
        assert clips(made) == sorted([*clips(out), 'tuesday_a_good_000.mcap'])
        page = (made / 'index.html').read_text()
        assert all(f'<h3>{name}</h3>' in page for name in
                   ('a_good', 'b_failed', 'c_blind', 'd_damaged', 'tuesday_a_good'))
    assert main(['curate', str(folder), str(made), *WORDS]) == Exit.PASS
    assert '3 of 5 recordings kept, 5 clips; 0 made now' in ' '.join(
        capsys.readouterr().out.split())
    (tuesday / 'tuesday_a_good.mcap').write_bytes((folder / 'b_failed.mcap').read_bytes())
    assert main(['curate', str(tuesday / 'tuesday_a_good.mcap'), str(made), *WORDS]) == Exit.PASS
    assert 'tuesday_tuesday_a_good_000.mcap' in clips(made)


def test_clips_stay_when_their_recording_is_deleted(tmp_path, monkeypatch, capsys):
    """Monday's is named from another directory, and gone when tuesday's comes."""
    made = tmp_path / 'out'
    for day, frames in ('monday', 3), ('tuesday', 4):
        (tmp_path / day).mkdir()
        recording(tmp_path / day / 'a.mcap', frames=frames)
    monkeypatch.chdir(tmp_path)
    assert main(['curate', 'monday', str(made), *WORDS]) == Exit.PASS
    shutil.move(tmp_path / 'monday', tmp_path / 'moved')
    assert main(['curate', 'moved', str(made), *WORDS]) == Exit.PASS
    assert clips(made) == ['a_000.mcap']
    shutil.rmtree(tmp_path / 'moved')
    monkeypatch.chdir(tmp_path / 'tuesday')
    assert main(['curate', '.', str(made), *WORDS]) == Exit.PASS
    assert clips(made) == ['a_000.mcap', 'tuesday_a_000.mcap']
    assert '2 of 2 recordings kept' in ' '.join(capsys.readouterr().out.split())


def test_a_changed_mesh_is_noticed(folder, tmp_path, capsys):
    """Of a robot whose meshes are in a folder, as that of an imported set may be."""
    meshes, source = tmp_path / 'pkg' / 'some_arm', tmp_path / 'in.mcap'
    meshes.mkdir(parents=True)
    ball = meshes / 'ball.obj'
    ball.write_text('v 0 0 0\nv 0.1 0 0\nv 0 0.1 0\nv 0 0 0.1\nf 1 3 2\nf 1 2 4\nf 1 4 3\n'
                    'f 2 3 4\n')
    recording(source, frames=3, mesh='package://some_arm/ball.obj')
    words = ['curate', str(source), str(tmp_path / 'out'), *WORDS, '--package-path',
             str(tmp_path / 'pkg')]
    for count in 1, 0, 1:
        assert main(words) == Exit.PASS
        assert f'{count} made now' in ' '.join(capsys.readouterr().out.split())
        if not count:
            ball.write_text(ball.read_text().replace('0.1', '0.2'))


def test_two_runs_into_one_folder(folder, out, capsys):
    with LineFile(out / '.curation.lock'):
        assert main(['curate', str(folder), str(out), *WORDS]) == Exit.USAGE
    assert 'is being written by another run' in capsys.readouterr().err


def test_a_process_that_is_killed_leaves_no_clip(folder, tmp_path, capsys, monkeypatch):
    """Of what it had written when it was killed nothing is taken for an episode."""
    out = tmp_path / 'out'
    monkeypatch.setattr(curating, 'one_episode', job_work.dies_after_a_clip)
    assert main(['curate', str(folder / 'a_good.mcap'), str(out), *WORDS[:-1], '1']) == Exit.FAIL
    assert 'killed by SIGKILL' in capsys.readouterr().out and clips(out) == []
    told = json.loads((out / 'quarantine' / 'a_good.json').read_text())
    assert 'the same command tries it again' in told['refused']
    (out / 'episodes' / '.episode_x').mkdir()
    monkeypatch.setattr(curating, 'one_episode', job_work.has_no_memory)
    assert main(['curate', str(folder / 'a_good.mcap'), str(out), *WORDS]) == Exit.FAIL
    assert 'MemoryError' in capsys.readouterr().out and clips(out) == []
    monkeypatch.undo()
    assert main(['curate', str(folder / 'b_failed.mcap'), str(out), *WORDS]) == Exit.PASS
    assert 'MemoryError' in capsys.readouterr().out      # of the other run, which stays told
    assert main(['curate', str(folder / 'a_good.mcap'), str(out), *WORDS]) == Exit.PASS
    assert clips(out) == ['a_good_000.mcap', 'a_good_001.mcap', 'b_failed_000.mcap',
                          'b_failed_001.mcap']


def test_a_process_that_is_killed_in_the_middle_loses_nothing(folder, tmp_path, monkeypatch):
    """Another one makes what it had, and the others stay."""
    monkeypatch.setattr(curating, 'one_episode', job_work.dies_once_after_a_clip)
    assert main(['curate', str(folder), str(tmp_path), *WORDS[:-1], '1']) == Exit.PASS
    assert clips(tmp_path) == [f'{name}_00{n}.mcap' for name in ('a_good', 'b_failed')
                               for n in (0, 1)]
    assert {key: record.tries for key, record in records(tmp_path).items()} == {
        'a_good': 1, 'b_failed': 2, 'c_blind': 1, 'd_damaged': 1}
    assert Episode.open(tmp_path / 'episodes' / 'b_failed_000.mcap').metadata.success is False


def test_names_of_files_that_are_no_text(folder, tmp_path, capsys):
    """And such as would be more than text in a page."""
    path = tmp_path / os.fsdecode(b'\xff<b>.mcap')
    shutil.copy(folder / 'd_damaged.mcap', path)
    shutil.copy(folder / 'a_good.mcap', tmp_path / os.fsdecode(b'ok\xfe.mcap'))
    assert main(['curate', str(tmp_path), str(tmp_path / 'out'), *WORDS]) == Exit.PASS
    page = (tmp_path / 'out' / 'index.html').read_text()
    assert '&lt;b&gt;.mcap' in page and '<b>.mcap' not in page
    assert sorted(path.name for path in (tmp_path / 'out' / 'quarantine').iterdir()) == [
        '__b_.json']


def test_reasons_are_counted_by_their_kind(out):
    summary = CurationSummary()
    for number in range(3):
        summary.add(EpisodeRecord(f'e{number}', f'/in/e{number}.mcap', refused=(
            f'episode /in/e{number}.mcap is damaged (Error: x)')))
        summary.add(EpisodeRecord('a', 'b', refused=f'the depth is {number}.5 mm off; limit 2'))
    assert summary.reasons == {'episode is damaged': 3, 'the depth is N mm off': 3}
    page = (out / 'index.html').read_text()
    assert '<li>1: no depth was recorded</li>' in page


def test_nothing_kept_is_a_failure(folder, tmp_path, capsys):
    assert main(['curate', str(folder / 'c_blind.mcap'), str(tmp_path), *WORDS]) == Exit.FAIL
    assert '0 of 1 recordings kept' in ' '.join(capsys.readouterr().out.split())


def test_recordings_of_one_name_are_told_apart(tmp_path):
    for name in ('monday', 'tuesday'):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'videos.1.mcap').touch()
    (tmp_path / 'monday' / 'other.mcap').touch()
    assert {name: path.parent.name for name, path in named(
        [tmp_path / 'monday', tmp_path / 'tuesday']).items()} == {
        'other': 'monday', 'monday_vids_1': 'monday', 'tuesday_vids_1': 'tuesday'}
    (tmp_path / 'monday' / 'videos_1.mcap').touch()
    with pytest.raises(DatasetError, match='would both be called vids_1'):
        named([tmp_path / 'monday'])


def test_a_lerobot_set_with_depth(folder, tmp_path):
    assert main(['curate', str(folder), str(tmp_path), *WORDS, '--to', 'lerobot']) == Exit.PASS
    source = open_source(tmp_path / 'lerobot')
    assert len(source.episode_names()) == 4
    assert [source.read(name).success for name in source.episode_names()] == [
        True, True, False, False]
    episode = source.read('episode_000002')
    assert sorted(key.endswith('_depth') for key in episode.videos) == [False, True]
    assert len(episode.times) == 5 and next(iter(episode.cameras.values())).K is not None
    info = tmp_path / 'lerobot' / 'meta' / 'info.json'
    before = info.stat().st_mtime_ns
    words = [str(tmp_path), *WORDS, '--to', 'lerobot']
    assert main(['curate', str(folder), *words]) == Exit.PASS
    assert info.stat().st_mtime_ns == before      # nothing is new
    assert main(['curate', str(folder / 'a_good.mcap'), *words]) == Exit.PASS
    assert len(open_source(tmp_path / 'lerobot').episode_names()) == 4      # all that is there
    assert info.stat().st_mtime_ns == before


def test_ctrl_c_ends_it_and_the_same_command_goes_on(folder, tmp_path):
    """In processes of their own, which end too."""
    many = tmp_path / 'in'
    many.mkdir()
    for number in range(8):
        shutil.copy(folder / 'a_good.mcap', many / f'r{number:02d}.mcap')
    words = [sys.executable, '-m', 'kinema4d_ros.cli.main', 'curate', str(many),
             str(tmp_path / 'out'), '--frames', '5', '--workers', '1']
    child = subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
                             env={**os.environ, 'PYTHONPATH': f'{ROOT}:{":".join(sys.path)}'},
                             # What runs in the background is not to hear Ctrl-C, unless told.
                             preexec_fn=lambda: signal.signal(signal.SIGINT,
                                                              signal.default_int_handler))
    try:
        line = next(line for line in child.stderr if line.startswith('curate: 1 of 8'))
        child.send_signal(signal.SIGINT)
        rest = child.stderr.read()
        assert child.wait(60) == Exit.INTERRUPTED, (line, rest)
    finally:
        child.kill()
    assert 'Traceback' not in rest and 'kinema4d: stopped' in rest
    done = len(records(tmp_path / 'out'))
    assert 1 <= done < 8
    for path in sorted(many.iterdir())[done + 1:]:
        path.unlink()
    assert main(words[3:-1] + ['0']) == Exit.PASS
    assert len(records(tmp_path / 'out')) == done + 1


@needs('websockets')
@pytest.mark.skipif(browser.CHROMIUM is None,
                    reason='there is no browser: apt-get install chromium')
@pytest.mark.timeout(120)
def test_the_page_filters_in_a_browser(out):
    chromium = browser.Browser(1200, 800)
    try:
        page = chromium.page((out / 'index.html').as_uri())
        page.wait(lambda: page.run('document.images.length && document.images[0].naturalWidth'),
                  'the first thumbnail')
        assert page.run('document.images[0].naturalWidth') == 660

        def shown(name, value):
            return page.run(f"""(() => {{ const field = document.getElementById('{name}');
                field.value = '{value}'; field.dispatchEvent(new Event('input', {{bubbles: true}}));
                const found = [...document.querySelectorAll('.episode')].filter(e => !e.hidden);
                field.value = field.defaultValue ?? ''; if (field.options) field.selectedIndex = 0;
                return found.map(e => e.querySelector('h3').textContent).join(); }})()""")

        assert shown('label', 'failure') == 'b_failed'
        assert shown('state', 'refused') == 'c_blind,d_damaged'
        assert shown('words', 'no depth') == 'c_blind'
        assert shown('share', '50') == ''
        assert shown('known', '90') == 'a_good,b_failed'
        assert shown('residual', '100') == 'a_good,b_failed,c_blind,d_damaged'
        assert page.problems == []
        assert [address for address in page.requests if address.startswith('http')] == []
    finally:
        chromium.close()
