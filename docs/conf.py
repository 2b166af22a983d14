"""How Sphinx builds the site from the Markdown of this folder: `make docs`, then open build/site/index.html."""

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(Path(__file__).parent / "_site"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

project = "latently"
author = "the latently developers"
release = version = PROJECT["version"]
extensions = [
    "myst_nb",  # the pages stay Markdown that a repository's own viewer shows; notebooks, with what they show
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "found",  # _site/found.py
]
exclude_patterns = ["_site"]
nb_execution_mode = "off"  # docs/notebooks/execute.py does it
myst_heading_anchors = 3  # links to headings, spelled as on GitHub
myst_enable_extensions = ["dollarmath"]
copybutton_exclude = ".linenos, .gp, .go"  # neither prompts nor output are copied

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # of settings they are ranges, which each setting's docstring and error say in words
autodoc_inherit_docstrings = False
python_maximum_signature_line_length = 88

html_theme = "furo"
html_title = f"latently {release}"
html_favicon = "../src/latently/explorer/page/icon.svg"
html_static_path = ["_site/static"]
html_css_files = ["site.css"]
html_js_files = ["enlarge.js"]
html_copy_source = False
repository = PROJECT.get("urls", {}).get("Repository", "")  # where Colab finds the notebooks
html_show_sphinx = False
