"""Work in pieces: made in any order, elsewhere, what comes out is what one process makes in turn."""

import cloudpickle
import pytest

from latently import InputError
from latently.experiments import Bench, find
from latently.runs.cached_work import AtOnce, InTurn, Piece, kept


class Backwards:
    """Workers who begin with the newest piece, of which they see a copy, as in another process."""

    def __init__(self) -> None:
        self.waiting: list[tuple[str, bytes]] = []
        self.told: list[str] = []

    def start(self, piece: Piece) -> None:
        self.waiting.append((piece.name, cloudpickle.dumps(piece)))

    def finished(self) -> str:
        name, copy = self.waiting.pop()
        cloudpickle.loads(copy).run()
        self.told.append(name)
        return name


def square(folder, maker, n):
    """n squared, from the square before: a chain of pieces."""
    before = square(folder, maker, n - 1) if n else 0
    return kept(folder / f"{n}.json", {"n": n}, lambda: before + max(0, 2 * n - 1), maker)


def sums(folder, maker):
    """Two levels of parts, which share pieces."""
    return maker.each(lambda top: sum(maker.each(lambda n: square(folder, maker, n), range(top))), (4, 2, 6))


def test_in_any_order_pieces_give_what_they_give_in_turn(tmp_path):
    workers, heard = Backwards(), []
    at_once = AtOnce(workers, tell=lambda made, known: heard.append((made, known)))
    assert sums(tmp_path / "at once", at_once) == sums(tmp_path / "in turn", InTurn()) == [14, 1, 55]
    names = [f"{tmp_path}/at once/{n}.json" for n in range(6)]
    assert workers.told == names, "each once, and none before what it needs"
    assert heard[-1] == (6, 6)
    assert all(made <= known for made, known in heard)
    assert sums(tmp_path / "at once", AtOnce(workers)) == [14, 1, 55]
    assert workers.told == names, "what is kept is not made again"


def test_parts_that_need_nothing_of_one_another_are_all_started_before_one_is_awaited(tmp_path):
    workers = Backwards()
    maker = AtOnce(workers)
    found = maker.each(lambda n: kept(tmp_path / f"{n}.json", {"n": n}, lambda: n * n, maker), range(5))
    assert found == [0, 1, 4, 9, 16]
    assert workers.told == [f"{tmp_path}/{n}.json" for n in (4, 3, 2, 1, 0)]


def test_outside_of_any_part_a_piece_is_waited_for(tmp_path):
    workers = Backwards()
    assert kept(tmp_path / "x.json", {}, lambda: 7, AtOnce(workers)) == 7
    assert workers.told == [f"{tmp_path}/x.json"]


def test_a_piece_that_asks_for_another_too_late_is_an_error_and_no_second_making(tmp_path):
    maker = AtOnce(Backwards())
    inner = lambda: kept(tmp_path / "inner.json", {}, lambda: 1, maker)  # noqa: E731
    with pytest.raises(RuntimeError, match=r"outer\.json needs .*inner\.json, which must be asked for before it"):
        maker.each(lambda _: kept(tmp_path / "outer.json", {}, inner, maker), [0])


def test_a_piece_that_is_not_seen_where_it_should_be_is_a_sentence(tmp_path):
    maker = AtOnce(Backwards())

    def on_another_disk(_):
        maker.make(str(tmp_path / "x.json"), lambda: None)

    with pytest.raises(InputError, match=r"x\.json was made and is not seen here; with several machines"):
        maker.each(on_another_disk, [0])


def test_what_a_piece_raises_is_raised(tmp_path):
    maker = AtOnce(Backwards())
    with pytest.raises(ZeroDivisionError):
        maker.each(lambda n: kept(tmp_path / f"{n}.json", {}, lambda: 1 / n, maker), [1, 0])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "asked"), [("latent-table", {"codes": (10,)}), ("elbo", {"codes": (2,)})])
def test_a_study_whose_trials_need_one_another(tmp_path, name, asked):
    """Classifiers need codes, codes an encoder; our training takes as many epochs as the study's recipe took."""
    tables = []
    for maker in (InTurn(), AtOnce(Backwards())):
        bench = Bench(tmp_path / type(maker).__name__, "digits", quick=True, seeds=1, maker=maker, **asked)
        rows = find(name).reproduce(bench).rows
        tables.append([{key: value for key, value in row.items() if "seconds" not in key} for row in rows])
    assert tables[0] == tables[1]
