"""Directives that find what they show, so that a new model or study needs no line here.

`study-pictures`: every picture below docs/results, with the command in the first lines of its study's table.md.
`models`: every model of the table `latently.models.PAGES`.
`colab-links`: every notebook, to download, and to open in Colab where pyproject.toml names a repository on GitHub.
"""

import re
from pathlib import Path

from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class StudyPictures(SphinxDirective):
    def run(self) -> list:
        root = Path(self.env.srcdir)
        lines: list[str] = []
        for folder in sorted(path.parent for path in root.glob("results/*/figures")):
            lines += ["", f".. rubric:: {folder.name}", ""]
            command = command_of(folder)
            if command:
                lines += [f"``{command}``", ""]
            lines += [".. grid:: 2 2 3 3", "   :gutter: 2", ""]
            for picture in sorted(folder.glob("figures/*.png")):
                self.env.note_dependency(str(picture))
                path = "/" + picture.relative_to(root).as_posix()
                caption = picture.stem.replace("-", " ")
                lines += ["   .. grid-item::", "", f"      .. image:: {path}", f"         :alt: {caption}", ""]
                lines += [f"      {caption}", ""]
        return self.parse_text_to_nodes(StringList(lines, source=self.env.docname))


class ColabLinks(SphinxDirective):
    def run(self) -> list:
        folder = Path(self.env.srcdir, "notebooks")
        lines = []
        for path in sorted(folder.glob("*.ipynb")):
            line = f"- :download:`{path.name}`"
            if opened := colab_link(self.config.repository, path.name):
                line += f", `in Colab <{opened}>`__"
            lines += [line]
        return self.parse_text_to_nodes(StringList(lines, source=self.env.docname))


def colab_link(repository: str, notebook: str) -> str:
    """The address at which Colab opens a notebook of docs/notebooks; empty for a repository that is not on GitHub.

    >>> colab_link("https://github.com/someone/latently", "seminar.ipynb")
    'https://colab.research.google.com/github/someone/latently/blob/main/docs/notebooks/seminar.ipynb'
    """
    host, _, name = repository.rstrip("/").partition("github.com/")
    found = f"https://colab.research.google.com/github/{name}/blob/main/docs/notebooks/{notebook}"
    return found if host == "https://" and name.count("/") == 1 else ""


class Models(SphinxDirective):
    def run(self) -> list:
        from latently.models import PAGES

        lines: list[str] = []
        for name, (page, model, _) in PAGES.items():
            lines += ["", f".. rubric:: latently train {name}", "", f".. autoclass:: latently.models.{page}.{model}"]
            lines += ["   :members:", ""]
        return self.parse_text_to_nodes(StringList(lines, source=self.env.docname))


def as_restructured(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Our docstrings in reStructuredText: code in two backticks, `name: meaning` as a list of fields, * and | plain."""
    blocks = [block.split("\n") for block in "\n".join(lines).split("\n\n")]
    for block in blocks:
        if all(re.match(r"\w+: |\s|$", line) for line in block) and not block[0].startswith(" "):
            block[:] = [re.sub(r"^(\w+): ", r":\1: ", line) for line in block]
    lines[:] = "\n\n".join("\n".join(block) for block in blocks).split("\n")
    for i, line in enumerate(lines):
        lines[i] = re.sub(r"(?<![`:])`([^`]+)`(?!`)", r"``\1``", line)
        if not re.search("``|>>>", line):
            lines[i] = re.sub(r"([|*])", r"\\\1", lines[i])


def without_requests(app: Sphinx, what: str, name: str, thing: object, skip: bool, options: object) -> bool | None:
    """scikit-learn adds set_fit_request and its like to every estimator; its own site describes them."""
    return True if re.fullmatch(r"set_\w+_request", name) else None


def command_of(folder: Path) -> str:
    table = folder / "table.md"
    found = re.search(r"`(latently reproduce [^`]+)`", table.read_text()) if table.exists() else None
    return found[1] if found else ""


def setup(app: Sphinx) -> dict:
    app.add_directive("study-pictures", StudyPictures)
    app.add_directive("models", Models)
    app.add_directive("colab-links", ColabLinks)
    app.add_config_value("repository", "", "html")
    app.connect("autodoc-skip-member", without_requests)
    app.connect("autodoc-process-docstring", as_restructured)
    return {"parallel_read_safe": True}
