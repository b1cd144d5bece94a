# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The runner, its JSON, and the page of the documentation that is made from it."""
import json

import pytest

from bench import report, timing


def test_helpers_are_no_measurements():
    names = report.available()
    assert set(report.STUDIES) < set(names)
    assert {'render', 'fk', 'latency', 'kinema4d_gpu'} < set(names)
    assert not {'timing', 'report', 'world', '__main__'} & set(names)


def test_interleaving_runs_all_ways_equally_often_and_drops_the_first_round():
    calls = []
    seconds = timing.interleave({name: lambda name=name: calls.append(name) for name in 'abc'}, 4)
    assert {name: len(times) for name, times in seconds.items()} == dict.fromkeys('abc', 4)
    assert [sorted(calls[i:i + 3]) for i in range(0, 15, 3)] == [list('abc')] * 5
    assert len({tuple(calls[i:i + 3]) for i in range(0, 15, 3)}) > 1     # in changing order


@pytest.mark.parametrize(('same', 'goal', 'good'), [
    (True, 0.5, True), (True, 0.4, False), (False, 0.5, False), (True, None, True)])
def test_a_row_is_good_when_results_are_equal_and_the_goal_is_met(same, goal, good):
    assert timing.row('x', 1.0, 2.0, goal, same=same)['good'] is good


def test_the_table_says_what_was_measured_and_on_what(tmp_path, monkeypatch):
    report.write(tmp_path, 'fk', [timing.row('all links', 0.0002, 0.4, 0.02, same=True)], 7)
    report.write(tmp_path, 'render', [timing.row('only reported', 1.5, None, None, same=True)], 9)
    told = json.loads((tmp_path / 'fk.json').read_text())
    assert told['machine']['cores'] >= 1 and told['machine']['processor']
    text = report.markdown(tmp_path)
    assert '| `fk` | all links | 200 µs | 400 ms | 0.0005 | ≤ 0.02 |' in text
    assert '| `render` | only reported | 1.5 s |  |  |  |' in text
    assert told['machine']['processor'] in text and 'at least 7' in text


def test_the_page_takes_what_was_measured_and_keeps_the_rest(tmp_path, monkeypatch):
    page, marks = tmp_path / 'measured.md', report.markers
    monkeypatch.setattr(report, 'PAGE', page)
    page.write_text('# Measured\n' + ''.join(
        f'## {name}\nsaid by people\n{marks(name)[0]}\nold {name}\n{marks(name)[1]}\n'
        for name in (report.COMPARISONS, *report.STUDIES)))
    report.write(tmp_path, 'fk', [timing.row('all links', 0.0002, 0.4, 0.02, same=True)], 7)
    report.write(tmp_path, 'load', [{'case': 'y', 'value': '5', 'good': False}], 7)
    for value in (1.0, 2.0):
        report.write(tmp_path, 'scale', [{'case': 'x', 'exponent': value, 'good': True}], 7)
        report.write_page(tmp_path)
    text = page.read_text()
    assert text.startswith('# Measured\n')
    assert text.count('said by people') == 1 + len(report.STUDIES)
    assert 'old comparisons' not in text and '| `fk` | all links |' in text
    assert '| x | 2 | yes |' in text and '| x | 1' not in text and 'old scale' not in text
    assert '| y | 5 | NO |' in text and 'old memory' in text and 'old viewer' in text
    assert report._rows([{'case': 'z', 'value': float('nan')}]).endswith('| z |  |')
    page.write_text('no markers')
    with pytest.raises(SystemExit, match='lacks the lines'):
        report.write_page(tmp_path)


def test_units_in_brackets_are_shown(capsys):
    report.show('x', [{'case': 'time [s]', 'value': 1.5, 'good': True}])
    assert 'time [s]' in capsys.readouterr().out


def test_nothing_measured_is_said(tmp_path):
    with pytest.raises(SystemExit, match='make bench'):
        report.markdown(tmp_path)


def test_the_table_of_the_page_names_measurements_that_exist():
    text, (begin, end) = report.PAGE.read_text(), report.markers(report.COMPARISONS)
    assert all(mark in text for name in (*report.STUDIES, *report.VARIANTS)
               for mark in report.markers(name))
    table = text.partition(begin)[2].partition(end)[0].strip()
    lines = [line for line in table.splitlines() if line.startswith('|')]
    assert [cell.strip() for cell in lines[0].strip('|').split('|')] == list(report._HEAD)
    names = [line.split('|')[1].strip().strip('`') for line in lines[2:]]
    assert names and set(names) <= set(report.available())
    assert all(len(line.strip('|').split('|')) == len(report._HEAD) for line in lines)
