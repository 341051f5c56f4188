"""How `make docs` builds the site: the pages are the repository's own Markdown files, the API comes from docstrings."""

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs"))

project = "Hermes"
author = "The Hermes authors"
release = version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]

# The source is the whole repository, so that a link to ../README.md leads to a page here as it does on GitHub.
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**.md", "examples/*.md", "hermes/harness/models/*/weights/*.md"]
exclude_patterns = [".*", "**/.*", "runs*", "build", "dist", "site", "tests", "hermes/[!h]*"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode", "helptext"]
myst_heading_anchors = 4  # GitHub's anchors
suppress_warnings = ["myst.header"]  # README shows tables as `hermes leaderboard` writes them, headings included
highlight_language = "text"
smartquotes = False  # --data is not a dash
default_role = "py:obj"  # `Name` in a docstring links to what it names
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "show-inheritance": True}
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88

html_theme = "furo"
html_title = "Hermes"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_extra_path = ["front"]
html_show_sphinx = html_show_copyright = html_copy_source = False
