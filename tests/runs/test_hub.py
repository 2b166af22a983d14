"""Runs on the Hugging Face hub: what is sent, what is fetched, and that neither is more.

By a stand-in for its client; and by the client itself, where it is installed, with a server on this machine.
"""

import base64
import fnmatch
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import latently
from latently import AE, Autoencoder, Network
from latently.cli.main import main
from latently.common.errors import InputError
from latently.data import load
from latently.models import pretrained
from latently.runs import hub
from latently.runs.folder import Run

DIGITS = load("digits").images[:100]


@pytest.fixture
def repositories(tmp_path, monkeypatch):
    """Folders in place of the hub, by the calls of its client that are used."""
    stored = tmp_path / "hub"

    class HfApi:
        def create_repo(self, repo_id, *, private, exist_ok):
            (stored / repo_id).mkdir(parents=True, exist_ok=exist_ok)
            return f"https://huggingface.co/{repo_id}"

        def upload_folder(self, *, repo_id, folder_path, commit_message, delete_patterns):
            for name in delete_patterns:
                (stored / repo_id / name).unlink(missing_ok=True)
            shutil.copytree(folder_path, stored / repo_id, dirs_exist_ok=True)

    def snapshot_download(repo_id, *, revision, allow_patterns):
        if not (stored / repo_id).is_dir():
            raise OSError(f"404 Client Error: {repo_id}\nmore")
        cache = tmp_path / "cache" / repo_id
        for path in (stored / repo_id).rglob("*"):
            name = path.relative_to(stored / repo_id).as_posix()
            if path.is_file() and any(fnmatch.fnmatch(name, pattern) for pattern in allow_patterns):
                (cache / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, cache / name)
        return str(cache)

    client = SimpleNamespace(HfApi=HfApi, snapshot_download=snapshot_download, __spec__=SimpleNamespace())
    monkeypatch.setitem(sys.modules, "huggingface_hub", client)
    return stored


