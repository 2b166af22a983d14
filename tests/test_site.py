"""The site: its how-to pages and lessons do what they say, its pages link to what is there, its quotations are true.

A new page in docs/how-to or docs/lessons is found by itself. What test_documents.py asks holds, too.
"""

import shlex
import textwrap
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from test_documents import PAGES, ROOT, blocks, commands, doc, page_name, run

from latently.data import load
from latently.runs.outputs import write_images

RUNNABLE = [doc("start.md"), *sorted(doc("how-to").glob("*.md")), *sorted(doc("lessons").glob("*.md"))]


@pytest.mark.slow
@pytest.mark.parametrize("page", RUNNABLE, ids=page_name)
def test_the_commands_of_a_page_run_in_its_order(page, tmp_path, monkeypatch):
    """From a folder that holds what the pages assume: my/images, and labels of fifty of them."""
    monkeypatch.chdir(tmp_path)
    digits = load("digits")
    write_images(Path("my/images"), digits.names[:300], digits.images[:300] / 255)
    rows = [f"{name}.png,{label}" for name, label in zip(digits.names[:50], digits.labels[:50], strict=True)]
    Path("my/labels.csv").write_text("image,label\n" + "\n".join(rows) + "\n")
    done = [words for words in commands(page) if words[0] != "pip"]
    assert done
    for words in done:
        run(words)


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_python_that_is_quoted_stands_in_the_source(page):
    """In how_it_works.md, of the model's page; elsewhere, what needs a library that is not ours, at least compiles."""
    source = (ROOT / "src/latently/models/vae.py").read_text()
    for block in blocks(page, "python"):
        if page == doc("how_it_works.md"):
            assert block in source, f"models/vae.py has no longer:\n{block}"
        else:
            compile(textwrap.dedent(block), page_name(page), "exec")


class Links(HTMLParser):
    """Of one built page: where it points to, and the places in it that can be pointed to."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.targets: set[str] = set()
        self.places: set[str] = set()
        self.feed(page.read_text())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name in ("href", "src") and value:
                self.targets.add(value)
            elif name in ("id", "name") and value:
                self.places.add(value)


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_has_no_dead_link(tmp_path):
    build = pytest.importorskip("sphinx.cmd.build", reason="make docs installs what builds the site")
    site = tmp_path / "site"
    words = f"-q -W --keep-going -b html -d {tmp_path / 'doctrees'} {ROOT / 'docs'} {site}"
    assert build.main(shlex.split(words)) == 0
    pages = {page.resolve(): Links(page) for page in site.rglob("*.html")}
    assert len(pages) > 30
    for page, links in pages.items():
        for target in links.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            place = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            assert place.exists(), f"{page.relative_to(site.resolve())} points to {target}, which is not there"
            if parts.fragment and place in pages and place.stem not in ("genindex", "search"):
                found = unquote(parts.fragment) in pages[place].places
                assert found, f"{page.relative_to(site.resolve())} points to {target}, and there is no such place"
    read = {page.relative_to(site.resolve()).with_suffix("").as_posix() for page in pages}
    missing = [page for page in PAGES[1:] if page.relative_to(ROOT / "docs").with_suffix("").as_posix() not in read]
    assert not missing, f"not in the site: {missing}"
