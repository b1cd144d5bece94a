# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How Sphinx builds the pages of this folder: `make docs`, without a network."""
from pathlib import Path
from xml.etree import ElementTree

project = 'kinema4d_ros'
release = ElementTree.parse(Path(__file__).parents[1] / 'package.xml').getroot().findtext('version')
copyright = '2026 The kinema4d_ros authors'  # noqa: A001 - Sphinx calls it so

extensions = ['myst_parser', 'sphinx_copybutton']
myst_heading_anchors = 3
nitpicky = True

html_theme = 'furo'
html_title = f'kinema4d_ros {release}'
html_static_path = ['static']
html_css_files = ['site.css']
html_copy_source = False
html_theme_options = {'top_of_page_buttons': []}
