# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""README and docs/: what they ask people to type is what there is, and their Python runs."""
import functools
import importlib
import importlib.util
import itertools
import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from catkin_pkg.package import parse_package

from kinema4d_ros.cli.main import main, make_parser
from kinema4d_ros.world_model import available

ROOT = Path(__file__).resolve().parents[2]
MADE = {'parameters.md'}      # by a script that has a test of its own
PAGES = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md',
         *sorted(path for path in (ROOT / 'docs').glob('*.md') if path.name not in MADE)]
#: commands of others, which are not checked
FOREIGN = {'accelerate', 'cd', 'cp', 'export', 'ls', 'sed', 'source', 'colcon', 'rosdep', 'git',
           'sudo', 'docker'}
LANGUAGES = {'bash', 'python', 'yaml', 'text'}
ON_EPISODES = ('precheck', 'replay-incident')     # cheap, need no ROS, and so are run


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return (language, text) of the fenced blocks of a page, directives of the site left out."""
    found = re.findall(r'^```([^\n]*)\n(.*?)^```$', page.read_text(), re.M | re.S)
    return [(language, text) for language, text in found if not language.startswith('{')]


def commands(text: str) -> list[list[str]]:
    """Return the commands of a shell script, a list of words each, without variables set."""
    found = []
    for line in text.replace('\\\n', ' ').splitlines():
        line = re.sub(r'\$\(ros2 pkg prefix --share kinema4d_ros\)', str(ROOT), line)
        lexer = shlex.shlex(line, posix=True, punctuation_chars=';&|')
        lexer.whitespace_split, words = True, []
        for word in [*lexer, ';']:
            if set(word) <= set(';&|'):
                while words and re.fullmatch(r'[A-Z_]+=.*', words[0]):
                    words = words[1:]
                if words:
                    found.append(words)
                words = []
            else:
                words.append(word)
    return found


def everything() -> list[tuple[str, list[str]]]:
    """Return (page, command) of all that the pages say to type, in blocks and in sentences."""
    found = []
    for page in PAGES:
        text = '\n'.join(text for language, text in blocks(page) if language == 'bash')
        prose = re.sub(r'^```.*?^```$', '', page.read_text(), flags=re.M | re.S)
        said = re.findall(r'`((?:make|kinema4d|ros2|python -m) [^`]+)`', prose)
        found += [(page.name, words) for words in commands('\n'.join([text, *said]))]
    return found


COMMANDS = everything()


def of(*programs: str) -> list[tuple[str, list[str]]]:
    return [(page, words) for page, words in COMMANDS if Path(words[0]).name in programs]


def cases(*programs: str):
    return pytest.mark.parametrize(('page', 'words'), of(*programs),
                                   ids=lambda value: ' '.join(value)[:60] if isinstance(value, list)
                                   else value)


def test_readme_fits_a_screen_or_four():
    assert len((ROOT / 'README.md').read_text().splitlines()) <= 200


def test_figures_of_the_readme_are_those_that_were_measured():
    """Each number of the sentences that lead to docs/measured.md stands on that page as well."""
    bullets = re.findall(r'^- .*?(?=^- |^$|^## )', (ROOT / 'README.md').read_text(), re.M | re.S)
    said = ' '.join(text for text in bullets if 'docs/measured.md' in text)
    figures = re.findall(r'\b\d+\b', re.sub(r'\d+\.\d+\.\d+', '', said))
    measured = set(re.findall(r'\b\d+\b', (ROOT / 'docs' / 'measured.md').read_text()))
    assert len(figures) > 5 and [one for one in figures if one not in measured] == []


@pytest.mark.parametrize('page', PAGES, ids=lambda path: path.name)
def test_blocks_say_what_they_are(page):
    assert {language for language, _ in blocks(page)} <= LANGUAGES


@functools.cache
def anchors(page: Path) -> set[str]:
    """Return what the headings of a page, and of what it includes, are linked by."""
    text = re.sub(r'^```(?!{include}).*?^```$', '', page.read_text(), flags=re.M | re.S)
    return {re.sub(r'[^\w\- ]', '', heading.strip().lower()).replace(' ', '-')
            for heading in re.findall(r'^#+ (.*)$', text, re.M)}.union(*(
                anchors(page.parent / name)
                for name in re.findall(r'^```{include} (\S+\.md)$', text, re.M)))


@pytest.mark.parametrize('page', PAGES, ids=lambda path: path.name)
def test_links_lead_to_files_and_headings(page):
    links = [link.partition('#') for link in re.findall(r'\]\(([^)]+)\)', page.read_text())
             if not link.startswith('http')]
    assert [file for file, _, _ in links if file and not (page.parent / file).exists()] == []
    assert [(file, at) for file, _, at in links if at and (not file or file.endswith('.md'))
            and at not in anchors(page.parent / file if file else page)] == []


def test_the_site_has_every_page():
    index = (ROOT / 'docs' / 'index.md').read_text()
    listed = set(re.findall(r'^(\w+)$', index, re.M))
    assert listed == {path.stem for path in (ROOT / 'docs').glob('*.*')
                      if path.suffix in ('.md', '.rst')} - {'index'}


def test_every_program_is_checked():
    known = {*FOREIGN, 'make', 'kinema4d', 'ros2', 'pip', 'python', 'python3', 'sphinx-build'}
    assert {Path(words[0]).name for _, words in COMMANDS} <= known


def test_world_models_are_those_that_there_are():
    page = (ROOT / 'docs' / 'world_models.md').read_text()
    table = page[page.index('| Name |'):].partition('\n\n')[0]
    ours = {name for name, line in available().items() if 'from the package' not in line}
    assert set(re.findall(r'^\| `(\w+)`', table, re.M)) == ours
    written = runpy.run_path(str(ROOT / 'scripts' / 'write_world_model_docs.py'))
    assert page == written['document'](), 'run scripts/write_world_model_docs.py'
    named = re.findall(r'(?:world models? |^- )`(\w+)`', (ROOT / 'README.md').read_text(), re.M)
    assert named and set(named) <= ours


def test_nothing_is_installed_by_a_name_that_is_not_ours():
    """The package is in no index: who takes its name there would be installed."""
    texts = [*PAGES, ROOT / 'docs' / 'parameters.md', *(ROOT / 'config').rglob('*.yaml'),
             *(ROOT / 'kinema4d_ros').rglob('*.py'), *(ROOT / 'requirements').iterdir()]
    assert [path for path in texts
            if re.search(r"""pip install [^\n]*['" ]kinema4d[-_]ros\b""", path.read_text())
            or re.search(r'kinema4d[-_]ros\[', path.read_text())] == []


