"""Near-duplicates, ours beside perceptual hashes: precision and recall by kind of change, on the same files.

    python benchmarks/twins.py RUN FOLDER [RUN FOLDER ...] [--copies 200] [--limit N] [--out results/twins.json]

Of the images of a FOLDER some are copied, in one way at a time: saved anew as JPEG of quality 50, scaled by half,
brightened by 1.3, cropped by a tenth, mirrored, captioned. `latently similar --duplicates` at its defaults, by pixels
and by codes, beside the perceptual hash of ImageHash (Zauner 2010) at a distance of at most 10 of 64 bits, the default
of imagededup, and at 4. A pair is right if it is an image and its copy; images that were twins before count as wrong.
"""

import argparse
import io
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

from latently.analysis.duplicates import duplicates
from latently.analysis.run_images import RunImages
from latently.data import is_image_path


def recompressed(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=50)
    return Image.open(file)


def half(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return image.resize((max(1, image.width // 2), max(1, image.height // 2)), Image.Resampling.LANCZOS)


def brightened(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(1.3)


def cropped(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A tenth of the width and of the height is cut off, at random from either side."""
    width, height = round(0.9 * image.width), round(0.9 * image.height)
    left, top = rng.integers(image.width - width + 1), rng.integers(image.height - height + 1)
    return image.crop((left, top, left + width, top + height))


def mirrored(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return ImageOps.mirror(image)


def captioned(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A black bar with a number over the lowest 15 %."""
    image, bar = image.copy(), round(0.15 * image.height)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, image.height - bar, image.width, image.height), fill="black")
    font = ImageFont.load_default(size=max(4, 0.8 * bar))
    centre = (image.width / 2, image.height - bar / 2)
    draw.text(centre, f"No. {rng.integers(1000)}", fill="white", anchor="mm", font=font)
    return image


CHANGES = {"jpeg": recompressed, "half": half, "bright": brightened, "cropped": cropped, "mirrored": mirrored,
           "captioned": captioned}  # fmt: skip
HASHES = {"phash 10": 10, "phash 4": 4}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="+", metavar="RUN FOLDER")
    parser.add_argument("--copies", type=int, default=200)
    parser.add_argument("--limit", type=int, help="so many of the images, drawn at random")
    parser.add_argument("--changes", nargs="+", default=list(CHANGES), choices=CHANGES)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "twins.json")
    flags = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for run, folder in zip(flags.pairs[::2], flags.pairs[1::2], strict=True):
        for change in flags.changes:
            with tempfile.TemporaryDirectory() as copied:
                n = copy_images(Path(folder), Path(copied), change, flags.copies, flags.limit)
                for way, (pairs, seconds) in found_by(run, Path(copied)).items():
                    row = {"set": "/".join(Path(folder).parts[-2:]), "n": n, "change": change, "way": way}
                    rows.append(row | judged(pairs, min(flags.copies, n)) | {"processor_s": round(seconds, 1)})
                    print(json.dumps(rows[-1]), flush=True)
    flags.out.write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n")


def copy_images(folder: Path, to: Path, change: str, n_copies: int, limit: int | None) -> int:
    """Write images as 123.png, and copies of the first of them as 123-copy.png; returns how many images there are."""
    rng = np.random.default_rng(0)
    paths = sorted(path for path in folder.rglob("*") if is_image_path(path))
    paths = [paths[place] for place in rng.permutation(len(paths))][:limit]
    for place, path in enumerate(paths):
        image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        image.save(to / f"{place}.png", compress_level=1)
        if place < n_copies:
            CHANGES[change](image, rng).save(to / f"{place}-copy.png", compress_level=1)
    return len(paths)


def found_by(run: str, folder: Path) -> dict[str, tuple[list[tuple[str, str]], float]]:
    """Pairs of names, and processor seconds, of each way."""
    opened = RunImages(Path(run), str(folder), "cpu")
    images = opened.images
    found = {}
    for by in ("pixels", "codes"):
        began = time.process_time()
        pairs = duplicates(opened.estimator, images, by=by)
        named = list(zip(images.names[pairs.first], images.names[pairs.second], strict=True))
        found[by] = named, time.process_time() - began
    began = time.process_time()
    names = np.array([path.name for path in sorted(folder.iterdir())])
    bits = np.array([hash_of(folder / name) for name in names], np.float32)
    apart = bits.sum(1)[:, None] + bits.sum(1) - 2 * bits @ bits.T
    seconds = time.process_time() - began
    for way, most in HASHES.items():
        first, second = np.nonzero(np.triu(apart <= most, 1))
        found[way] = list(zip(names[first], names[second], strict=True)), seconds
    return found


def hash_of(path: Path) -> np.ndarray:
    import imagehash

    return np.asarray(imagehash.phash(Image.open(path)).hash).ravel()


def judged(pairs: list[tuple[str, str]], n_copies: int) -> dict[str, Any]:
    right = sum(a.split(".")[0].split("-")[0] == b.split(".")[0].split("-")[0] for a, b in pairs)
    return {
        "precision": round(right / max(1, len(pairs)), 4),
        "recall": round(right / n_copies, 4),
        "pairs": len(pairs),
    }


if __name__ == "__main__":
    main()
