# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Mesh URIs: where they lead, and where they must not."""
import os
from pathlib import Path

import pytest
from robots import example_robots

from kinema4d_ros.errors import Kinema4DError, MeshError, RobotDescriptionError
from kinema4d_ros.robot import MeshFile, Robot
from kinema4d_ros.robot.mesh_finder import MeshFinder


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Return a source tree, an installed workspace, and a secret beside them."""
    for name in ('src/arm/urdf/arm.urdf', 'src/arm/meshes/a.stl', 'src/arm/urdf/near.stl',
                 'src/other/meshes/b.stl', 'install/share/arm/meshes/a.stl',
                 'install/share/arm/meshes/only.stl', 'secret.stl'):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    monkeypatch.setenv('AMENT_PREFIX_PATH', f'{tmp_path / "nothing"}{os.pathsep}')
    return tmp_path


def found(world, uri, **where):
    """Return what the URI leads to, relative to the world."""
    return str(MeshFinder(**where).find(uri, 'a_link').relative_to(world))


@pytest.mark.parametrize('uri', ['package://arm/meshes/a.stl', 'model://arm/meshes/a.stl',
                                 'package:///arm/meshes/a.stl',
                                 'package://arm/urdf/../meshes/a.stl'])
def test_a_package_is_found_above_the_urdf(world, uri):
    """By its name in a folder above; a '..' that stays inside does no harm."""
    path = MeshFinder(source_dir=world / 'src/arm/urdf').find(uri, 'a_link')
    assert path.samefile(world / 'src/arm/meshes/a.stl')


@pytest.mark.parametrize('uri', [
    'package://arm//meshes/a.stl', 'package:////arm///meshes//a.stl', 'PACKAGE://arm/meshes/a.stl',
    'package://arm/meshes%2Fa.stl', r'package://arm\meshes\a.stl', r'package://arm/meshes\a.stl',
    'file://{}/src/arm/meshes/a.stl', 'file:///{}/src/arm/meshes/a.stl',
    'file:////{}/src/arm/meshes/a.stl', 'file://localhost{}/src/arm/meshes/a.stl',
    'file:{}/src/arm/meshes/a.stl', '{}/src/arm/meshes/a.stl', '../meshes/a.stl',
    'file://../meshes/a.stl', 'file:../meshes/a.stl', './../meshes/a.stl'])
def test_what_other_tools_overlook_is_overlooked(world, uri):
    path = MeshFinder(source_dir=world / 'src/arm/urdf', package_paths=[world / 'src']).find(
        uri.format(world), 'a_link')
    assert path.samefile(world / 'src/arm/meshes/a.stl')


@pytest.mark.parametrize('uri', ['file://{}/arm/meshes/a.stl', 'file:///{}/arm/meshes/a.stl',
                                 'file://localhost{}/arm/meshes/a.stl'])
def test_file_uris_into_an_installed_package(world, uri, monkeypatch):
    """As xArm's description writes them, with a slash more than is needed."""
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(world / 'install'))
    path = MeshFinder().find(uri.format(world / 'install/share'), 'a_link')
    assert path.samefile(world / 'install/share/arm/meshes/a.stl')


@pytest.mark.parametrize('uri', ['package://arm/a%20b#1.stl', 'package://arm/a b#1.stl',
                                 'file://{}/src/arm/a%20b%231.stl', 'a%20b#1.stl'])
def test_names_with_spaces_and_signs(world, uri):
    (world / 'src/arm/a b#1.stl').touch()
    path = MeshFinder(source_dir=world / 'src/arm').find(uri.format(world), 'a_link')
    assert path.name == 'a b#1.stl'
    (world / 'src/arm/a%20b#1.stl').touch()      # the name as it is written comes first
    path = MeshFinder(source_dir=world / 'src/arm').find('package://arm/a%20b#1.stl', 'a_link')
    assert path.name == 'a%20b#1.stl'


@pytest.mark.parametrize('name', ['GZ_SIM_RESOURCE_PATH', 'GAZEBO_MODEL_PATH'])
def test_models_are_where_gazebo_is_told_to_look(world, name, monkeypatch):
    with pytest.raises(MeshError, match='not found'):
        MeshFinder().find('model://other/meshes/b.stl', 'a_link')
    monkeypatch.setenv(name, f':relative:{world / "src"}')
    assert found(world, 'model://other/meshes/b.stl') == 'src/other/meshes/b.stl'


def test_a_package_in_a_folder_of_another_name_is_found(world):
    """A checkout need not be called like its package."""
    assert found(world, 'package://arm_description/meshes/a.stl',
                 source_dir=world / 'src/arm/urdf') == 'src/arm/meshes/a.stl'


def test_installed_packages_come_first(world, monkeypatch):
    """The ament index has precedence, then the folders of the caller."""
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(world / 'install'))
    where = {'source_dir': world / 'src/arm/urdf', 'package_paths': [world / 'src']}
    uri = 'package://arm/meshes/a.stl'
    assert found(world, uri, **where) == 'install/share/arm/meshes/a.stl'
    monkeypatch.delenv('AMENT_PREFIX_PATH')
    assert found(world, uri, **where) == 'src/arm/meshes/a.stl'


@pytest.mark.parametrize('folder', ['src', 'src/other'])
def test_package_paths_hold_packages_or_are_packages(world, folder):
    """Both readings of a folder that the caller gives, as text or Path, one or several."""
    uri = 'package://other/meshes/b.stl'
    assert found(world, uri, package_paths=str(world / folder)) == 'src/other/meshes/b.stl'
    assert found(world, uri, package_paths=(world / folder,)) == 'src/other/meshes/b.stl'


