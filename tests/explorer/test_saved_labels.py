"""The file of labels: whole at every moment, shared, and read by `latently train --labels`."""

import threading

import numpy as np
import pytest

from latently.common.errors import InputError
from latently.data import ImageSet, load, read_labels
from latently.explorer import proposals
from latently.explorer.saved_labels import LabelFile


@pytest.fixture(scope="module")
def digits():
    return load("digits")


@pytest.fixture
def everything(digits):
    return np.arange(len(digits))


def at(*points):
    return np.array(points)


def test_every_change_is_on_the_disk_as_train_reads_it(tmp_path, digits, everything):
    path = tmp_path / "labels.csv"
    kept = LabelFile(path, digits)
    kept.change([("7", at(0, 5)), ("3", at(9, 12))], everything)
    read = read_labels(path, digits)
    assert read.label_names[[0, 5, 9, 12]].tolist() == ["7", "7", "3", "3"]
    assert (read.labels >= 0).sum() == 4
    assert not list(tmp_path.glob(".*")), "a temporary file was left"


def test_what_undoes_a_change_comes_with_it(tmp_path, digits, everything):
    kept = LabelFile(tmp_path / "labels.csv", digits)
    kept.change([("7", at(0, 5))], everything)
    before = kept.change([("1", at(5, 6))], everything)["before"]
    state = kept.change([(group["label"], at(*group["points"])) for group in before], everything)
    assert state["labels"] == [{"label": "7", "points": [0, 5]}]


def test_two_tabs_and_another_program_do_not_undo_each_other(tmp_path, digits, everything):
    path = tmp_path / "labels.csv"
    one, other = LabelFile(path, digits), LabelFile(path, digits)
    one.change([("7", at(0))], everything)
    other.change([("3", at(1))], everything)
    one.change([("5", at(2))], everything)
    assert one.state(everything)["labels"] == [{"label": str(k), "points": [p]} for k, p in ((3, 1), (5, 2), (7, 0))]
    path.write_text("image,label\n4,by hand\n")
    assert other.state(everything)["labels"] == [{"label": "by hand", "points": [4]}]


def test_changes_at_once_all_arrive(tmp_path, digits, everything):
    kept = LabelFile(tmp_path / "labels.csv", digits)
    threads = [threading.Thread(target=kept.change, args=([(f"{i % 5}", at(i))], everything)) for i in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(LabelFile(kept.path, digits).labels) == 40


def test_two_servers_of_one_file_wait_for_each_other(tmp_path, digits, everything):
    one, other = (LabelFile(tmp_path / "labels.csv", digits) for _ in range(2))
    threads = [
        threading.Thread(target=(one, other)[i % 2].change, args=([(f"{i % 5}", at(i))], everything)) for i in range(40)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(LabelFile(one.path, digits).labels) == 40, "a server overwrote what the other had just written"


def test_labels_of_images_that_are_not_shown_stay(tmp_path, digits):
    (tmp_path / "labels.csv").write_text("image,label\n1000,4\n")
    kept = LabelFile(tmp_path / "labels.csv", digits)
    shown = np.array([3, 8])
    state = kept.change([("2", at(8))], shown)
    assert state["labels"] == [{"label": "2", "points": [1]}], "points are places among the shown"
    assert LabelFile(kept.path, digits).labels == {8: "2", 1000: "4"}


def test_odd_names_come_back(tmp_path):
    names = np.array(["a,b.png", 'say "x".png', " spaced.png", "line\nbreak.png", "c/d.png", "-1"])
    images = ImageSet(np.zeros((6, 2, 2), np.uint8), np.full(6, -1), (), names, "here")
    kept = LabelFile(tmp_path / "labels.csv", images)
    kept.change([(f"class {i}", at(i)) for i in range(6)], np.arange(6))
    assert LabelFile(kept.path, images).labels == {i: f"class {i}" for i in range(6)}


def test_import_adds_and_export_can_add_the_sources_own(tmp_path, digits, everything):
    kept = LabelFile(tmp_path / "labels.csv", digits)
    kept.change([("7", at(0))], everything)
    kept.take(b"image,label\n0,8\n1,9\n", everything)
    assert kept.labels == {0: "8", 1: "9"}
    assert kept.text().splitlines() == ["image,label", "0,8", "1,9"]
    own = kept.text(with_own=True).splitlines()
    assert len(own) == len(digits) + 1
    assert own[1] == "0,8", "a label given here wins over the source's"


def test_a_file_of_other_images_is_left_alone(tmp_path, digits):
    path = tmp_path / "labels.csv"
    path.write_text("image,label\ncat.png,cat\n")
    with pytest.raises(InputError, match=r"no image 'cat\.png'"):
        LabelFile(path, digits)
    assert "cat.png" in path.read_text()


# What to label next


@pytest.fixture
def unlabelled(scene_of, tmp_path):
    scene = scene_of("vae")
    return scene, LabelFile(tmp_path / "labels.csv", scene.all_images)


def test_centres_of_clusters_show_many_classes(unlabelled):
    scene, kept = unlabelled
    points = proposals.propose("clusters", 40, scene, kept)
    assert len(set(points.tolist())) == len(points) > 30
    shown = set(scene.images.labels[points].tolist())
    assert len(shown) >= 9, f"40 centres show the digits {sorted(shown)} alone"


def test_of_codes_that_are_all_alike_one_is_enough():
    assert len(proposals.centres(np.zeros((50, 3), np.float32), 20)) == 1


def test_the_least_certain_are_not_one_image_many_times():
    """Thirty copies lead the list of margins; the next best are elsewhere."""
    rng = np.random.default_rng(0)
    codes = np.concatenate([np.zeros((30, 2)), rng.normal(size=(170, 2))]).astype(np.float32)
    chosen = proposals.apart(np.linspace(0, 1, 200), codes, 10)
    assert (chosen < 30).sum() <= 1
    assert chosen.max() < 100, "not among the ten times as many least certain"


def test_the_least_certain_lie_between_classes(unlabelled):
    """Labels of two digits that lie apart: what is proposed is less clear than what is not, and carries no label."""
    scene, kept = unlabelled
    with pytest.raises(InputError, match="two classes"):
        proposals.propose("uncertain", 5, scene, kept)
    for digit in (0, 1, 4, 7):
        kept.change([(str(digit), np.flatnonzero(scene.images.labels == digit)[:10])], scene.shown)
    points = proposals.propose("uncertain", 30, scene, kept)
    known = kept.known()
    assert not any(known[points])
    rest = np.setdiff1d(np.flatnonzero(known == ""), points)
    assert proposals.margins(scene, known, points).max() <= np.median(proposals.margins(scene, known, rest))
