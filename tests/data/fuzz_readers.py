"""Damaged files by the thousand: each is read, or refused with one sentence; none hangs, or takes much memory.

    python tests/data/fuzz_readers.py [--files 100000] [--seed 0] [--kinds csv labels idx npz image] [--keep FOLDER]

File i of a kind depends on seed, kind and i alone: `--first I --files 1 --kinds csv` makes that one again. A good file
is taken, and a few of its bytes, numbers, words or lines are changed, removed, doubled or mixed with another file's.
What is compressed or has checksums is also changed inside and sealed again, or every reader would stop at the seal.

Of each file the readers may make an `ImageSet` that keeps its promises (`complaints`), or an `InputError`; and they may
warn of nothing but what latently itself has to say. Exit code 1, and the file in FOLDER, where another thing happened.
Linux alone. The test `test_fuzz_readers.py` reads some hundred.
"""

import argparse
import faulthandler
import gzip
import io
import json
import random
import signal
import struct
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from latently.common.errors import DataNote, InputError
from latently.data import ImageSet, Preparation, load, read_labels

SECONDS = 30  # of processor time for one file: an image may have 268 megapixels
CLOCK_SECONDS = 60  # for a reader that waits and does nothing
HARD_SECONDS = 300  # after which the process ends, where C code does not come back
MEMORY = 2**31  # bytes that all reading may add to the process: one image may take 2**30, and as much again while it is
# converted
LETTERS = 600  # of one sentence, the path in it included

KINDS = ("csv", "labels", "idx", "npz", "image")
PREPARATIONS = (
    None, Preparation((8, 8)), Preparation((8, 8), fit="crop"), Preparation((5, 9), 1, fit="pad"),
    Preparation(channels=3),
)  # fmt: skip
NAMES = np.array(["cat/1.png", "cat/2.png", "dog/10.png", "dog/a b.png", "dog/é.jpg", "007.png"])
IMAGES = ImageSet(np.zeros((6, 4, 4), np.uint8), np.full(6, -1), (), NAMES, "/photos/pets")
WORDS = (
    b"nan", b"NaN", b"-1", b"NA", b"null", b"inf", b"-inf", b"1e999", b"-0", b"0.5", b"0,5", b"1_0", b"9" * 400,
    b"1e400", b'"', b'""', b"'", b",", b";", b"\t", b",,,,", b"\n", b"\r", b"\r\n", b"\n\n", b"\0", b"\xff",
    b"\xc3\xa9", b"\xef\xbb\xbf", b"\xff\xfe", b"\xed\xa0\x80", b"\x1b[2J", b"\xe2\x80\xa8", b"\x0c", b"#", b"label",
    b"id", b"y", b"pixel7", b"sep=;\n", b" ", b"../", b"007", b"3.0", b"18446744073709551616", b"x" * 200_000,
    b"\xd9\xa3",
)  # fmt: skip
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFF0)


@dataclass(frozen=True)
class Sample:
    """A good file: its ending, its bytes, and how to open and seal it, where changed bytes would break a seal."""

    ending: str
    content: bytes
    unseal: Callable[[bytes, random.Random], tuple[bytes, Callable[[bytes], bytes]]] | None = None


@dataclass
class Found:
    """What became of the files."""

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    longest_seconds: float = 0.0  # of processor time


# Good files.


def csv_samples() -> list[Sample]:
    rng = np.random.default_rng(1)
    bytes_, floats = rng.integers(0, 256, (5, 16)), rng.random((5, 16)).round(3)
    labels = ["cat", "dog", "NA", "cat", "007"]

    def table(rows: list[list[object]], delimiter: str = ",", end: str = "\n", header: list[str] | None = None) -> str:
        cells = [*([header] if header else []), *rows]
        return "".join(delimiter.join(map(str, row)) + end for row in cells)

    plain = [[*row] for row in bytes_]
    first = [[label, *row] for label, row in zip(labels, bytes_, strict=True)]
    commas = table([[str(cell).replace(".", ",") for cell in row] for row in floats], ";")
    quoted = table([[f'"{label}"', *row] for label, row in zip(labels, bytes_, strict=True)])
    header = ["id", *(f"pixel{i}" for i in range(16)), "label"]
    named = table([[i, *row, label] for i, (row, label) in enumerate(zip(bytes_, labels, strict=True))], header=header)
    pandas = table([[i, *row] for i, row in enumerate(bytes_)], header=["", *map(str, range(16))])
    texts = [table(plain), table(first), commas, quoted, named, pandas, table(first, "\t", "\r\n"), "sep=;\n" + commas]
    found = [Sample(".csv", text.encode()) for text in texts]
    found += [Sample(".csv", named.encode("utf-16")), Sample(".csv", b"\xef\xbb\xbf" + named.encode())]
    return [*found, Sample(".csv.gz", gzip.compress(named.encode(), mtime=0), in_gzip)]


