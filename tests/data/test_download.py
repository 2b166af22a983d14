"""Downloads: the right bytes arrive or a sentence does, and the cache holds nothing else. All on 127.0.0.1."""

import gzip
import hashlib
import os
import socket
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from latently.common.errors import InputError
from latently.data import download, load

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 28, 28), dtype=np.uint8)
CONTENTS = (
    struct.pack(">IIII", 0x803, 4, 28, 28) + IMAGES[:4].tobytes(),
    struct.pack(">II", 0x801, 4) + bytes([5, 0, 4, 1]),
    struct.pack(">IIII", 0x803, 2, 28, 28) + IMAGES[4:].tobytes(),
    struct.pack(">II", 0x801, 2) + bytes([7, 2]),
)
FILES = {name: gzip.compress(content, mtime=0) for name, content in zip(download.ARCHIVES, CONTENTS, strict=True)}


class Mirrors(BaseHTTPRequestHandler):
    """Four mirrors in one server: /good/, /wrong/ (gzip of other bytes), /broken/ (half of it) and /missing/ (404)."""

    asked: list[str] = []  # noqa: RUF012

    def do_GET(self) -> None:
        self.asked.append(self.path)
        _, mirror, name = self.path.split("/")
        if mirror == "missing":
            return self.send_error(404)
        body = FILES[name] if mirror != "wrong" else gzip.compress(b"not what you asked for")
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if mirror == "broken" else body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Mirrors) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}/"
        running.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def closed() -> str:
    with socket.socket() as listener:  # a port that nobody listens on any more
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}/"


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache, and small files published under the names `mnist` (by content) and `kmnist` (by archive)."""
    Mirrors.asked.clear()
    monkeypatch.setenv("LATENTLY_DATA", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "*")
    contents = tuple(hashlib.sha256(content).hexdigest() for content in CONTENTS)
    archives = tuple(hashlib.md5(archive).hexdigest() for archive in FILES.values())
    monkeypatch.setitem(download.CONTENT_SHA256, "mnist", contents)
    monkeypatch.setitem(download.ARCHIVE_MD5, "kmnist", archives)
    return tmp_path / "cache"


def use(monkeypatch: pytest.MonkeyPatch, *mirrors: str) -> None:
    for name in ("mnist", "kmnist"):
        monkeypatch.setitem(download.MIRRORS, name, mirrors)


def files_in(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.rglob("*") if path.is_file())


@pytest.mark.parametrize("name", ["mnist", "kmnist"])
@pytest.mark.parametrize("first", ["good/", "wrong/", "broken/", None])
def test_the_right_bytes_come_from_the_first_mirror_that_has_them(name, first, cache, server, closed, monkeypatch):
    use(monkeypatch, closed if first is None else server + first, server + "good/")
    data = load(name)
    assert np.array_equal(data.images, IMAGES), f"with {first} as first mirror, other images were loaded"
    assert data.labels.tolist() == [5, 0, 4, 1, 7, 2]
    assert data.n_train == 4
    assert files_in(cache) == sorted(download.ARCHIVES), "the cache holds more or less than the four archives"
    before = len(Mirrors.asked)
    load(name)
    assert len(Mirrors.asked) == before, "what lies in the cache was downloaded again"


@pytest.mark.parametrize("only", ["wrong/", "broken/", "missing/", None])
@pytest.mark.parametrize("name", ["mnist", "kmnist"])
def test_when_all_mirrors_fail_one_sentence_says_so_and_nothing_is_left(name, only, cache, server, closed, monkeypatch):
    mirror = closed if only is None else server + only
    use(monkeypatch, closed, mirror)
    with pytest.raises(InputError) as caught:
        load(name)
    text = str(caught.value)
    for part in (name, closed, mirror, "train-images-idx3-ubyte.gz", str(cache / name), "by hand", "LATENTLY_DATA"):
        assert part in text, f"{part!r} is missing in: {text}"
    assert "\n" not in text
    assert files_in(cache) == [], "half a download lies in the cache"


def test_a_damaged_cached_file_is_replaced_only_by_the_right_one(cache, server, closed, monkeypatch):
    use(monkeypatch, server + "good/")
    load("mnist")
    damaged = cache / "mnist" / download.ARCHIVES[2]
    damaged.write_bytes(FILES[damaged.name][:-9])
    use(monkeypatch, closed)
    with pytest.raises(InputError, match=rf"{damaged} does not hold the published bytes.*no mirror"):
        load("mnist")
    assert damaged.read_bytes() == FILES[damaged.name][:-9], "a file was taken away without a better one"
    use(monkeypatch, server + "good/")
    assert np.array_equal(load("mnist").images, IMAGES)
    assert damaged.read_bytes() == FILES[damaged.name]


def test_mnist_compressed_anew_is_still_mnist_but_kmnist_is_known_by_its_archives(cache, closed, monkeypatch):
    use(monkeypatch, closed)
    for name in ("mnist", "kmnist"):
        (cache / name).mkdir(parents=True)
        for archive, content in zip(download.ARCHIVES, CONTENTS, strict=True):
            (cache / name / archive).write_bytes(gzip.compress(content, compresslevel=1, mtime=1))
    assert np.array_equal(load("mnist").images, IMAGES)
    with pytest.raises(InputError, match="MD5"):
        load("kmnist")


def test_a_cache_that_cannot_be_written(tmp_path, cache, server, monkeypatch):
    use(monkeypatch, server + "good/")
    load("mnist")
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert np.array_equal(load("mnist").images, IMAGES), "a full cache need not be writable"
    (cache / "mnist" / download.ARCHIVES[1]).unlink()
    asked = len(Mirrors.asked)
    with pytest.raises(InputError, match=r"train-labels.*cannot be written.*LATENTLY_DATA"):
        load("mnist")
    assert len(Mirrors.asked) == asked, "a download was started that had no place to go"
    (tmp_path / "file").write_text("a file, where the cache should be")
    monkeypatch.setenv("LATENTLY_DATA", str(tmp_path / "file"))
    with pytest.raises(InputError, match="cannot be written"):
        load("mnist")


def test_a_full_disk_leaves_no_half_file(cache, server, monkeypatch):
    def fill(path: Path, data: bytes) -> int:
        with open(path, "wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError(28, "No space left on device", str(path))

    use(monkeypatch, server + "good/")
    monkeypatch.setattr(Path, "write_bytes", fill)
    with pytest.raises(OSError, match="No space left"):
        load("mnist")
    assert files_in(cache) == []


def test_progress_goes_to_stderr(cache, server, monkeypatch, capsys):
    use(monkeypatch, server + "good/")
    load("mnist", progress=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "100%" in shown.err


def test_every_named_set_has_mirrors_and_one_kind_of_checksum():
    for name, mirrors in download.MIRRORS.items():
        assert all(url.endswith("/") for url in mirrors)
        sums = download.CONTENT_SHA256.get(name) or download.ARCHIVE_MD5[name]
        assert len(set(sums)) == 4, f"{name} has no checksum for each of its four archives"
    assert len(download.MIRRORS["mnist"]) >= 2
