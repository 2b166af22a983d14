"""Build wheel and sdist, install the wheel into an empty environment outside the checkout, and use it there.

    python .ci/try_release.py                        # with the versions of constraints.txt
    python .ci/try_release.py --lowest               # with the lowest that pyproject.toml promises
    python .ci/try_release.py --python python3.13

It installs from the package index that pip is configured for. `.ci/run` does the first, and with RELEASE=1 the second;
where pip finds no torch for CPUs alone, the second and third fetch gigabytes.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
import urllib.request
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
EXTRAS = ("explorer", "onnx")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--lowest", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        wheel = build(place, arguments.python)
        constraints = lowest(place) if arguments.lowest else ROOT / "constraints.txt"
        run(arguments.python, "-m", "venv", place / "empty", cwd=place)
        python = place / "empty" / "bin" / "python"
        run(python, *PIP, "--constraint", constraints, f"{wheel}[{','.join(EXTRAS)}]", cwd=place)
        use(place, python.with_name("latently"))


PIP = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")


def build(place: Path, python: str) -> Path:
    """Wheel and sdist from a copy of the sources, the wheel from the sdist, so that both are known to be whole."""
    source = place / "source"
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    run(python, "-m", "venv", place / "builder", cwd=place)
    builder = place / "builder" / "bin" / "python"
    run(builder, *PIP, "build", "setuptools>=77", cwd=place)
    words = [builder, "-m", "build", "--outdir", place / "dist", source]
    built = subprocess.run(
        words, cwd=place, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert built.returncode == 0, built.stdout
    (sdist,) = (place / "dist").glob("*.tar.gz")
    (wheel,) = (place / "dist").glob("*.whl")
    files = {
        path.relative_to(source / "src").as_posix() for path in source.glob("src/latently/**/*.*") if path.is_file()
    }
    missing = files - set(zipfile.ZipFile(wheel).namelist())
    assert not missing, f"the wheel lacks {sorted(missing)}"
    print(f"{sdist.name} {sdist.stat().st_size:,} bytes, {wheel.name} {wheel.stat().st_size:,} bytes", flush=True)
    return wheel


def lowest(place: Path) -> Path:
    """A file of constraints with the lower bound of every dependency of pyproject.toml, and of EXTRAS."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"]]
    for extra in EXTRAS:
        wanted += project["optional-dependencies"][extra]
    pairs = [re.match(r"([\w-]+)>=([\w.]+)", each) for each in wanted]
    assert all(pairs), f"a dependency without a lower bound among {wanted}"
    path = place / "lowest.txt"
    path.write_text("".join(f"{pair[1]}=={pair[2]}\n" for pair in pairs if pair))
    return path


def use(place: Path, latently: Path) -> None:
    """What a new user does first: the demo, a few-label classifier, the page in the browser."""
    run(latently, "--version", cwd=place)
    run(latently, "demo", "--out", "runs/demo", cwd=place)
    few = "train few-label --data digits --n-labels 100 --epochs 3 --layers dense(32) --encoder-epochs 3 --out runs/few"
    run(latently, *few.split(), cwd=place)
    run(latently, "evaluate", "runs/few", cwd=place)
    run(latently, "export", "runs/few", "--out", "few.onnx", cwd=place)
    run(latently, *["explore", "runs/few", "--static", "site"], cwd=place)
    explore(place, latently)


def explore(place: Path, latently: Path) -> None:
    words = [latently, *["explore", "runs/few", "--no-open"]]
    server = subprocess.Popen(words, cwd=place, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    assert server.stdout
    with urllib.request.urlopen(server.stdout.readline().strip(), timeout=30) as answer:
        assert b"latently explorer" in answer.read()
    server.send_signal(signal.SIGINT)
    assert server.wait(30) == 0
    print("the explorer answers", flush=True)


ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}


def run(*words: str | Path, cwd: Path) -> None:
    print("$", *words, flush=True)
    subprocess.run([str(word) for word in words], cwd=cwd, env=ENVIRONMENT, check=True)


if __name__ == "__main__":
    main()
