# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How cost grows: each sweep makes what it says, and the charts can be read."""
from xml.etree import ElementTree

import pytest

from bench.plot import Panel, write_svg

SVG = '{http://www.w3.org/2000/svg}'
SHORT = {'frames': (3, 6), 'pixels': ((64, 48), (128, 96)), 'triangles': (25_000,),
         'scene points': (0.05,), 'links': (7, 14)}
PARTS = {'frames': {'FK', 'render', 'tier 0', 'tier 1', 'pack'},
         'pixels': {'render', 'scene', 'tier 1', 'pack'},
         'triangles': {'render', 'tier 0', 'tier 1'}, 'scene points': {'scene', 'tier 1'},
         'links': {'FK', 'render', 'tier 0', 'tier 1'}}


@pytest.mark.parametrize('name', ['links', 'pixels'])
def test_each_part_runs_at_each_size(name):
    pytest.importorskip('rclpy')
    from bench.scale import grow, SWEEPS
    assert set(SWEEPS) == set(PARTS) == set(SHORT)
    rows, series = grow(name, SHORT[name], 1)
    assert set(series) == PARTS[name]
    sizes = [[x for x, _ in points] for points in series.values()]
    assert all(len(set(found)) == 2 and found == sizes[0] for found in sizes)
    assert {row['case'] for row in rows} == {f'{part} over {name}' for part in PARTS[name]}


@pytest.mark.parametrize('logarithmic', [False, True])
def test_a_chart_holds_every_point_inside_its_panel(tmp_path, logarithmic):
    panels = [Panel(f'chart {i} <&>', 'x', 'y [s]', {'one': [(1, 2.0), (10, 30.0), (100, 9.0)],
                                                   'two': [(1, 0.5), (50, 0.5)]}, logarithmic)
              for i in range(4)]
    write_svg(tmp_path / 'new' / 'chart.svg', panels, columns=3)
    root = ElementTree.parse(tmp_path / 'new' / 'chart.svg').getroot()
    assert (root.get('width'), root.get('height')) == ('1200', '600')
    lines = root.findall(f'.//{SVG}polyline')
    assert len(lines) == 8
    for line in lines:
        for point in line.get('points').split():
            x, y = map(float, point.split(','))
            assert 0 <= x <= 400 and 0 <= y <= 300
    said = [text.text for text in root.iter(f'{SVG}text')]
    assert {'chart 0 <&>', 'x', 'y [s]', 'one', 'two'} <= set(said)


def test_a_flat_line_is_drawn_as_well(tmp_path):
    write_svg(tmp_path / 'flat.svg', [Panel('flat', 'x', 'y', {'a': [(0, 5.0), (1, 5.0)]}),
                                      Panel('zero', 'x', 'y', {'a': [(0, 0.0), (1, 0.0)]},
                                            from_zero=True)])
    assert len(ElementTree.parse(tmp_path / 'flat.svg').getroot().findall(f'.//{SVG}polyline')) == 2
