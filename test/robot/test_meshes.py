# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Shapes and mesh files of links: size, place, colour, budget, cache, and what goes wrong."""
import re

import numpy as np
import pytest
import trimesh
from robots import DEMO_ARM, example_robots

from kinema4d_ros.errors import MeshError
from kinema4d_ros.robot import load_meshes, mesh_file, Robot

SPHERE = trimesh.creation.icosphere(subdivisions=4, radius=0.1)     # 5120 faces


NAN_GLB = trimesh.Scene()
NAN_GLB.add_geometry(SPHERE, transform=np.diag([np.nan, 1, 1, 1]))
NAN_GLB = NAN_GLB.export(file_type='glb')


def robot_with(visual: str, folder=None, collision: str = '', extra: str = '') -> Robot:
    """Return a robot of one link."""
    return Robot.from_urdf(f'<robot name="r"><link name="a"><visual>{visual}</visual>{collision}'
                           f'</link>{extra}</robot>', source_dir=folder)


def file_robot(path, inner: str = '', mesh: str = '', **rest) -> Robot:
    """Return a robot of one link with a mesh file."""
    return robot_with(f'<geometry><mesh filename="{path.name}" {mesh}/></geometry>{inner}',
                      path.parent, **rest)


@pytest.fixture
def load(tmp_path):
    """Return load_meshes with a cache of its own."""
    return lambda robot, **settings: load_meshes(robot, cache_dir=tmp_path / 'cache', **settings)


def surface(mesh) -> trimesh.Trimesh:
    """Return a LinkMesh as trimesh sees it."""
    return trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)


@pytest.mark.parametrize('shape, volume, extents', [
    ('<box size="1 2 3"/>', 6, (1, 2, 3)),
    ('<cylinder radius="0.5" length="2"/>', np.pi / 2, (1, 1, 2)),
    ('<sphere radius="0.5"/>', np.pi / 6, (1, 1, 1))])
def test_simple_shapes(load, shape, volume, extents):
    """Closed, outside out, of the right size, within 2 % of a round volume."""
    mesh = load(robot_with(f'<geometry>{shape}</geometry>'))['a']
    assert (mesh.vertices.dtype, mesh.faces.dtype, mesh.colors.dtype) == (
        np.float32, np.int32, np.uint8)
    solid = surface(mesh)
    assert solid.is_watertight and solid.is_winding_consistent
    assert solid.volume == pytest.approx(volume, rel=0.02)
    np.testing.assert_allclose(solid.extents, extents, atol=1e-6)
    np.testing.assert_allclose(solid.bounds.mean(axis=0), 0, atol=1e-6)


def test_origins_and_colours(load):
    """A turned box beside a coloured sphere, in one mesh of the link."""
    mesh = load(robot_with(
        '<origin xyz="1 0 0" rpy="0 0 1.5707963267948966"/><geometry><box size="2 4 6"/>'
        '</geometry><material name="m"/></visual><visual><geometry><sphere radius="1"/></geometry>',
        extra='<material name="m"><color rgba="1 0.5 0 1"/></material>'))['a']
    box = mesh.vertices[:8]
    np.testing.assert_allclose([box.min(axis=0), box.max(axis=0)], [[-1, -1, -3], [3, 1, 3]],
                               atol=1e-6)
    assert (mesh.colors[:8] == (255, 128, 0)).all()
    assert (mesh.colors[8:] == mesh_file.GREY).all()


def test_the_demo_arm_needs_no_file(load, monkeypatch):
    """All of its links with a shape, and no mesh read."""
    monkeypatch.setattr('kinema4d_ros.robot.meshes.load_mesh_file', None)
    robot = Robot.from_urdf(DEMO_ARM.read_text())
    meshes = load(robot)
    assert set(robot.link_names) - set(meshes) == {'tool_point', 'camera_optical_frame'}
    assert not meshes.warnings


