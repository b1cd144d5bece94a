# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The report: what it says, what it draws, what it leaves out, and that it needs nothing else."""
from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from browser import Browser, CHROMIUM
from clearances import clearances
from jinja2 import UndefinedError

from kinema4d_ros.evaluation.comparison import Comparison, METRICS
from kinema4d_ros.evaluation.report import EpisodePictures, EpisodeReport, Figures, write_report
from kinema4d_ros.evaluation.report.depict import film, strip

from kinema4d_ros.evaluation.report.page import templates, within_bounds, worst
from kinema4d_ros.evaluation.report.rates import figures_of
from kinema4d_ros.evaluation.report.distance_plot import distance_plot, PlotArea
from kinema4d_ros.evaluation.statistics import ErrorFigures, Rate
from kinema4d_ros.types import ClearanceSample, Finding, FindingCode, Severity, Status, Verdict

TIMES = np.linspace(0.0, 2.0, 9)
IMAGES = [np.full((40, 60, 3), shade, np.uint8) for shade in range(20, 200, 20)]
EVIL = '<script>alert("x")</script> & \'quotes\''


def verdict(status=Status.PASS, **more) -> Verdict:
    return Verdict(**{
        'status': status, 'summary': 'nothing found', 'success': 0.9, 'min_clearance': 0.012,
        'clearance_sigma': 0.002, 'latencies': {'tier 0': 0.004, 'tier 1': 0.4},
        'clearances': near(), **more})


def near(link: str = 'hand') -> tuple[ClearanceSample, ...]:
    return clearances((0.5, 0.6, 0.7, 1.5, 1.6), (0.05, 0.02, 0.012, 0.03, 0.06), (0.002,) * 5,
                      (link,) * 5)


def comparison(model: str, value: float) -> Comparison:
    return Comparison(model, dict.fromkeys(METRICS, value), 6)


def episode(name='one', status=Status.PASS, **more) -> EpisodeReport:
    return EpisodeReport(**{
        'name': name, 'verdict': verdict(status), 'duration': 2.0, 'task': 'pick it up',
        'foreseen': True, 'success': True, 'dangerous': False, **more})


class Tags(HTMLParser):
    """Counts elements, and checks that each is closed."""

    def __init__(self, text: str):
        super().__init__()
        self.found, self.open, self.text = [], [], ''
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, name, attributes):
        self.found.append((name, dict(attributes)))
        if name not in ('meta', 'link', 'img', 'br'):
            self.open.append(name)

    def handle_endtag(self, name):
        assert self.open.pop() == name

    def handle_data(self, data):
        if self.open[-1:] not in (['style'], ['script']):
            self.text += data


def written(tmp_path, episodes, **more) -> str:
    path = tmp_path / 'report.html'
    write_report(path, episodes, **more)
    return path.read_text()


def test_text_is_never_markup():
    template = templates().from_string('<p title="{{ text }}">{{ text }}</p>')
    said = '&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt; &amp; &#39;quotes&#39;'
    assert template.render(text=EVIL) == f'<p title="{said}">{said}</p>'
    with pytest.raises(UndefinedError):      # a misspelt name is no empty text
        template.render(txt=EVIL)


def test_nothing_on_the_page_escapes(tmp_path):
    findings = (Finding(FindingCode.CONTACT, Severity.FAIL, EVIL, link=EVIL, time=1.0),)
    spoiled = verdict(Status.FAIL, summary=EVIL, outcome=EVIL, findings=findings,
                      latencies={EVIL: 1.0}, clearances=near(EVIL))
    page = Tags(written(tmp_path, [episode(EVIL, verdict=spoiled, task=EVIL, happened=EVIL,
                                           delays={EVIL: 1.0},
                                           comparisons=(comparison(EVIL, 1.0),),
                                           pictures=EpisodePictures(b'x', 'image/jpeg', EVIL))],
                        title=EVIL, note=EVIL, figures=[Figures(EVIL, [(EVIL, Rate(1, 2), EVIL)],
                                                                [(EVIL, EVIL, EVIL)])]))
    assert sum(name == 'script' for name, _ in page.found) == 1


