"""A watched folder: every file once in the CSV, whatever is killed, cut off, damaged or not yet complete."""

import csv
import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from commands import start, wait_for

from latently.analysis import watch as watch_room
from latently.analysis.run_images import RunImages
from latently.analysis.watch import BLOCK, Drift, Journal, watch
from latently.common.errors import InputError, printable
from latently.data import load
from latently.runs.outputs import write_images

DIGITS = load("digits")
COLUMNS = ["name", "time", "minus_patch_distance", "problem"]


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", errors="surrogateescape") as file:
        return list(csv.DictReader(file))


def write(folder: Path, start: int, end: int) -> None:
    """Digits as PNG, as if they had been there for a while."""
    names = np.array([f"{place}.png" for place in range(start, end)])
    write_images(folder, names, DIGITS.images[np.arange(start, end) % len(DIGITS)] / 255)
    for name in names:
        old(folder / name)


def old(path: Path) -> None:
    os.utime(path, (time.time() - 60, time.time() - 60))


def once(run: Path, folder: Path, out: Path) -> list[str]:
    told: list[str] = []
    watch(RunImages(run, None, "cpu"), folder, out, 0.01, True, told.append)
    return told


def test_each_file_has_the_score_that_the_command_score_gives(small_run, tmp_path, latently):
    write(tmp_path / "in", 0, 20)
    once(small_run, tmp_path / "in", tmp_path / "w.csv")
    assert latently("score", small_run, "--data", tmp_path / "in", "--out", tmp_path / "s.csv").code == 0
    scored = {row["name"]: float(row["minus_patch_distance"]) for row in rows_of(tmp_path / "s.csv")}
    watched = {row["name"]: float(row["minus_patch_distance"]) for row in rows_of(tmp_path / "w.csv")}
    assert watched == pytest.approx(scored, abs=1e-4)
    assert len(watched) == 20


def test_a_second_time_does_only_what_is_new(small_run, tmp_path, latently):
    folder, out = tmp_path / "in", tmp_path / "w.csv"
    write(folder, 0, 5)
    once(small_run, folder, out)
    before = out.read_bytes()
    write(folder / "sub", 5, 8)
    ran = latently("watch", small_run, "--data", folder, "--out", out, "--once")
    assert ran.code == 0
    assert out.read_bytes().startswith(before)
    assert "8 files are in" in ran.out
    assert sorted(row["name"] for row in rows_of(out))[-3:] == ["sub/5.png", "sub/6.png", "sub/7.png"]


def test_a_file_of_rows_that_was_cut_anywhere_goes_on_with_whole_rows(tmp_path):
    """What kill -9 can leave: the file's first n bytes, for every n; a name may hold line ends and other bytes."""
    names, about = ["a.png", 'b"\n,".png', "c\r.png", "d\udce9.png"], {"folder": "in", "weights": "w"}
    rows = [{"name": name, "time": "t", "minus_patch_distance": -1.5, "problem": ""} for name in names]
    with Journal(tmp_path / "whole.csv", COLUMNS, about, "minus_patch_distance") as journal:
        journal.append(rows)
    content = (tmp_path / "whole.csv").read_bytes()
    for end in range(len(content) + 1):
        cut = tmp_path / "cut.csv"
        cut.write_bytes(content[:end])
        with Journal(cut, COLUMNS, about, "minus_patch_distance") as journal:
            journal.append([row for row in rows if printable(row["name"]) not in journal.done])
        assert cut.read_bytes() == content, f"cut after {end} bytes"


