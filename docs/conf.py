"""How Sphinx makes the documentation site: `sphinx-build -W --keep-going -b html docs build/site`."""

from __future__ import annotations

import sys
from pathlib import Path

import steepest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "_ext"))

project = "steepest"
author = "The steepest developers"
copyright = author
version = release = steepest.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "command",
    "figures",
    "names",
    "pages",
]
exclude_patterns = ["gallery"]
templates_path = ["_templates"]
nitpicky = True  # a link to a name that has no page is an error
default_role = "name"  # of the extension names: a link where the name is public, else code

# Markdown
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# The reference
autosummary_generate = True
autodoc_typehints = "none"  # the docstrings name types, in words
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
toc_object_entries_show_parents = "hide"

# The gallery: every script runs in the build, and is shown with its pictures and what it prints.
sphinx_gallery_conf = {
    "examples_dirs": ["gallery"],
    "gallery_dirs": ["generated/gallery"],
    "filename_pattern": r"\.py$",
    "within_subsection_order": "gallery_look.Order",
    "abort_on_example_error": True,
    "capture_repr": (),
    "download_all_examples": False,
    "min_reported_time": 1e9,  # seconds: the site has no times of the machine that built it
    "remove_config_comments": True,
    "reset_modules": ("matplotlib", "gallery_look.reset"),
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
}

# The look
html_theme = "pydata_sphinx_theme"
html_title = "steepest"
html_extra_path = ["generated/extra"]
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_favicon = "_static/logo.svg"
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "steepest", "image_light": "_static/logo.svg", "image_dark": "_static/logo.svg"},
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "header_links_before_dropdown": 6,
    "show_toc_level": 2,
    "navigation_depth": 3,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "tango",
    "pygments_dark_style": "monokai",
}
html_context = {"default_mode": "auto"}
html_sidebars = {"index": [], "start": [], "changes": [], "coming-from": []}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
