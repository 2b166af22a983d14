"""The page below a notebook's cell: a server in a thread, which only pages of this machine may frame."""

import sys
import urllib.request
from types import SimpleNamespace

import pytest

import latently
from latently import AE, Autoencoder, Network


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "digits"
    digits = latently.data.load("digits")
    Autoencoder(AE(2, Network("dense(8)")), epochs=1, random_state=0).fit(digits.images).save(folder)
    return folder


def test_the_page_is_served_until_it_is_stopped(run):
    page = latently.explore(run, data="digits", points=100)
    with urllib.request.urlopen(page.url, timeout=10) as answer:
        assert b"latently explorer" in answer.read()
        policy = answer.headers["content-security-policy"]
    assert "frame-ancestors http://localhost:* https://localhost:* http://127.0.0.1:* https://127.0.0.1:*" in policy
    assert f'<iframe src="{page.url}"' in page._repr_html_()
    page.stop()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(page.url, timeout=10)


def test_a_second_page_of_the_same_run_is_another_server(run):
    first, second = (latently.explore(run, data="digits", points=100) for _ in range(2))
    assert first.url != second.url
    for page in (first, second):
        page.stop()


def test_a_hosted_notebook_says_what_to_do(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", SimpleNamespace())
    page = latently.explore(run, data="digits", points=100)
    assert "iframe" not in page._repr_html_()
    assert "--static" in page._repr_html_()
    page.stop()


def test_a_missing_part_is_named(run, monkeypatch):
    monkeypatch.setattr("latently.common.errors.find_spec", lambda name: None)
    with pytest.raises(latently.InputError, match=r"pip install 'latently\[explorer\]'"):
        latently.explore(run)
