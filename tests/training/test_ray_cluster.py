"""Ray: two local workers give the tables and codes that one process gives, also where one of them is killed."""

import contextlib
import http.server
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from latently.cli.main import main
from latently.data import load

if sys.platform == "win32":
    pytest.skip("Ray on Windows is a beta", allow_module_level=True)
pytest.importorskip("ray", reason="Ray is not installed: pip install 'latently[ray]'")
parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed: pip install 'latently[ray]'")

from latently.analysis import parquet_export  # noqa: E402 (needs pyarrow)

pytestmark = pytest.mark.slow

HEAD = """
import sys, ray
about = ray.init(num_cpus=2, object_store_memory=100_000_000, include_dashboard=False, log_to_driver=False)
print(about.address_info["gcs_address"], flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def head():
    """A cluster of two workers on this machine, in processes of its own: (its first process, host:port)."""
    pipe = subprocess.PIPE
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex())
        process = subprocess.Popen([sys.executable, "-c", HEAD], stdin=pipe, stdout=pipe, text=True)
        yield process, process.stdout.readline().strip()
        process.stdin.close()  # its end is the cluster's
        process.wait(30)


@pytest.fixture(scope="module")
def address(head) -> str:
    return head[1]


def workers_at_work(head: subprocess.Popen) -> list[psutil.Process]:
    """Ray names a process after what it does."""
    return [each for each in psutil.Process(head.pid).children(recursive=True) if "run_alone" in title(each)]


def title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:  # it has ended
        return ""


def test_a_killed_worker_costs_no_finished_trial_and_no_row(head, address, tmp_path):
    study = ["reproduce", "label-curve", "--quick", "--data", "digits", "--seeds", "1", "--json", "--out"]
    command = [sys.executable, "-m", "latently", *study, str(tmp_path / "ray"), "--ray", address]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as running:
        while not (finished := [*(tmp_path / "ray/trials").glob("*.json")]) and running.poll() is None:
            time.sleep(0.02)
        written = {path: path.stat().st_mtime_ns for path in finished}
        while not (at_work := workers_at_work(head[0])) and running.poll() is None:
            time.sleep(0.02)
        assert at_work, running.communicate()
        at_work[0].send_signal(signal.SIGKILL)
        assert len([*(tmp_path / "ray/trials").glob("*.json")]) < 11, "killed in the middle"
        out, err = running.communicate(timeout=200)
    assert running.returncode == 0, err
    assert at_work[0].pid not in psutil.pids()
    assert "13 of 13 pieces made" in err
    assert {path: path.stat().st_mtime_ns for path in finished} == written, "a finished trial is not made again"
    assert main([*study, str(tmp_path / "in turn")]) == 0
    at_once, in_turn = (json.loads((tmp_path / each / "table.json").read_text()) for each in ("ray", "in turn"))
    assert at_once["rows"] == in_turn["rows"] == json.loads(out)["rows"]
    assert at_once["notes"] == in_turn["notes"]


def by_ray(*words: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own: Ray reads its settings once."""
    command = [sys.executable, "-m", "latently", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | variables)


def test_label_curve_of_ones_own_images(latently, address, small_run, tmp_path):
    digits = load("digits")
    np.savez(tmp_path / "few.npz", images=digits.images[:150], labels=digits.labels[:150])
    words = ["label-curve", "--data", tmp_path / "few.npz", "--encoder", small_run, "--draws", 1, "--plain-up-to", 0]
    words += ["--json", "--out"]
    at_once = by_ray(*words, tmp_path / "ray", "--ray", "auto", RAY_ADDRESS=address)
    assert at_once.returncode == 0, at_once.stderr
    assert json.loads(at_once.stdout) == latently(*words, tmp_path / "in turn").json


def test_encoding_in_shards(latently, address, small_run, tmp_path):
    """The very codes of `encode` in one process; what stands is not made again."""
    images = np.concatenate([load("digits").images] * 10)
    np.save(tmp_path / "digits.npy", images)
    words = ["encode", small_run, "--data", tmp_path / "digits.npy", "--out"]
    out = tmp_path / "codes"
    shown = by_ray(*words, out, "--ray", address)
    assert (shown.returncode, shown.stdout) == (0, f"{out}\n"), shown.stderr
    assert latently(*words, tmp_path / "codes.npy").code == 0
    table = parquet.read_table(out)
    assert table.column_names == ["index", "code"]
    assert table["index"].to_pylist() == list(range(len(images)))
    assert np.allclose(np.array(table["code"].to_pylist()), np.load(tmp_path / "codes.npy"), atol=1e-6)
    first, second, third = sorted(out.glob("*.parquet"))
    assert first.name == "codes-00000-of-00003.parquet"
    second.unlink()
    before = first.stat().st_mtime_ns, third.stat().st_mtime_ns
    again = by_ray(*words, out, "--ray", address)
    assert "2 of 3 files exist already" in again.stderr
    assert (first.stat().st_mtime_ns, third.stat().st_mtime_ns) == before
    assert parquet.read_table(out) == table
    np.save(tmp_path / "digits.npy", 255 - images)
    other = latently(*words, out, "--ray", address)
    assert other.code == 2
    assert "contains codes of other images or of another run" in other.err