def test_the_page_needs_nothing_else(tmp_path):
    pictures = strip(IMAGES, IMAGES, TIMES, 'a strip')
    page = Tags(written(tmp_path, [episode(pictures=pictures)]))
    for name, attributes in page.found:
        for key in ('src', 'href', 'poster'):
            assert re.match('data:|#', attributes.get(key, '#')), (name, attributes[key])
        assert name != 'img' or attributes['alt'] == 'a strip'
    policy = next(a['content'] for n, a in page.found if a.get('http-equiv'))
    assert "default-src 'none'" in policy and 'http' not in policy
    identities = [a['id'] for _, a in page.found if 'id' in a]
    assert len(identities) == len(set(identities))
    for target in (a['href'] for _, a in page.found if a.get('href', '').startswith('#')):
        assert target[1:] in identities


def test_what_the_page_says(tmp_path):
    findings = (Finding(FindingCode.REST, Severity.INFO, 'it comes to rest', time=1.8),
                Finding(FindingCode.CONTACT, Severity.FAIL, 'hand hits the table', time=1.0))
    failed = episode('two', verdict=verdict(
        Status.FAIL, summary='contact', findings=findings, safe_prefix=0.9, speed_factor=0.5,
        success=0.1), foreseen=False, happened='The task was solved.')
    text = Tags(written(tmp_path, [episode(), failed], metrics=[
        comparison('frozen', 0.5), comparison('kinematic', 0.75)])).text
    for said in ('1PASS', '1FAIL', '0UNSURE', '1 of 2', 'Pick it up.', 'first 0.90 s',
                 '50 % of the speed', 'outcome foreseen wrongly', 'failed without danger',
                 '12 mm ± 2 mm', 'Hand hits the table.', 'Latency per stage', '4 ms', '0.40 s',
                 'frozen (baseline)', '▲ +25.0', '▼ +250.0', 'FLIP, changed'):
        assert said in text, said
    assert text.index('Hand hits the table') < text.index('It comes to rest')


def test_without_any_measurement(tmp_path):
    bare = EpisodeReport('bare', Verdict(Status.UNSURE, 'not checked'), 1.0)
    text = Tags(written(tmp_path, [bare])).text
    assert 'The distance to the scene was not measured.' in text and 'Not checked.' in text
    assert 'World models' not in text and 'Verdicts against' not in text
    assert distance_plot(bare, []) is None


def test_the_drawing_by_hand(tmp_path):
    area = PlotArea(2.0, -0.05, 0.05)
    assert (area.x(0.0), area.x(1.0), area.x(2.0), area.x(9.0)) == (58, 343, 628, 628)
    assert (area.y(-0.05), area.y(0.0), area.y(0.05), area.y(1.0)) == (230, 130, 30, 30)
    finding = Finding(FindingCode.GRASP, Severity.INFO, 'grasp', time=0.5)
    page = Tags(written(tmp_path, [episode(
        verdict=verdict(findings=(finding,)),
        true_clearances=(0.05, 0.02, np.nan, 0.03, np.inf))]))
    kinds = [attributes.get('class') for _, attributes in page.found]
    assert kinds.count('distance') == kinds.count('sigma') == 2      # a gap from 0.7 to 1.5 s
    assert kinds.count('true') == 3 and kinds.count('mark') == 1 and kinds.count('nearest') == 1
    label = page.found[kinds.index('timeline')][1]['aria-label']
    assert label == 'Distance to the scene over time; nearest: 12 mm ± 4 mm, hand, at 0.7 s'
    assert 'near miss' in page.text and 'contact' in page.text


def test_of_many_episodes_the_worst_are_shown(tmp_path):
    many = [episode(f'good_{k:03}') for k in range(120)]
    many[70] = episode('wrong', success=False)
    many[80] = episode('failed', Status.FAIL, dangerous=True)
    many[90] = episode('unsure', Status.UNSURE, dangerous=True)
    assert [e.name for e in worst(many, 4)] == ['wrong', 'failed', 'unsure', 'good_000']
    assert worst(many[:3], 4) == many[:3]
    page = Tags(written(tmp_path, many))
    assert sum(name == 'article' for name, _ in page.found) == 16
    assert all(e.name in page.text for e in many) and '16 of 120 episodes' in page.text