# ------------------------------------------------------------------------------- Python

@pytest.fixture(scope='module')
def cache(tmp_path_factory):
    """Return a folder for what a robot's first check leaves for the next: all play one robot."""
    return tmp_path_factory.mktemp('cache')


@pytest.mark.parametrize('page', [
    page for page in PAGES if any(language == 'python' for language, _ in blocks(page))],
    ids=lambda path: path.name)
def test_python_runs(page, tmp_path, cache):
    """The blocks of a page are one program, in order."""
    program = '\n'.join(text for language, text in blocks(page) if language == 'python')
    done = subprocess.run([sys.executable, '-c', program], cwd=tmp_path, capture_output=True,
                          text=True, env={'PYTHONPATH': f'{ROOT}:{":".join(sys.path)}',
                                          'HOME': str(tmp_path),
                                          'XDG_CACHE_HOME': str(cache)})
    assert done.returncode == 0, done.stderr
    assert page.name != 'README.md' or done.stdout.startswith('PASS nothing wrong found')


# ------------------------------------------------------------------------------- the command line

@cases('kinema4d')
def test_the_command_takes_these_words(page, words, capsys):
    words = [word.strip('[]') for word in words[1:]]      # [EPISODE] may be left out
    try:
        make_parser().parse_args(words)
    except SystemExit as end:
        assert end.code == 0, capsys.readouterr().err      # --version, --help


def test_commands_on_episodes_do_what_they_say(tmp_path, monkeypatch, capsys):
    """In the order of the pages, for one may write what the next reads."""
    monkeypatch.chdir(tmp_path)
    subprocess.run(['bash', '-ec', '\n'.join(
        f'{sys.executable} {ROOT / words[1]} {ROOT / words[2]} {shlex.join(words[3:])}'
        for page, words in of('python') if page == 'first_hour.md' and '07_' in words[1])],
        check=True, env={**os.environ, 'PYTHONPATH': f'{ROOT}:{os.environ.get("PYTHONPATH", "")}'})
    (tmp_path / 'my_session').mkdir()
    (tmp_path / 'my_session' / 'my_session_0.mcap').symlink_to(
        ROOT / 'data/episodes/libero_object_0_0_success.mcap')
    codes = {}
    for _, words in of('kinema4d'):
        if words[1:2] and words[1] in ON_EPISODES and not any(word.isupper() for word in words):
            codes[' '.join(words[1:])] = main(words[1:])
    assert set(codes.values()) <= {0, 1} and len(codes) >= 4, (codes, capsys.readouterr().err)
    assert codes['precheck libero_spatial_0_0_into_table'] == 1
    of_cells = {name.split()[1]: code for name, code in codes.items() if ' cell' in name}
    assert of_cells == {'cell': 0, 'cell_low': 1}
    assert all(code == 0 for name, code in codes.items() if 'success' in name or 'replay' in name)
    capsys.readouterr()