def test_encoding_a_folder(latently, address, small_run, tmp_path):
    """Names and labels come along. A damaged image ends it with a sentence, and leaves no half a shard."""
    digits, photos = load("digits"), tmp_path / "photos"
    for n in range(30):
        folder = photos / ("even" if n % 2 == 0 else "odd") if n < 20 else photos
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(digits.images[n]).save(folder / f"{n:02}.png")
    (photos / "99.png").write_bytes((photos / "29.png").read_bytes()[:60])
    words = ["encode", small_run, "--data", photos, "--out"]
    out = tmp_path / "codes"
    damaged = by_ray(*words, out, "--ray", address)
    assert damaged.returncode == 2, damaged.stderr
    assert "99.png cannot be read as an image" in damaged.stderr
    assert [path.name for path in out.iterdir()] == [parquet_export.SETTINGS_FILE]
    (photos / "99.png").unlink()
    shutil.rmtree(out)
    assert by_ray(*words, out, "--ray", address).returncode == 0
    assert latently(*words, tmp_path / "codes.npz").code == 0
    rows, plain = parquet.read_table(out).to_pylist(), np.load(tmp_path / "codes.npz")
    assert [row["name"] for row in rows] == plain["names"].tolist()
    assert [row["label"] or "" for row in rows] == plain["labels"].tolist()
    assert np.allclose([row["code"] for row in rows], plain["codes"], atol=1e-6)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("reproduce kl --quick --data digits --ray 127.0.0.1:1", "no Ray cluster answers at 127.0.0.1:1"),
        ("reproduce kl --quick --data digits --ray here", "--ray is 'here'; expected auto, or where a Ray cluster is"),
        ("encode RUN --ray auto", "--ray needs --data, a folder of images or a .npy file"),
        ("encode RUN --data digits --ray auto", "digits cannot be read a range at a time; expected a folder of images"),
        ("encode RUN --data x.npy --part test --ray auto", "--part is test, but --ray encodes all images"),
    ],
)
def test_what_cannot_be_is_a_sentence(latently, small_run, tmp_path, words, sentence):
    asked = latently(*words.replace("RUN", str(small_run)).split(), "--out", tmp_path / "x")
    assert asked.code == 2
    assert sentence in asked.err


@contextlib.contextmanager
def web_server():
    """Its port, at every address of this machine, for Ray asks at another one than 127.0.0.1."""
    with http.server.ThreadingHTTPServer(("0.0.0.0", 0), http.server.SimpleHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@contextlib.contextmanager
def silent_server():
    """The port of a server that never answers."""
    with socket.create_server(("0.0.0.0", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("server", [web_server, silent_server])
def test_the_port_of_another_server_is_a_sentence_within_a_minute(tmp_path, server):
    started = time.monotonic()
    with server() as port:
        where, out = f"127.0.0.1:{port}", tmp_path / "x"
        asked = by_ray("reproduce", "kl", "--quick", "--data", "digits", "--ray", where, "--out", out)
    assert asked.returncode == 2, asked.stderr
    assert f"what answers at {where} is no Ray cluster" in asked.stderr
    assert asked.stderr.count("\n") == 1, asked.stderr
    assert time.monotonic() - started < 60, "alone, Ray tries for 14 minutes"


@pytest.mark.parametrize(
    ("mode", "token", "sentence"),
    [
        ("token", "another", "is no Ray cluster, or one that wants a token (RAY_AUTH_MODE=token, RAY_AUTH_TOKEN)"),
        ("disabled", "", "is no Ray cluster, or one that wants a token (RAY_AUTH_MODE=token, RAY_AUTH_TOKEN)"),
        ("token", "", "Ray did not start (Token authentication is enabled but no authentication token was found"),
    ],
)
def test_a_cluster_wants_its_token(address, tmp_path, mode, token, sentence):
    variables = {"RAY_AUTH_MODE": mode, "RAY_AUTH_TOKEN": token, "HOME": str(tmp_path)}  # HOME may hold a token, too
    asked = by_ray(
        "reproduce", "kl", "--quick", "--data", "digits", "--ray", address, "--out", tmp_path / "x", **variables
    )
    assert asked.returncode == 2, asked.stderr
    assert sentence in asked.stderr
    assert asked.stderr.count("\n") == 1, asked.stderr


def interrupted_after_a_first_trial(out: Path, where: str) -> list[psutil.Process]:
    """A study that Ctrl-C ends -> the processes that it had begun."""
    command = ["reproduce", "kl", "--quick", "--data", "digits", "--seeds", "1", "--ray", where, "--out", str(out)]
    with subprocess.Popen([sys.executable, "-m", "latently", *command], stderr=subprocess.PIPE) as running:
        while not any(out.glob("trials/*/params.json")) and running.poll() is None:
            time.sleep(0.01)
        ours = psutil.Process(running.pid).children(recursive=True)
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    assert b"Traceback" not in err
    return ours


def test_ctrl_c_ends_everything_that_was_begun_for_it(tmp_path):
    _, alive = psutil.wait_procs(interrupted_after_a_first_trial(tmp_path, "auto"), timeout=20)
    assert not alive, [each.name() for each in alive]


def test_ctrl_c_stops_the_work_on_a_cluster_and_leaves_the_cluster(head, address, tmp_path):
    interrupted_after_a_first_trial(tmp_path, address)
    until = time.monotonic() + 20
    while workers_at_work(head[0]) and time.monotonic() < until:
        time.sleep(0.1)
    assert not workers_at_work(head[0])
    assert head[0].poll() is None