def test_figures_of_an_evaluation(tmp_path):
    one = {'agreement': Rate(1, 1)}
    found = figures_of('All', {
        'agreement': Rate(9, 10), 'false_alarms': Rate(0, 8), 'held_back': Rate(1, 8),
        'missed_danger': Rate(1, 2), 'missed_into_table': Rate(0, 0), 'kinds': {'bad_grasp': one},
        'success_rate_bias': 0.1, 'brier': 0.04, 'clearance_error': ErrorFigures.of([0.001]),
        'least_clearance_error': ErrorFigures.of([]), 'tier_0_seconds': 0.004,
        'tier_1_seconds': float('nan'), 'cpu_seconds': 0.3})
    assert [what for what, _, _ in found.rates] == [
        'outcome foreseen, where one was', 'FAIL without danger', 'UNSURE without danger',
        'PASS with danger', 'bad grasp: outcome foreseen']
    assert ('success-rate bias', '+0.100', 'at most 0.04') in found.numbers
    assert [what for what, _, _ in found.numbers][2:] == [
        'clearance error over time', 'tier 0, median', 'CPU time of both, median']
    page = Tags(written(tmp_path, [episode()], figures=[found, Figures('Other', [])]))
    assert '9 of 10' in page.text and '60-98 %' in page.text
    assert page.text.count('95 % interval') == 2


def test_pictures_keep_to_the_bound():
    some = [episode(str(k), pictures=EpisodePictures(b'x' * 100, 'video/mp4', 'alt', b'y' * 10))
            for k in range(4)]
    kept = within_bounds(some, 235)
    assert [kept[str(k)] and (kept[str(k)].media_type, len(kept[str(k)].data))
            for k in range(4)] == [('video/mp4', 100), ('video/mp4', 100), ('image/jpeg', 10), None]
    assert within_bounds([episode()], 10) == {'one': None}


@pytest.fixture(scope='module')
def shown(tmp_path_factory):
    """Return a browser and the address of a page with a video, a strip and all else."""
    path = tmp_path_factory.mktemp('report') / 'report.html'
    findings = (Finding(FindingCode.CONTACT, Severity.FAIL, 'hand hits the table', time=1.0),)
    write_report(path, [
        episode('video', pictures=film(IMAGES, IMAGES, TIMES, 'a film')),
        episode('strip', verdict=verdict(Status.FAIL, findings=findings, safe_prefix=0.9),
                pictures=strip(IMAGES, IMAGES, TIMES, 'a strip'),
                comparisons=(comparison('frozen', 0.5), comparison('kinematic', 0.6)))],
        figures=[Figures('All', [('agreement', Rate(9, 10), '95 %')])])
    browser = Browser()
    yield browser, path.as_uri()
    browser.close()


@pytest.mark.skipif(CHROMIUM is None, reason='no chromium here')
@pytest.mark.parametrize('scheme', ['light', 'dark'])
@pytest.mark.parametrize('width', [1280, 390])
def test_in_a_browser(shown, width, scheme):
    browser, address = shown
    page = browser.page('about:blank')
    page.tell('Emulation.setEmulatedMedia', features=[
        {'name': 'prefers-color-scheme', 'value': scheme}])
    page.tell('Emulation.setDeviceMetricsOverride', width=width, height=800,
              deviceScaleFactor=1, mobile=width < 500)
    page.open(address)
    page.wait(lambda: page.run('document.readyState') == 'complete', 'the page')
    page.wait(lambda: page.run('document.querySelector("video").videoWidth') == 360, 'the video')
    assert page.run('document.documentElement.scrollWidth') == width     # nothing sticks out
    assert page.run('[...document.images].every(i => i.complete && i.naturalWidth > 9)')
    paper = page.run('getComputedStyle(document.body).backgroundColor')
    assert (sum(map(int, re.findall(r'\d+', paper))) < 200) == (scheme == 'dark')
    # A touch of the drawing moves the video and says what was measured there.
    page.show()
    page.run('document.querySelector(".timeline").scrollIntoView({behavior: "instant"})')
    page.press(*page.run('(() => { const b = document.querySelector(".nearest")'
                         '.getBoundingClientRect(); return [b.x + b.width / 2, b.y]; })()'))
    page.wait_text('0.7 s: 12 mm, hand (clear)')
    page.wait(lambda: abs(page.run('document.querySelector("video").currentTime') - 0.7) < 0.02,
              'the video to follow')
    assert page.problems == []
    assert [r for r in page.requests if not r.startswith(('data:', 'file:', 'about:'))] == []
    page.close()