# ------------------------------------------------------------------------------- make, scripts

@cases('make')
def test_make_has_this_target(page, words):
    assert re.search(rf'^{words[1]}:', (ROOT / 'Makefile').read_text(), re.M)
    (given,) = [word.removeprefix('ARGS=') for word in words[2:]
                if word != 'ROS_DISTRO=kilted'] or ['']
    source = {'demo': 'scripts/demo.py', 'evaluate': 'scripts/evaluate.py',
              'bench': 'bench/__main__.py'}.get(words[1])
    check_words(shlex.split(given), ROOT / source if source else None)


def check_words(words: list[str], source: Path | None) -> None:
    """Check options against the source that declares them, and paths against the tree."""
    for word in words:
        if word.startswith('--'):
            assert source is not None and (word == '--help' or f"'{word}'" in source.read_text())
        elif '/' in word and not word.startswith(('-', '/')):
            assert (ROOT / word).exists(), word
        elif source == ROOT / 'bench/__main__.py':
            assert (ROOT / 'bench' / f'{word}.py').is_file(), word


@cases('python', 'python3')
def test_the_script_takes_these_words(page, words):
    if words[1:3] == ['-m', 'venv']:
        return
    if words[1] == '-m':
        place, rest = words[2], words[3:]
        if place == 'pytest':
            return check_words(rest, None)
        spec = importlib.util.find_spec(f'{place}.__main__' if place == 'bench' else place)
        source = Path(spec.origin)
    else:
        source, rest = ROOT / words[1], words[2:]
    assert source.is_file()
    if source.name == 'engine.py':
        return kinema4d_settings(rest, source)
    return check_words([word for word in rest if word.startswith('--')], source)


def kinema4d_settings(words: list[str], source: Path) -> None:
    """The command of the engine makes its options of the model's settings."""
    from kinema4d_ros.cli import engine

    shown = subprocess.run([sys.executable, source, '--help'], capture_output=True, text=True)
    assert engine is not None and not {word for word in words if word.startswith('--')} - set(
        re.findall(r'--[a-z-]+', shown.stdout)), shown.stderr


@cases('pip')
def test_pip_is_given_files_and_extras_that_exist(page, words):
    extras = re.search(r"for name in \(([^)]*)\)", (ROOT / 'setup.py').read_text()).group(1)
    for word in words[2:]:
        name = word.removeprefix('src/kinema4d_ros/')
        if '/' in name:
            assert (ROOT / name).exists(), name
        if found := re.fullmatch(r'\.\[(\w+)\]', name):
            assert f"'{found.group(1)}'" in extras


def test_what_rosdep_does_not_install_is_in_the_file_for_pip():
    """Or the nodes would not start in a workspace that was made by docs/install.md."""
    keys = {dependency.name for dependency in
            parse_package(str(ROOT / 'package.xml')).exec_depends}
    beside = ROOT / 'requirements' / 'beside_ros.txt'
    pip = next(words for page, words in of('pip') if page == 'install.md')
    assert f'src/kinema4d_ros/requirements/{beside.name}' in pip
    brought = {re.split('[ ;]', line)[0] for line in beside.read_text().splitlines()}
    missing = []
    for line in (ROOT / 'requirements' / 'base.txt').read_text().splitlines():
        name, _, module = (word.strip() for word in line.partition('#'))
        if name and not {f'python3-{module.lower()}', f'python3-{name.partition("-")[0]}',
                         name.replace('-', '_')} & keys:
            missing.append(name)
    assert 'cattrs' in missing and set(missing) <= brought


# ------------------------------------------------------------------------------- ROS

def tables() -> dict:
    """Return node -> the table of its parameters."""
    places = {'shadow_sim': 'shadow_sim.parameters', 'viewer': 'viewer',
              'set_point_gate': 'set_point_gate.parameters',
              'trajectory_gate': 'trajectory_gate.parameters', 'recorder': 'recorder.node',
              'episode_player': 'episode_player', 'policy_proxy': 'chunks.policy_proxy',
              'action_chunk_proxy': 'chunks.action_chunk_proxy'}
    return {node: importlib.import_module(f'kinema4d_ros.nodes.{place}').TABLE
            for node, place in places.items()}


@functools.cache
def launch_arguments(name: str) -> str:
    return (ROOT / 'launch' / name).read_text()