@pytest.mark.parametrize('kind', ['stl', 'obj', 'dae', 'glb', 'STL'])
def test_file_formats(load, tmp_path, kind):
    """The same sphere in each format, scaled, mirrored, moved."""
    path = tmp_path / f'sphere.{kind}'
    SPHERE.export(path, file_type=kind.lower())
    mesh = load(file_robot(path, '<origin xyz="0 0 1"/>', 'scale="2 2 -2"'))['a']
    solid = surface(mesh)
    assert solid.is_watertight
    assert solid.volume == pytest.approx(4 / 3 * np.pi * 0.2**3, rel=0.01)
    np.testing.assert_allclose(solid.bounds, [[-.2, -.2, .8], [.2, .2, 1.2]], atol=1e-3)


def test_unit_of_collada_counts(load, tmp_path):
    """A file in millimetres, as RViz shows it."""
    path = tmp_path / 'sphere.dae'
    SPHERE.copy().apply_scale(1000).export(path)
    text = path.read_text()
    assert '<up_axis' in text
    text = re.sub('<unit[^>]*/>', '', text)
    path.write_text(text.replace('<up_axis', '<unit name="mm" meter="0.001"/><up_axis'))
    np.testing.assert_allclose(surface(load(file_robot(path))['a']).extents, 0.2, atol=1e-3)


def test_colours_of_files(load, tmp_path):
    """Vertex colours, materials of OBJ, and the URDF's colour over both."""
    painted = SPHERE.copy()
    painted.visual.vertex_colors = np.where(painted.vertices[:, :1] > 0, [[255, 0, 0, 255]],
                                            [[0, 0, 255, 255]])
    painted.export(tmp_path / 'painted.glb')
    mesh = load(file_robot(tmp_path / 'painted.glb'), max_faces=2000)['a']
    right = mesh.vertices[:, 0] > 0.03
    assert (mesh.colors[right] == (255, 0, 0)).all()
    assert (mesh.colors[mesh.vertices[:, 0] < -0.03] == (0, 0, 255)).all()
    (tmp_path / 'm.mtl').write_text('newmtl green\nKd 0 1 0\n')
    (tmp_path / 'm.obj').write_text('mtllib m.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nusemtl green\n'
                                    'f 1 2 3\n')
    assert (load(file_robot(tmp_path / 'm.obj'))['a'].colors == (0, 255, 0)).all()
    colored = file_robot(tmp_path / 'painted.glb',
                         '<material name=""><color rgba="0 0 0 1"/></material>')
    assert (load(colored)['a'].colors == 0).all()


def test_a_material_file_elsewhere_is_not_read(load, tmp_path):
    """An OBJ cannot name files outside its folder."""
    (tmp_path / 'secret.mtl').write_text('newmtl green\nKd 0 1 0\n')
    path = tmp_path / 'in' / 'm.obj'
    path.parent.mkdir()
    path.write_text('mtllib ../secret.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nusemtl green\nf 1 2 3\n')
    assert not (load(file_robot(path))['a'].colors == (0, 255, 0)).all()


def test_the_budget_holds_and_the_surface_stays(load, tmp_path):
    """5120 triangles become 2000; no point moves by more than 1 mm of 100 mm."""
    SPHERE.export(tmp_path / 'sphere.stl')
    mesh = load(file_robot(tmp_path / 'sphere.stl'), max_faces=2000)['a']
    assert 1000 < len(mesh.faces) <= 2000
    solid = surface(mesh)
    radius = np.linalg.norm(np.concatenate([mesh.vertices, solid.triangles_center]), axis=1)
    assert np.abs(radius - 0.1).max() < 1e-3
    assert solid.is_watertight


def test_cad_meshes_meet_the_budget(load, tmp_path):
    """Long thin triangles, as CAD files have them: a finely cut cylinder with a flat end."""
    solid = trimesh.creation.cylinder(radius=0.05, height=0.3, sections=2000)
    solid.export(tmp_path / 'cad.stl')
    mesh = load(file_robot(tmp_path / 'cad.stl'), max_faces=2000)['a']
    assert len(mesh.faces) <= 2000
    assert surface(mesh).volume == pytest.approx(solid.volume, rel=0.01)