def test_our_own_package_is_always_found(monkeypatch):
    """Bundled robots name their meshes this way."""
    monkeypatch.delenv('AMENT_PREFIX_PATH', raising=False)
    path = MeshFinder().find('package://kinema4d_ros/urdf/demo_arm.urdf', 'a_link')
    assert path.name == 'demo_arm.urdf'


def test_without_our_own_files_it_is_not_found(monkeypatch):
    """A copy of the Python files alone."""
    def nowhere():
        raise Kinema4DError('not installed')

    monkeypatch.setattr('kinema4d_ros.robot.mesh_finder.share_dir', nowhere)
    monkeypatch.delenv('AMENT_PREFIX_PATH', raising=False)
    with pytest.raises(MeshError, match='not found'):
        MeshFinder().find('package://kinema4d_ros/urdf/demo_arm.urdf', 'a_link')


def test_paths_inside_allowed_folders(world, monkeypatch):
    """Relative to the URDF, absolute, file:// with escapes, installed."""
    source = world / 'src/arm/urdf'
    (source / 'with space.stl').write_text('x')
    assert found(world, 'near.stl', source_dir=source) == 'src/arm/urdf/near.stl'
    assert found(world, f'file://{source}/near.stl', source_dir=source) == 'src/arm/urdf/near.stl'
    assert found(world, f'file://{source}/with%20space.stl',
                 source_dir=source) == 'src/arm/urdf/with space.stl'
    assert found(world, str(world / 'secret.stl'), package_paths=[world]) == 'secret.stl'
    assert found(world, '../meshes/a.stl', source_dir=source,
                 package_paths=[world / 'src']).endswith('meshes/a.stl')
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(world / 'install'))
    only = 'install/share/arm/meshes/only.stl'
    assert found(world, f'file://{world / only}') == only


@pytest.mark.parametrize('uri', [
    '../../../secret.stl', 'package://arm/../../secret.stl', 'file://{world}/secret.stl',
    '{world}/secret.stl', 'file://{world}/src/arm/urdf/../../../secret.stl',
    'package://arm/meshes/link.stl', 'link.stl'])
def test_nothing_outside_is_read(world, uri):
    """Neither by '..', nor by an absolute path, nor over a symbolic link."""
    for folder in ('src/arm/meshes', 'src/arm/urdf'):
        (world / folder / 'link.stl').symlink_to(world / 'secret.stl')
    with pytest.raises(MeshError, match=r'link "a_link": .*outside the folders that meshes may be '
                                        r'read from; pass its folder in package_paths'):
        MeshFinder(source_dir=world / 'src/arm/urdf').find(uri.format(world=world), 'a_link')


def test_links_of_an_installed_package_are_trusted(world, monkeypatch):
    """As `colcon build --symlink-install` makes them; but not its '..'."""
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(world / 'install'))
    (world / 'install/share/arm/meshes/link.stl').symlink_to(world / 'src/arm/meshes/a.stl')
    uri = 'package://arm/meshes/link.stl'
    assert found(world, uri) == 'install/share/arm/meshes/link.stl'
    with pytest.raises(MeshError, match='outside'):
        MeshFinder().find('package://arm/../../../secret.stl', 'a_link')


def test_a_loop_of_links_is_not_found(world):
    """It leads nowhere, and ends."""
    loop = world / 'src/arm/urdf/loop.stl'
    loop.symlink_to(loop)
    with pytest.raises(MeshError, match='not found'):
        MeshFinder(source_dir=loop.parent).find('loop.stl', 'a_link')


def test_a_missing_mesh_names_link_uri_and_places(world):
    """What an operator needs to repair it."""
    with pytest.raises(MeshError) as caught:
        MeshFinder([world / 'src'], world / 'src/arm/urdf').find('package://arm/x.stl', 'a_link')
    for part in ('link "a_link"', 'package://arm/x.stl', str(world / 'src/arm/x.stl'),
                 'package_paths'):
        assert part in str(caught.value)


@pytest.mark.parametrize('uri, message', [
    ('package://arm', 'must be package://<package>/<path>'),
    ('package://../x.stl', 'must be package://<package>/<path>'),
    ('http://example.org/a.stl', 'unknown scheme "http"'),
    ('a\0.stl', 'null character'), ('a.stl', 'nowhere: no folder is known')])
def test_unusable_uris(uri, message, monkeypatch):
    """Each says what is wrong with it."""
    monkeypatch.delenv('AMENT_PREFIX_PATH', raising=False)
    with pytest.raises(MeshError, match=message):
        MeshFinder().find(uri, 'a_link')


@pytest.mark.parametrize('name', [
    'panda/panda', 'ur/ur5_robot', 'kinova/kinova', 'xarm/xarm7', 'so_arm/so101', 'z1/z1',
    'tiago/tiago_dual', 'talos_data/talos_reduced', 'pr2/pr2', 'baxter/baxter', 'icub/icub'])
def test_meshes_of_robots_of_the_field_are_found(name):
    """From nothing but the URDF and its folder."""
    path = example_robots()[name]
    robot = Robot.from_urdf(path.read_text(), source_dir=path.parent)
    files = 0
    for link in robot.links.values():
        for shape in link.visuals:
            if isinstance(shape.geometry, MeshFile):
                assert Path(robot.mesh_finder.find(shape.geometry.uri, link.name)).is_file()
                files += 1
    assert files > 5


def test_an_empty_package_path_is_refused():
    """It would be the current folder, which nobody named."""
    with pytest.raises(RobotDescriptionError, match='hold an empty path'):
        MeshFinder(package_paths=('/opt', ''))