@pytest.fixture
def run(tmp_path):
    """As the command line leaves it after some use."""
    folder = tmp_path / "run"
    Autoencoder(AE(3, Network("dense(8)")), epochs=1, random_state=0).fit(DIGITS).save(folder)
    params = json.loads((folder / "params.json").read_text())
    params |= {"command": "latently train ae --data /home/me/secret/birds", "options": {"labels": "/home/me/x.csv"}}
    data = {"source": "/home/me/secret/birds", "split": "random", "seed": 0}
    (folder / "params.json").write_text(json.dumps(params | {"data": data}))
    Run(folder).write_metrics({"data": "/home/me/secret/birds", "split": "test", "psnr_db": 12.5})
    for name in ("labels.csv", "split.json", "train.log", "report.html", "figures/reconstructions.png", "weights.pt"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("/home/me")
    return folder


def test_a_shared_run_loads_and_makes_the_same_codes(repositories, run, capsys):
    assert main(["share", str(run), "--to", "someone/digits"]) == 0
    assert capsys.readouterr().out.strip() == "https://huggingface.co/someone/digits"
    theirs = latently.load("hf://someone/digits")
    np.testing.assert_array_equal(theirs.transform(DIGITS), latently.load(run).transform(DIGITS))


def test_nothing_is_sent_that_shows_images_or_the_machine(repositories, run):
    latently.share(run, "someone/digits")
    sent = sorted(path.relative_to(repositories / "someone/digits").as_posix() for path in repositories.rglob("*.*"))
    assert sent == ["README.md", "history.csv", "metrics.json", "model.safetensors", "params.json"]
    for path in repositories.rglob("*.*"):
        assert b"/home/me" not in path.read_bytes(), f"{path.name} holds a path of the machine"
        assert b"secret" not in path.read_bytes()
    card = (repositories / "someone/digits/README.md").read_text()
    assert card.startswith("---\nlibrary_name: latently\n")
    assert 'latently.load("hf://someone/digits")' in card
    assert "birds" in card
    assert "12.50 | dB" in card or "12.5 | dB" in card


def test_what_was_removed_from_the_run_is_removed_from_the_hub(repositories, run):
    latently.share(run, "someone/digits")
    (run / "metrics.json").unlink()
    latently.share(run, "someone/digits")
    assert not (repositories / "someone/digits/metrics.json").exists()


def test_of_a_strangers_repository_only_files_of_a_run_are_fetched(repositories, run, tmp_path):
    latently.share(run, "evil/digits")
    there = repositories / "evil/digits"
    for name in ("evil.py", "sitecustomize.py", "model.pt", "prior/evil.pkl", "encoder/__init__.py", "params.json.py"):
        (there / name).parent.mkdir(exist_ok=True)
        (there / name).write_text("raise SystemExit('code of a stranger')")
    folder = hub.fetched("hf://evil/digits")
    fetched = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert fetched == ["history.csv", "metrics.json", "model.safetensors", "params.json"]
    for name in hub.NAMES:
        assert ".." not in name
        assert not Path(name).is_absolute()
        assert not set("*?[") & set(name), "a pattern, which would match more than one file"


def test_a_strangers_params_choose_neither_a_class_nor_a_place(repositories, run):
    params = json.loads((run / "params.json").read_text())
    for change in ({"estimator": "os.system"}, {"model": params["model"] | {"name": "os.system"}}):
        (run / "params.json").write_text(json.dumps(params | change))
        latently.share(run, "evil/digits")
        with pytest.raises(InputError):
            latently.load("hf://evil/digits")
    for name in ("hf-hub:evil/net", "hf_hub:evil/net", "local-dir:/etc"):
        with pytest.raises(InputError, match="names a place"):
            pretrained.create(name)


WRONG = ["hf://", "hf://a", "hf://a/b/c", "hf://../x y", "hf://../..", "hf://a/b@", "hf://a/b@../c", "hf://a/b?x=1"]


@pytest.mark.parametrize("address", WRONG)
def test_an_address_is_owner_and_name(address):
    with pytest.raises(InputError, match="expected owner/name"):
        hub.parsed(address)


def test_errors_are_one_sentence(repositories, run, capsys, monkeypatch):
    with pytest.raises(InputError, match=r"hf://no/one is not to be had .*\(404 Client Error: no/one\)"):
        latently.load("hf://no/one")
    (run / "model.safetensors").unlink()
    assert main(["share", str(run), "--to", "someone/digits"]) == 2
    assert "is not finished" in capsys.readouterr().err
    monkeypatch.setattr("latently.common.errors.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'latently\[hub\]'"):
        latently.load("hf://someone/digits")


class Hub(BaseHTTPRequestHandler):
    """As much of the hub's protocol as one upload and one download take; files are kept by name in `files`."""

    files: dict[str, bytes]
    commit = "1" * 40

    def answer(self, body, headers=(), status=200):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in [*headers, ("Content-Length", str(len(body)))]:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_POST(self):
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/api/repos/create":
            self.answer({"url": "https://huggingface.co/someone/digits"})
        elif self.path == "/api/validate-yaml":  # of the card
            self.answer({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            names = [file["path"] for file in json.loads(sent)["files"]]
            modes = [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in names]
            self.answer({"files": modes})
        elif "/commit/" in self.path:
            for line in map(json.loads, sent.splitlines()):
                if line["key"] == "file":
                    self.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            self.answer({"commitUrl": "https://huggingface.co/someone/digits/commit/1", "commitOid": self.commit})
        else:
            self.answer({"error": self.path}, status=404)

    def do_GET(self):
        name = self.path.partition(f"/resolve/{self.commit}/")[2]
        if name in self.files:
            tag = hashlib.sha1(self.files[name]).hexdigest()
            self.answer(self.files[name], [("ETag", f'"{tag}"'), ("X-Repo-Commit", self.commit)])
        elif "/tree/" in self.path:
            sizes = {name: len(text) for name, text in self.files.items()}
            self.answer([{"type": "file", "path": name, "size": size, "oid": "0"} for name, size in sizes.items()])
        elif self.path.startswith("/api/models/"):
            siblings = [{"rfilename": name} for name in self.files]
            about = {"id": "someone/digits", "sha": self.commit, "private": False, "tags": [], "siblings": siblings}
            self.answer(about | {"downloads": 0, "likes": 0})
        else:
            self.answer({"error": self.path}, status=404)

    do_HEAD = do_GET

    def log_message(self, *words):
        pass


@pytest.mark.slow
def test_the_hubs_own_client_sends_and_fetches_a_run(run, tmp_path):
    """In a process of its own: the client reads the hub's address when it is imported."""
    if find_spec("huggingface_hub") is None:
        pytest.skip("the hub's client is not installed")
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Server", (Hub,), {"files": {"evil.py": b"raise SystemExit"}}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    ours = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": "hf_none", "HF_HUB_DISABLE_XET": "1"}
    program = (
        "import sys, latently; latently.share(sys.argv[1], 'someone/digits')\n"
        "print(latently.load('hf://someone/digits').net_.encoder)"
    )
    words = [sys.executable, "-c", program, str(run)]
    done = subprocess.run(words, env=os.environ | ours, capture_output=True, text=True)
    server.shutdown()
    assert done.returncode == 0, done.stderr
    assert "Linear" in done.stdout
    fetched = sorted(path.name for path in (tmp_path / "home").rglob("snapshots/*/*"))
    assert fetched == ["history.csv", "metrics.json", "model.safetensors", "params.json"]