def test_open_surfaces_keep_their_borders(load, tmp_path):
    """A tube without ends, cut lengthwise, does not shrink."""
    tube = trimesh.creation.cylinder(radius=0.05, height=0.3, sections=120)
    tube = tube.subdivide_to_size(0.01)
    middle = tube.triangles_center
    tube.update_faces((np.abs(middle[:, 2]) < 0.1499) & (middle[:, 1] > 0))
    tube.export(tmp_path / 'tube.stl')
    mesh = load(file_robot(tmp_path / 'tube.stl'), max_faces=300)['a']
    assert len(mesh.faces) < len(tube.faces) / 4
    np.testing.assert_allclose(surface(mesh).bounds, tube.bounds, atol=1e-3)
    assert surface(mesh).area == pytest.approx(tube.area, rel=0.02)


def test_shape_goes_before_budget(load, tmp_path):
    """A sphere of 50 faces would be off by centimetres, so it gets more, also in millimetres."""
    SPHERE.copy().apply_scale(1000).export(tmp_path / 'sphere.stl')
    robot = file_robot(tmp_path / 'sphere.stl', '', 'scale="0.001 0.001 0.001"')
    mesh = load(robot, max_faces=50)['a']
    assert 200 < len(mesh.faces) < 4000
    assert np.abs(np.linalg.norm(surface(mesh).triangles_center, axis=1) - 0.1).max() < 1.5e-3
    coarse = load(robot, max_faces=50, tolerance=0.01)['a']
    assert len(coarse.faces) < len(mesh.faces)
    assert np.abs(np.linalg.norm(surface(coarse).triangles_center, axis=1) - 0.1).max() < 1.5e-2
    with pytest.raises(MeshError, match='tolerance must be a positive distance .* got 0'):
        load(robot, tolerance=0)


def test_a_heavy_robot_is_reduced(load):
    """A real robot of 134k faces, reduced as far as its shape allows."""
    path = example_robots()['panda/panda']
    robot = Robot.from_urdf(path.read_text(), source_dir=path.parent)
    meshes = load(robot, max_faces=10_000)
    assert 10_000 < sum(len(mesh.faces) for mesh in meshes.values()) < 60_000
    assert len({tuple(color) for mesh in meshes.values() for color in mesh.colors}) > 5
    for mesh in meshes.values():
        assert np.isfinite(mesh.vertices).all() and mesh.faces.max() < len(mesh.vertices)
        assert np.abs(mesh.vertices).max() < 0.5


def test_a_warm_cache_parses_nothing(load, tmp_path, monkeypatch):
    """The second load takes what the first stored; another file or budget is another entry."""
    path = tmp_path / 'sphere.stl'
    SPHERE.export(path)
    robot, parsed = file_robot(path), []
    parse = mesh_file._parse
    monkeypatch.setattr(mesh_file, '_parse', lambda *args: parsed.append(1) or parse(*args))
    first, second = load(robot)['a'], load(robot)['a']
    assert len(parsed) == 1
    for key in ('vertices', 'faces', 'colors'):
        np.testing.assert_array_equal(getattr(first, key), getattr(second, key))
    load(robot, max_faces=1000)
    assert len(parsed) == 2
    SPHERE.copy().apply_scale(2).export(path)
    np.testing.assert_allclose(surface(load(robot)['a']).extents, 0.4, atol=1e-3)
    assert len(parsed) == 3