def label_samples() -> list[Sample]:
    texts = [
        "cat/1.png,cat\ncat/2.png,cat\ndog/10.png,dog\n", "file,label\n1.png,3\n2.png,3.0\n10.png,007\n",
        "0;cat\n1;NA\n2;dog\n", "id\tlabel\tscore\n1\tcat\t0.5\n2\tdog\t0.25\n", '"dog/a b.png","a ""dog"""\n007,x\n',
        "./cat/1.png,cat\r\n\\dog\\é.jpg,dog\r\n/photos/pets/007.png,-1\r\n", "sep=;\n1.png;a\n2.png;b\n",
        ",label\n0,cat\n1,dog\n",
    ]  # fmt: skip
    found = [Sample(".csv", text.encode()) for text in texts] + [Sample(".csv", texts[0].encode("utf-16"))]
    return [*found, Sample(".csv.gz", gzip.compress(texts[1].encode(), mtime=0), in_gzip)]


def idx_samples() -> list[Sample]:
    rng = np.random.default_rng(2)
    arrays = [
        (0x08, rng.integers(0, 256, (4, 5, 6)).astype("u1")), (0x0D, rng.random((3, 4, 4)).astype(">f4")),
        (0x0E, rng.random((3, 4, 4, 3)).astype(">f8")), (0x0B, rng.integers(0, 256, (3, 4, 4)).astype(">i2")),
        (0x0C, rng.integers(0, 256, (3, 9)).astype(">i4")), (0x09, rng.integers(0, 127, (3, 4, 4)).astype("i1")),
        (0x08, rng.integers(0, 9, 4).astype("u1")),
    ]  # fmt: skip
    files = [
        bytes([0, 0, kind, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
        for kind, array in arrays
    ]
    return [Sample("-images-idx3-ubyte", file) for file in files] + [
        Sample("-images-idx3-ubyte.gz", gzip.compress(files[0], mtime=0), in_gzip)
    ]


def npz_samples() -> list[Sample]:
    rng = np.random.default_rng(3)
    images, names = rng.integers(0, 256, (4, 5, 6)).astype(np.uint8), np.array(["cat", "dog", "NA", "cat"])
    several: list[dict[str, np.ndarray]] = [
        {"images": images, "labels": np.array([0, 1, 2, -1])}, {"images": images, "y": names},
        {"images": rng.random((3, 4, 4, 3)), "labels": np.array([0.0, np.nan, 2.0])},
        {"images": rng.random((3, 16)).astype(np.float16), "labels": np.array([b"a", b"\xff", b""])},
        {"images": images > 127, "target": np.array([True, False, True, True])},
        {"images": images.astype(np.int64), "labels": np.array([1 + 2j, 0, 0, 0])},
        {"images": images, "labels": np.array(["2020-01-01", "NaT", "2021-01-01", "2022-01-01"], "M8[D]")},
        {"images": images, "labels": np.array([(1, 2)] * 4, dtype="i4,i4")},
    ]  # fmt: skip
    found = []
    for arrays in several:
        for save in (np.savez, np.savez_compressed):
            save(file := io.BytesIO(), **arrays)
            found.append(Sample(".npz", file.getvalue(), in_zip))
        np.save(file := io.BytesIO(), arrays["images"])
        found.append(Sample(".npy", file.getvalue()))
    return [*found, Sample(".npy.gz", gzip.compress(file.getvalue(), mtime=0), in_gzip)]


def image_samples() -> list[Sample]:
    from PIL import Image, ImageDraw, features

    rng = np.random.default_rng(4)
    colour = Image.fromarray(rng.integers(0, 256, (13, 17, 3)).astype(np.uint8))
    ImageDraw.Draw(colour).ellipse((2, 2, 12, 10), fill=(200, 30, 40))
    grey, palette, deep = (
        colour.convert("L"),
        colour.convert("P"),
        Image.fromarray(rng.integers(0, 65536, (9, 7)).astype(np.uint16)),
    )
    alpha, turned = colour.convert("RGBA"), Image.Exif()
    turned[0x0112], turned[0x010E] = 6, "a photograph"
    found = []

    def add(ending: str, image: Image.Image, **options: object) -> None:
        image.save(file := io.BytesIO(), format=Image.registered_extensions()[ending], **options)
        found.append(Sample(ending, file.getvalue(), in_png if ending == ".png" else None))

    for image in (colour, grey, palette, deep, alpha, colour.convert("1"), colour.convert("LA")):
        add(".png", image)
    add(".png", colour, exif=turned)
    add(".png", palette, transparency=3)
    for options in ({}, {"progressive": True}, {"exif": turned}, {"quality": 30, "subsampling": 2}):
        add(".jpg", colour, **options)
    add(".jpg", grey)
    add(".jpg", colour.convert("CMYK"))
    add(".gif", palette)
    add(".gif", palette, save_all=True, append_images=[grey.convert("P")])
    for image in (colour, grey, palette, colour.convert("1")):
        add(".bmp", image)
    for compression in (None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        add(".tif", colour, compression=compression)
    add(".tif", deep)
    add(".tif", Image.fromarray(rng.random((5, 5)).astype(np.float32)))
    add(".tif", grey, save_all=True, append_images=[grey], exif=turned)
    add(".ppm", colour)
    add(".pgm", grey)
    found.append(Sample(".pgm", b"P2\n# plain\n3 2\n255\n0 1 2\n3 4 255\n"))
    if features.check("webp"):
        add(".webp", colour)
        add(".webp", alpha, lossless=True, exif=turned)
    if "avif" in features.modules and features.check("avif"):
        add(".avif", colour)
    return found


# Opened and sealed again.

Opened = tuple[bytes, Callable[[bytes], bytes]]


def in_gzip(content: bytes, _: random.Random) -> Opened:
    return gzip.decompress(content), lambda changed: gzip.compress(changed, 1, mtime=0)


def in_zip(content: bytes, rng: random.Random) -> Opened:
    """One member, an array with its header."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    chosen = rng.choice(sorted(members))

    def seal(changed: bytes) -> bytes:
        with zipfile.ZipFile(file := io.BytesIO(), "w") as archive:
            for name, member in members.items():
                archive.writestr(zipfile.ZipInfo(name), changed if name == chosen else member)
        return file.getvalue()

    return members[chosen], seal


def in_png(content: bytes, rng: random.Random) -> Opened:
    """One chunk, whose checksum and length are made to fit; or the pixels, compressed again."""
    chunks, place = [], 8
    while place < len(content):
        (length,) = struct.unpack_from(">I", content, place)
        chunks.append((content[place + 4 : place + 8], content[place + 8 : place + 8 + length]))
        place += 12 + length
    chosen = rng.randrange(len(chunks))
    kind, inner = chunks[chosen]
    is_packed = kind == b"IDAT" and rng.random() < 0.5

    def seal(changed: bytes) -> bytes:
        made = content[:8]
        for i, (name, body) in enumerate(chunks):
            body = body if i != chosen else zlib.compress(changed, 1) if is_packed else changed
            made += struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        return made

    return zlib.decompress(inner) if is_packed else inner, seal


# Changed.


def mutated(sample: Sample, others: list[Sample], rng: random.Random) -> bytes:
    content, seal = sample.content, bytes
    if sample.unseal and rng.random() < 0.7:
        content, seal = sample.unseal(content, rng)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        content = rng.choice(CHANGES)(content, others, rng)
    return seal(content)


def _slice(content: bytes, rng: random.Random) -> tuple[int, int]:
    start = rng.randrange(len(content) + 1)
    return start, min(len(content), start + int(2 ** rng.uniform(0, 7)))


def change_bytes(content: bytes, _: list[Sample], rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8)) if content else 0):
        changed[rng.randrange(len(changed))] = rng.choice((0, 0xFF, 0x80, rng.randrange(256)))
    return bytes(changed)


def change_bit(content: bytes, _: list[Sample], rng: random.Random) -> bytes:
    changed = bytearray(content)
    if changed:
        changed[rng.randrange(min(len(changed), rng.choice((32, 128, 10**9))))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def put_number(content: bytes, _: list[Sample], rng: random.Random) -> bytes:
    """Over what is there: sizes and places that are nought, negative or enormous."""
    number = rng.choice(NUMBERS) & 0xFFFFFFFF
    form = rng.choice(("<I", ">I", "<H", ">H"))
    packed = struct.pack(form, number & (0xFFFF if form[1] == "H" else 0xFFFFFFFF))
    start = rng.randrange(min(len(content), rng.choice((40, 200, 10**9))) + 1)
    return content[:start] + packed + content[start + len(packed) :]


def put_word(content: bytes, _: list[Sample], rng: random.Random) -> bytes:
    start, end = _slice(content, rng)
    return content[:start] + rng.choice(WORDS) + content[rng.choice((start, end)) :]


def change_digits(content: bytes, _: list[Sample], rng: random.Random) -> bytes:
    """A number in text, such as a header's shape."""
    places = [i for i, byte in enumerate(content[:4096]) if chr(byte).isdigit() and byte < 128]
    if not places:
        return content
    place = rng.choice(places)
    return content[:place] + rng.choice((b"", b"-", b"0", b"9", b"99999", b"1000000000")) + content[place + 1 :]


def change_line(content: bytes, _: list[Sample], rng: random.Random) -> bytes:
    lines = content.split(b"\n")
    place = rng.randrange(len(lines))
    match rng.randrange(3):
        case 0:
            del lines[place]
        case 1:
            lines.insert(rng.randrange(len(lines)), lines[place])
        case _:
            rng.shuffle(lines)
    return b"\n".join(lines)


def cut(content: bytes, _: list[Sample], rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def remove(content: bytes, _: list[Sample], rng: random.Random) -> bytes:
    start, end = _slice(content, rng)
    return content[:start] + content[end:]


def double(content: bytes, _: list[Sample], rng: random.Random) -> bytes:
    start, end = _slice(content, rng)
    return content[:end] + content[start:end] * rng.choice((1, 1, 3, 1000)) + content[end:]


def mix(content: bytes, others: list[Sample], rng: random.Random) -> bytes:
    other = rng.choice(others).content
    return content[: rng.randrange(len(content) + 1)] + other[rng.randrange(len(other)) :]


CHANGES = (
    change_bytes, change_bit, change_bit, put_number, put_number, put_word, put_word, change_digits, change_line, cut,
    remove, double, mix,
)  # fmt: skip


# Read.


class TookTooLong(BaseException):
    """No `Exception`: the readers turn those into sentences."""


@contextmanager
def time_limit() -> Iterator[None]:
    def stop(number: int, _: object) -> None:
        processor, clock = f"{SECONDS} s of processor time", f"{CLOCK_SECONDS} s"
        raise TookTooLong(f"took more than {clock if number == signal.SIGALRM else processor}")

    timers = ((signal.SIGPROF, signal.ITIMER_PROF, SECONDS), (signal.SIGALRM, signal.ITIMER_REAL, CLOCK_SECONDS))
    before = [signal.signal(number, stop) for number, _, _ in timers]
    for _, timer, seconds in timers:
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for (number, timer, _), handler in zip(timers, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)


def complaints(data: ImageSet) -> list[str]:
    """The promises of an `ImageSet` that this one breaks."""
    pixels, n = data.pixels, len(data)
    return [
        promise
        for promise, kept in (
            ("one image at least", n > 0),
            ("(N, H, W[, C]) without an empty side", pixels.ndim in (3, 4) and 0 not in pixels.shape),
            ("bytes or finite floats", pixels.dtype == np.uint8 or bool(np.isfinite(pixels).all())),
            ("uint8 or float32", pixels.dtype in (np.uint8, np.float32)),
            ("a label each, -1 or a class", data.labels.shape == (n,) and data.labels.dtype == np.int64
             and data.labels.min() >= -1 and data.labels.max() < len(data.classes)),
            ("a name each", data.names.shape == (n,) and len(set(data.names.tolist())) == n),
            ("classes that differ and can be written", len(set(data.classes)) == len(data.classes)
             and all(name.strip() and can_be_written(name) for name in data.classes)),
        )
        if not kept
    ]  # fmt: skip


def can_be_written(text: str) -> bool:
    """As UTF-8: half a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def sentence_complaints(text: str) -> list[str]:
    """What is wrong with a sentence to a person: it breaks a line, moves the cursor, or goes on and on."""
    odd = sorted({letter for letter in text if not letter.isprintable()})
    return [f"it holds {odd}"] * bool(odd) + [f"it has {len(text):,} letters"] * (len(text) > LETTERS)


def read(kind: str, path: Path, rng: random.Random) -> str:
    """-> `read` or `refused`. Raises AssertionError where that was not as it should be, and whatever else came."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            with time_limit():
                preparation = rng.choice(PREPARATIONS) if kind != "labels" else None
                data = read_labels(path, IMAGES) if kind == "labels" else load(path, preparation)
            problems, outcome = complaints(data), "read"
        except InputError as error:
            problems, outcome = sentence_complaints(str(error)), "refused"
    for warning in told:
        text = str(warning.message)
        single = warning.category is UserWarning and "has a single label" in text
        if warning.category is not DataNote and not single:
            problems.append(f"{warning.category.__name__} of {warning.filename}: {text}")
        problems += [f"a note: {problem}" for problem in sentence_complaints(text)]
    assert not problems, "; ".join(problems)
    return outcome


SAMPLES = {
    "csv": csv_samples, "labels": label_samples, "idx": idx_samples, "npz": npz_samples, "image": image_samples,
}  # fmt: skip


def fuzz(kind: str, numbers: range, seed: int, folder: Path, keep: Path | None = None) -> Found:
    """Read the files of these numbers, written one by one into `folder`."""
    samples, found = SAMPLES[kind](), Found()
    for i in numbers:
        rng = random.Random(f"{seed} {kind} {i}")
        sample = rng.choice(samples)
        path = folder / f"{kind}{sample.ending}"
        path.write_bytes(content := mutated(sample, samples, rng))
        beside = folder / "idx-labels-idx1-ubyte"
        if kind == "idx":
            beside.write_bytes(mutated(samples[6], samples, rng) if rng.random() < 0.3 else samples[6].content)
        start = time.process_time()
        faulthandler.dump_traceback_later(HARD_SECONDS, exit=True)
        try:
            found.outcomes[read(kind, path, rng)] += 1
        except (Exception, TookTooLong) as error:
            found.outcomes["failed"] += 1
            last = traceback.extract_tb(error.__traceback__)[-1]
            found.failures.append(
                f"{kind} {i} of seed {seed}: {type(error).__name__} at {Path(last.filename).name}:{last.lineno}: "
                f"{str(error)[:500]}"
            )
            if keep:
                (keep / f"{kind}-{seed}-{i}{sample.ending}").write_bytes(content)
        finally:
            faulthandler.cancel_dump_traceback_later()
            path.unlink()
            beside.unlink(missing_ok=True)
        found.longest_seconds = max(found.longest_seconds, time.process_time() - start)
    return found


def peak_memory() -> int:
    """Bytes that this process has held at most."""
    import resource

    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def limit_memory() -> None:
    """A stop for what would take the whole machine; what is measured is `peak_memory`."""
    import resource

    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + 4 * MEMORY, now + 4 * MEMORY))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=100_000, help="in all")
    parser.add_argument("--first", type=int, default=0, help="number of the first of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--keep", type=Path, help="folder for the files that were not read as they should be")
    asked = parser.parse_args()
    if asked.keep:
        asked.keep.mkdir(parents=True, exist_ok=True)
    print(f"seed {asked.seed}", file=sys.stderr)
    for kind in asked.kinds:  # one good file each, so that what is imported is not counted
        with tempfile.TemporaryDirectory() as folder:
            fuzz(kind, range(10**9, 10**9 + 20), asked.seed, Path(folder))
    before = peak_memory()
    limit_memory()
    each, failed = asked.files // len(asked.kinds), False
    for kind in asked.kinds:
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            found = fuzz(kind, range(asked.first, asked.first + each), asked.seed, Path(folder), asked.keep)
        grown = peak_memory() - before
        row = {"kind": kind, "seed": asked.seed, "files": each, **found.outcomes,
               "seconds": round(time.perf_counter() - start), "longest_seconds": round(found.longest_seconds, 2),
               "peak_memory_grew_mb": round(grown / 1e6)}  # fmt: skip
        print(json.dumps(row), flush=True)
        print(*found.failures, sep="\n", end="\n" * bool(found.failures), flush=True)
        failed = failed or bool(found.failures) or grown > MEMORY
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
