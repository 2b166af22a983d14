"""The named sets' archives: from the cache, else from the first mirror that gives the right bytes.

An archive is fetched into memory, verified there, and only then written: under a temporary name, then renamed. So the
cache never holds half a file or a wrong one under an archive's name. A full cache need not be writable.
"""

import gzip
import hashlib
import io
import os
import zlib
from collections.abc import Callable
from pathlib import Path

from latently.common.errors import InputError
from latently.common.files import atomic_write

ARCHIVES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)

MIRRORS = {
    "mnist": (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://raw.githubusercontent.com/fgnt/mnist/master/",
    ),
    "fashion-mnist": (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ),
    "kmnist": (
        "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
        "https://codh.rois.ac.jp/kmnist/dataset/kmnist/",
    ),
}

# SHA-256 of the decompressed bytes: mirrors of MNIST compress anew, so their archives differ.
CONTENT_SHA256 = {
    "mnist": (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
}

# MD5 of the archives, as their authors publish them.
ARCHIVE_MD5 = {
    "fashion-mnist": (
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ),
    "kmnist": (
        "bdb82020997e1d708af4cf47b453dcf7",
        "e144d726b3acfaa3e44228e80efcd344",
        "5c965bf0a639b31b8f53240b1b52f4d7",
        "7320c461ea6c1c855c0b718fb2a4b134",
    ),
}

TIMEOUT_SECONDS = (5, 30)  # to connect, between two pieces of the answer


class WrongBytes(Exception):
    """An archive is not the published one; the message says in what."""


def cache_folder() -> Path:
    """`$LATENTLY_DATA`, else the platform's cache folder."""
    if folder := os.environ.get("LATENTLY_DATA"):
        return Path(folder).expanduser().absolute()
    import pooch

    return Path(pooch.os_cache("latently"))


def fetch(name: str, progress: bool = False) -> list[bytes]:
    """The four files of a named set, verified and decompressed: train images, train labels, test images, test labels.

    What is not in the cache is downloaded into `<cache>/<name>/`, with a bar on stderr where `progress`.
    Raises `InputError` where an archive can be had neither from the cache nor from a mirror.
    """
    return [_fetch_archive(name, which, progress) for which in range(len(ARCHIVES))]


def _fetch_archive(name: str, which: int, progress: bool) -> bytes:
    path = cache_folder() / name / ARCHIVES[which]
    problem = f"{path} is not there"
    if path.exists():
        try:
            return _verified(path.read_bytes(), name, which)
        except WrongBytes as error:
            problem = f"{path} does not hold the published bytes ({error})"
    _require_writable(path.parent, problem)
    archive, content = _download(name, which, progress, problem, path.parent)
    _write(path, archive)
    return content


def _verified(archive: bytes, name: str, which: int) -> bytes:
    """The archive's content; raises `WrongBytes` where it is not the published one."""
    if name in ARCHIVE_MD5:
        _compare("MD5", hashlib.md5(archive, usedforsecurity=False).hexdigest(), ARCHIVE_MD5[name][which])
    try:
        content = gzip.decompress(archive)
    except (OSError, EOFError, zlib.error) as error:
        raise WrongBytes(f"{len(archive):,} bytes that are not whole gzip: {error}") from error
    if name in CONTENT_SHA256:
        _compare("content's SHA-256", hashlib.sha256(content).hexdigest(), CONTENT_SHA256[name][which])
    return content


def _compare(what: str, found: str, published: str) -> None:
    if found != published:
        raise WrongBytes(f"{what} {found[:12]}... instead of {published[:12]}...")


def _require_writable(folder: Path, problem: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        reason = "" if os.access(folder, os.W_OK) else "no permission"
    except OSError as error:
        reason = error.strerror or str(error)
    if reason:
        raise InputError(
            f"{problem}, and {folder} cannot be written ({reason}); put the right file there by hand, "
            "or set LATENTLY_DATA to a folder that can be written"
        )


def _download(name: str, which: int, progress: bool, problem: str, folder: Path) -> tuple[bytes, bytes]:
    """The archive and its content, from the first mirror that gives the published bytes."""
    import pooch

    download: Callable[..., None] = pooch.HTTPDownloader(
        progressbar=progress, chunk_size=1 << 16, timeout=TIMEOUT_SECONDS
    )
    reason = ""
    for mirror in MIRRORS[name]:
        received = io.BytesIO()
        try:
            download(mirror + ARCHIVES[which], received, None)
            return received.getvalue(), _verified(received.getvalue(), name, which)
        except (OSError, WrongBytes) as error:  # requests' errors are OSErrors
            reason = " ".join(str(error).split())
    raise InputError(
        f"{problem}, and no mirror of {name} gave it (tried {', '.join(MIRRORS[name])}; the last one: {reason}); "
        "check the network and try again, "
        f"put {', '.join(ARCHIVES)} into {folder} by hand, or set LATENTLY_DATA to a folder with {name}/*.gz"
    )


def _write(path: Path, archive: bytes) -> None:
    with atomic_write(path) as temporary:  # one of each process: two may fetch at once
        temporary.write_bytes(archive)