def test_what_is_no_image_and_what_is_damaged_is_told(small_run, tmp_path, capsys):
    folder, out = tmp_path / "in", tmp_path / "w.csv"
    write(folder, 0, 3)
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden.png").write_text("no image")
    content = (folder / "0.png").read_bytes()
    for name, part in (("half.png", content[: len(content) // 2]), ("empty.png", b""), ("text.jpg", b"no image")):
        (folder / name).write_bytes(part)
        old(folder / name)
    told = once(small_run, folder, out)
    rows = {row["name"]: row for row in rows_of(out)}
    assert sorted(rows) == ["0.png", "1.png", "2.png", "empty.png", "half.png", "text.jpg"]
    assert all(bool(row["problem"]) == (row["minus_patch_distance"] == "") for row in rows.values())
    assert [name for name in sorted(rows) if rows[name]["problem"]] == ["empty.png", "half.png", "text.jpg"]
    assert "of which 3 cannot be read" in told[-1]
    assert ".txt" in capsys.readouterr().err


def test_a_file_that_is_still_being_written_is_waited_for(small_run, tmp_path, monkeypatch):
    monkeypatch.setattr(watch_room, "SETTLED", 0.1)
    folder, out = tmp_path / "in", tmp_path / "w.csv"
    write(folder, 0, 2)
    content = (folder / "1.png").read_bytes()
    (folder / "1.png").write_bytes(content[:40])  # now

    def complete() -> None:
        time.sleep(0.4)
        (folder / "1.png").write_bytes(content)

    writer = threading.Thread(target=complete)
    writer.start()
    once(small_run, folder, out)
    writer.join()
    assert [(row["name"], row["problem"]) for row in rows_of(out)] == [("0.png", ""), ("1.png", "")]


def test_rows_of_other_folders_weights_and_programs_are_left_alone(small_run, tmp_path):
    write(tmp_path / "in", 0, 2)
    write(tmp_path / "other", 0, 2)
    out = tmp_path / "w.csv"
    once(small_run, tmp_path / "in", out)
    with pytest.raises(InputError, match=r"holds files of another folder, .*in; give another --out"):
        once(small_run, tmp_path / "other", out)
    with (
        pytest.raises(InputError, match="what other weights said"),
        Journal(out, COLUMNS, {"folder": str(tmp_path / "in"), "weights": "w"}, "minus_patch_distance"),
    ):
        pass
    (tmp_path / "own.csv").write_text("image,label\n")
    with pytest.raises(InputError, match="was not written by latently watch"):
        once(small_run, tmp_path / "in", tmp_path / "own.csv")
    assert (tmp_path / "own.csv").read_text() == "image,label\n"


def test_two_do_not_write_one_file(tmp_path):
    about = {"folder": "in", "weights": "w"}
    with (
        Journal(tmp_path / "w.csv", COLUMNS, about, "minus_patch_distance"),
        pytest.raises(InputError, match="another latently watch"),
    ):
        Journal(tmp_path / "w.csv", COLUMNS, about, "minus_patch_distance").__enter__()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [("--data nowhere", "expected a folder"), ("--data . --every 0", "--every is 0"), ("--data . --out a.npz", ".csv")],
)
def test_bad_input_is_one_sentence(small_run, tmp_path, latently, monkeypatch, words, sentence):
    monkeypatch.chdir(tmp_path)
    ran = latently("watch", small_run, *words.split(), "--once")
    assert ran.code == 2
    assert sentence in ran.err
    assert len(ran.err.splitlines()) == 1


def test_a_few_label_run_scores_and_classifies(tmp_path, latently):
    words = "train few-label --data digits --limit 300 --n-labels 100 --layers dense(16) --encoder-epochs 2 --epochs 2"
    assert latently(*words.split(), "--out", tmp_path / "few").code == 0
    write(tmp_path / "in", 0, 12)
    assert latently("watch", tmp_path / "few", "--data", tmp_path / "in", "--once").code == 0
    rows = rows_of(tmp_path / "few" / "watch.csv")
    assert {row["class"] for row in rows} <= set(DIGITS.classes)
    assert all(float(row["minus_patch_distance"]) < 0 < float(row["probability"]) <= 1 for row in rows)


# Drift


def test_drift_is_called_at_its_level_and_found():
    rng = np.random.default_rng(0)
    lines = [line for _ in range(500) for line in Drift(rng.normal(size=1000), []).add(rng.normal(size=BLOCK).tolist())]
    n_false = sum(line.startswith("DRIFT") for line in lines)
    assert n_false <= 14, f"{n_false} of 500 blocks without drift were called so, at the level of 1%"
    moved = list(Drift(rng.normal(size=1000), []).add((rng.normal(size=BLOCK) + 0.3).tolist()))
    assert [line.startswith("DRIFT") for line in moved] == [True]


def test_blocks_go_on_where_an_earlier_process_ended():
    values = np.random.default_rng(0).normal(size=3 * BLOCK + 7).tolist()
    reference = np.arange(100.0)
    straight = list(Drift(reference, []).add(values))
    resumed = list(Drift(reference, values[: BLOCK + 100]).add(values[BLOCK + 100 :]))
    assert resumed == straight[1:]


def test_darkened_images_drift(small_run, tmp_path):
    folder = tmp_path / "in"
    write_images(folder, np.array([f"{i}.png" for i in range(100)]), DIGITS.images[:100] / 255 / 3)
    for path in folder.iterdir():
        old(path)
    told = once(small_run, folder, tmp_path / "w.csv")
    assert "; DRIFT in the last 100 at the level of 1%" in told[-1]


# Kills


def killed(run: Path, folder: Path, out: Path, n_files: int, kills: int, seconds: float) -> float:
    """Watch `folder` while files come in for `seconds`, with kill -9 that many times; until all have a row. -> seconds
    from the last file to its row."""
    whole = [path.read_bytes() for path in sorted((folder.parent / "all").iterdir())]
    began = time.monotonic()

    def send() -> None:
        """Every tenth file in two halves, as slow disks and networks write them."""
        late: list[tuple[Path, bytes]] = []
        for place in range(n_files):
            time.sleep(max(0.0, began + seconds * place / n_files - time.monotonic()))
            path, content = folder / f"{place}.png", whole[place % len(whole)]
            if place % 10:
                path.write_bytes(content)
                continue
            late.append((path, content))
            path.write_bytes(content[:50])
            if len(late) > 5:
                before, rest = late.pop(0)
                before.write_bytes(rest)
        for path, content in late:
            path.write_bytes(content)

    def n_rows() -> int:
        return out.read_bytes().count(b"\n") if out.exists() else 0

    sender = threading.Thread(target=send)
    sender.start()
    command = f"watch {run} --data {folder} --every 0.1"
    for kill in range(kills):
        process, before = start(out, command), n_rows()
        wait_for(lambda kill=kill, before=before: n_rows() > max(before, n_files * kill // (kills + 1)), process)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    process = start(out, command)
    wait_for(lambda: not sender.is_alive(), process)
    last = time.monotonic()
    wait_for(lambda: n_rows() > n_files, process)
    late = time.monotonic() - last
    process.kill()
    process.join()
    return late


def require_each_once(out: Path, n_files: int) -> None:
    rows = rows_of(out)
    counts = Counter(row["name"] for row in rows)
    assert len(counts) == n_files, "a file was lost"
    assert set(counts.values()) == {1}, "a file was done twice"
    assert not any(row["problem"] for row in rows)


def test_killed_twice_every_file_is_there_once(small_run, tmp_path):
    write(tmp_path / "all", 0, 50)
    (tmp_path / "in").mkdir()
    killed(small_run, tmp_path / "in", tmp_path / "w.csv", n_files=200, kills=2, seconds=1.0)
    require_each_once(tmp_path / "w.csv", 200)


@pytest.mark.slow
def test_killed_five_times_in_a_load_of_6000_every_file_is_there_once(small_run, tmp_path):
    """100 files a second for a minute."""
    write(tmp_path / "all", 0, 500)
    (tmp_path / "in").mkdir()
    late = killed(small_run, tmp_path / "in", tmp_path / "w.csv", n_files=6000, kills=5, seconds=60.0)
    print(f"the last row was there {late:.1f} s after its file")
    require_each_once(tmp_path / "w.csv", 6000)