@cases('ros2')
def test_ros_runs_this(page, words):
    pytest.importorskip('rclpy')
    if words[1] == 'launch':
        text = launch_arguments(words[3])
        for word in words[4:]:
            name = word.partition(':=')[0]
            assert word == '--show-args' or f"DeclareLaunchArgument('{name}'" in text, word
    elif words[1] == 'run':
        assert (ROOT / 'executables' / words[3]).is_file()
        given = dict(word.split(':=', 1) for word in words if ':=' in word)
        if given:
            lines = ''.join(f'    {name}: {value}\n' for name, value in given.items())
            tables()[words[3]].check_yaml(f'/**:\n  ros__parameters:\n{lines}', words[3])
        for option, value in itertools.pairwise(words):
            assert option != '--params-file' or Path(value).is_file()
    elif words[1:3] == ['service', 'call']:
        kind = words[4].split('/')[1:]
        given = re.findall(r'(\w+):', words[5])
        request = getattr(importlib.import_module(f'kinema4d_ros.{kind[0]}'), kind[1]).Request
        assert set(given) <= set(request.get_fields_and_field_types())
    else:
        assert words[1:3] in (['topic', 'hz'], ['topic', 'echo'], ['pkg', 'prefix'],
                              ['bag', 'record']), words


@pytest.mark.parametrize(('page', 'text'), [
    (page.name, text) for page in PAGES for language, text in blocks(page) if language == 'yaml'])
def test_parameter_files_name_parameters_that_exist(page, text):
    pytest.importorskip('rclpy')
    node = text.partition(':')[0]
    tables()[node].check_yaml(text, node)


def test_parameters_in_sentences_exist():
    known = (ROOT / 'docs' / 'parameters.md').read_text()
    said = {name for page in PAGES for name in re.findall(
        r'`((?:tier\d|touch|joint_limits|world_model_settings|allowed_contacts)\.[^`]+)`',
        page.read_text())}
    assert [name for name in sorted(said) if f'`{name}`' not in known] == []


def section(node: str) -> set[str]:
    """Return the names in the first column of the tables of one node in docs/messages.md."""
    page = (ROOT / 'docs' / 'messages.md').read_text()
    (text,) = re.findall(rf'^## What `{node}` .*?$(.*?)(?=^## )', page, re.M | re.S)
    cells = re.findall(r'^\| ([^|]*`[^|]*) \|', text, re.M)
    return {name for cell in cells for name in re.findall(r'`([^`]+)`', cell)}


def test_topics_are_in_the_tables():
    pytest.importorskip('rclpy')
    from kinema4d_ros.nodes.recorder.node import TOPICS
    from kinema4d_ros.nodes.shadow_sim.output_topics import TOPICS as OUTPUTS

    assert set(OUTPUTS) | {'/diagnostics', '/tf_static'} <= section('shadow_sim')
    optional = {'camera/image_raw/compressed', 'camera/depth/image_raw/compressedDepth'}
    assert section('recorder') == set(TOPICS) | optional


def test_every_definition_is_on_the_page():
    page = (ROOT / 'docs' / 'messages.md').read_text()
    there = {f'{folder}/{path.name}' for folder in ('msg', 'action', 'srv')
             for path in (ROOT / folder).glob('*')}
    assert set(re.findall(r'literalinclude} \.\./(\S+)', page)) == there


def test_the_rooms_are_those_of_the_test():
    from test_rooms import ROOMS

    rows = re.findall(r'^\| `(\w+)` \|[^|]*\|([^|]*)\|$', (ROOT / 'CONTRIBUTING.md').read_text(),
                      re.M)
    assert {room: set(uses.split()) for room, uses in rows} == ROOMS


def test_the_site_builds_without_warnings(tmp_path):
    """As `make docs` does, without a network."""
    pytest.importorskip('sphinx')
    done = subprocess.run([sys.executable, '-m', 'sphinx', '-W', '--keep-going', '-q', '-b', 'html',
                           ROOT / 'docs', tmp_path / 'site'], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    outside = [name for path in (tmp_path / 'site').glob('*.html')
               for name in re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(https?:[^"]+)"',
                                      path.read_text())]
    assert outside == []        # nothing of a page is fetched from elsewhere


def test_every_hazard_is_tied_to_a_test_that_there_is():
    text = (ROOT / 'docs' / 'safety.md').read_text()
    named = re.findall(r'`(test_\w+\.py)::(test_\w+)`', text)
    hazards = [line for line in text.split('## Hazards')[1].splitlines()
               if line.startswith('| ') and not line.startswith('| Hazard')]
    assert len(named) == len(hazards) > 40
    tests = {path.name: path.read_text() for path in (ROOT / 'test').rglob('test_*.py')}
    assert [(file, name) for file, name in named
            if not re.search(rf'^def {name}\(', tests.get(file, ''), re.M)] == []