@pytest.mark.parametrize('damage', [
    lambda data: b'', lambda data: data[:len(data) // 2], lambda data: b'rubbish',
    lambda data: data[:300] + bytes(200) + data[500:]])
def test_a_damaged_cache_file_is_rebuilt(load, tmp_path, damage):
    """Cut off, empty, overwritten: parsed again and replaced."""
    path = tmp_path / 'sphere.stl'
    SPHERE.export(path)
    robot = file_robot(path)
    good = load(robot, max_faces=500)['a']
    entry, = (tmp_path / 'cache').iterdir()
    whole = entry.read_bytes()
    entry.write_bytes(damage(whole))
    np.testing.assert_array_equal(load(robot, max_faces=500)['a'].vertices, good.vertices)
    assert len(entry.read_bytes()) == len(whole)


def test_a_cache_file_with_wrong_content_is_rebuilt(load, tmp_path):
    """Well-formed, but with faces that name vertices that do not exist."""
    path = tmp_path / 'sphere.stl'
    SPHERE.export(path)
    good = load(file_robot(path), max_faces=500)['a']
    entry, = (tmp_path / 'cache').iterdir()
    np.savez(entry, vertices=good.vertices[:5], faces=good.faces, colors=good.colors[:5])
    assert len(load(file_robot(path), max_faces=500)['a'].faces) == len(good.faces)


def test_without_a_cache_it_still_works(tmp_path):
    """A folder that cannot be made, as in a read-only home."""
    path = tmp_path / 'sphere.stl'
    SPHERE.export(path)
    assert len(load_meshes(file_robot(path), cache_dir=path / 'below_a_file')['a'].faces)


def test_a_full_disk_leaves_no_half_entry(load, tmp_path, monkeypatch):
    """A write that fails is cleaned up, and the mesh is used all the same."""
    def full(*args, **kwargs):
        raise OSError(28, 'No space left on device')

    SPHERE.export(tmp_path / 'sphere.stl')
    monkeypatch.setattr(mesh_file.np, 'savez', full)
    assert len(load(file_robot(tmp_path / 'sphere.stl'))['a'].faces)
    assert not list((tmp_path / 'cache').iterdir())


def test_the_default_cache_follows_xdg(monkeypatch, tmp_path):
    """XDG_CACHE_HOME where it is absolute, else the home folder."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    assert mesh_file.default_cache_dir() == tmp_path / 'kinema4d_ros' / 'meshes'
    monkeypatch.setenv('XDG_CACHE_HOME', 'relative')
    assert mesh_file.default_cache_dir().parts[-3:] == ('.cache', 'kinema4d_ros', 'meshes')


def test_collision_shape_stands_in_for_a_missing_mesh(load, tmp_path):
    """With a warning that names link, URI and places."""
    collision = '<collision><geometry><box size="1 1 1"/></geometry></collision>'
    meshes = load(file_robot(tmp_path / 'gone.stl', collision=collision))
    assert len(meshes['a'].faces) == 12
    assert len(meshes.warnings) == 1
    for part in ('link "a"', 'gone.stl', str(tmp_path), 'collision shape is shown instead'):
        assert part in meshes.warnings[0]


def test_collision_shapes_stand_in_for_visual_ones_that_are_not_there(load):
    """Else contacts of the link would be missed; a frame stays one."""
    meshes = load(Robot.from_urdf(
        '<robot name="r"><link name="a"><collision><geometry><box size="1 1 1"/></geometry>'
        '</collision></link><link name="frame"/><joint name="j" type="fixed"><parent link="a"/>'
        '<child link="frame"/></joint></robot>'))
    assert set(meshes) == {'a'} and len(meshes['a'].faces) == 12 and not meshes.warnings


@pytest.mark.parametrize('content, name, message', [
    (None, 'gone.stl', 'link "a": mesh gone.stl not found'),
    (b'rubbish', 'x.stl', 'holds no triangle'), (b'', 'x.dae', 'is damaged'),
    (b'v 0 0 0\n', 'x.obj', 'holds no triangle'),
    (NAN_GLB, 'x.glb', 'not finite'),
    (b'solid', 'x.off', 'has the format ".off"; .stl, .dae, .obj, .glb, .ply can')],
    ids=['missing', 'no stl', 'no dae', 'no faces', 'not finite', 'format'])
@pytest.mark.filterwarnings('ignore:invalid value:RuntimeWarning')
def test_unusable_meshes(load, tmp_path, content, name, message):
    """Missing, damaged, empty, not a number, unknown: named with its link."""
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MeshError, match=message):
        load(file_robot(path))


def stl(header: bytes = b'', triangles: int = 12) -> bytes:
    """Return a binary STL of a cube of 1 m with this header, stating so many triangles."""
    content = trimesh.creation.box((1, 1, 1)).export(file_type='stl')
    return header.ljust(80, b' ')[:80] + triangles.to_bytes(4, 'little') + content[84:]


ASCII = trimesh.creation.box((1, 1, 1)).export(file_type='stl_ascii').encode()


@pytest.mark.parametrize('content', [
    stl(), stl(b'solid made by a tool'), stl() + b'\0' * 3, stl() + b'\r\n',
    stl(b'solid') + b'written by a tool', ASCII, b'\n ' + ASCII, b'\xef\xbb\xbf' + ASCII,
    ASCII.replace(b'\n', b'\r\n'), ASCII.upper(), ASCII + ASCII],
    ids=['binary', 'binary solid', 'zeros', 'newline', 'text behind', 'ascii', 'blank before',
         'mark', 'crlf', 'upper', 'two solids'])
@pytest.mark.parametrize('name', ['x.stl', 'x.STL'])
def test_stl_as_exporters_write_it(load, tmp_path, content, name):
    (tmp_path / name).write_bytes(content)
    mesh = load(file_robot(tmp_path / name))['a']
    assert len(mesh.faces) in (12, 24)
    np.testing.assert_allclose(np.ptp(mesh.vertices, axis=0), 1.0)


def test_an_stl_that_is_cut_short_is_named(load, tmp_path):
    (tmp_path / 'x.stl').write_bytes(stl()[:-60])
    with pytest.raises(MeshError, match='cut short: it has 10 of its 12 triangles'):
        load(file_robot(tmp_path / 'x.stl'))


def test_capsules_have_their_volume(load):
    robot = Robot.from_urdf('<robot name="r"><link name="a"><collision><geometry><capsule '
                            'radius="0.1" length="0.4"/></geometry></collision></link></robot>')
    mesh = load(robot)['a']
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces)
    assert solid.is_watertight
    np.testing.assert_allclose(solid.extents, (0.2, 0.2, 0.6), atol=1e-6)
    exact = np.pi * 0.1**2 * 0.4 + 4 / 3 * np.pi * 0.1**3
    assert exact * 0.97 < solid.volume < exact


UNREAD = '<visual><geometry><superquadric/></geometry></visual>'
GONE = '<visual><geometry><mesh filename="gone.stl"/></geometry></visual>'
SOLID = '<visual><geometry><box size="1 1 1"/></geometry></visual>'


@pytest.mark.parametrize('shapes, faces', [
    (UNREAD, 0), (GONE, 0), (UNREAD + SOLID, 12), (GONE + SOLID, 12),
    (UNREAD.replace('visual', 'collision'), 0), (GONE + GONE.replace('visual', 'collision'), 0)])
def test_a_link_that_cannot_be_read_whole_is_named(load, shapes, faces):
    """The robot can be used, and every check can say what it does not know."""
    meshes = load(Robot.from_urdf(
        f'<robot name="r"><link name="a">{SOLID}</link><link name="b">{shapes}</link>'
        '<joint name="j" type="continuous"><parent link="a"/><child link="b"/></joint></robot>'))
    assert list(meshes.unreadable) == ['b'] and 'link "b"' in meshes.unreadable['b']
    assert meshes.unreadable['b'] in meshes.warnings[0]
    assert (len(meshes['b'].faces) if 'b' in meshes else 0) == faces


def test_what_stands_in_is_not_missed(load):
    box = SOLID.replace('visual', 'collision')
    meshes = load(Robot.from_urdf(f'<robot name="r"><link name="a">{UNREAD}{box}</link></robot>'))
    assert meshes.unreadable == {} and len(meshes.warnings) == 1


def test_a_mesh_of_any_size_is_not_read(load, tmp_path, monkeypatch):
    """The size is looked at before the content."""
    SPHERE.export(tmp_path / 'sphere.stl')
    monkeypatch.setattr(mesh_file, 'MAX_BYTES', 1000)
    with pytest.raises(MeshError, match='more than the 1000 accepted'):
        load(file_robot(tmp_path / 'sphere.stl'))


def test_a_mesh_that_may_not_be_read(load, tmp_path, monkeypatch):
    """The system's reason is passed on."""
    def refuse(self):
        raise PermissionError(13, 'Permission denied')

    SPHERE.export(tmp_path / 'sphere.stl')
    monkeypatch.setattr('pathlib.Path.read_bytes', refuse)
    with pytest.raises(MeshError, match='cannot be read: Permission denied'):
        load(file_robot(tmp_path / 'sphere.stl'))


def test_the_budget_must_be_positive(load):
    """Zero faces show nothing."""
    with pytest.raises(MeshError, match='max_faces must be at least 1, got 0'):
        load(Robot.from_urdf(DEMO_ARM.read_text()), max_faces=0)
