"""Cached jobs: run in any order, elsewhere, they leave the results that one process leaves in sequence."""

import cloudpickle
import pytest

from latently import InputError
from latently.experiments import Bench, find
from latently.runs.cached_work import Job, Parallel, Sequential, cached


class LastFirst:
    """Workers that begin with the newest job, of which they see a copy, as in another process."""

    def __init__(self) -> None:
        self.waiting: list[tuple[str, bytes]] = []
        self.ran: list[str] = []

    def start(self, job: Job) -> None:
        self.waiting.append((job.name, cloudpickle.dumps(job)))

    def finished(self) -> str:
        name, copy = self.waiting.pop()
        cloudpickle.loads(copy).run()
        self.ran.append(name)
        return name


def square(folder, executor, n):
    """n squared, from the square before: a chain of jobs."""
    before = square(folder, executor, n - 1) if n else 0
    return cached(folder / f"{n}.json", {"n": n}, lambda: before + max(0, 2 * n - 1), executor)


def sums(folder, executor):
    """Two levels of `map`, which share jobs."""
    return executor.map(lambda top: sum(executor.map(lambda n: square(folder, executor, n), range(top))), (4, 2, 6))


def test_in_any_order_jobs_give_the_results_of_a_sequence(tmp_path):
    workers, heard = LastFirst(), []
    parallel = Parallel(workers, progress=lambda done, known: heard.append((done, known)))
    assert sums(tmp_path / "parallel", parallel) == sums(tmp_path / "sequential", Sequential()) == [14, 1, 55]
    names = [f"{tmp_path}/parallel/{n}.json" for n in range(6)]
    assert workers.ran == names, "each once, and none before what it needs"
    assert heard[-1] == (6, 6)
    assert all(done <= known for done, known in heard)
    assert sums(tmp_path / "parallel", Parallel(workers)) == [14, 1, 55]
    assert workers.ran == names, "what is cached does not run again"


def test_independent_jobs_are_all_started_before_one_is_awaited(tmp_path):
    workers = LastFirst()
    executor = Parallel(workers)
    found = executor.map(lambda n: cached(tmp_path / f"{n}.json", {"n": n}, lambda: n * n, executor), range(5))
    assert found == [0, 1, 4, 9, 16]
    assert workers.ran == [f"{tmp_path}/{n}.json" for n in (4, 3, 2, 1, 0)]


def test_outside_of_map_a_job_is_waited_for(tmp_path):
    workers = LastFirst()
    assert cached(tmp_path / "x.json", {}, lambda: 7, Parallel(workers)) == 7
    assert workers.ran == [f"{tmp_path}/x.json"]


def test_a_job_that_asks_for_another_too_late_is_an_error_and_does_not_run_it(tmp_path):
    executor = Parallel(LastFirst())
    inner = lambda: cached(tmp_path / "inner.json", {}, lambda: 1, executor)  # noqa: E731
    with pytest.raises(RuntimeError, match=r"outer\.json needs .*inner\.json, which must be requested before it"):
        executor.map(lambda _: cached(tmp_path / "outer.json", {}, inner, executor), [0])


def test_a_result_that_does_not_appear_on_this_disk_is_an_input_error(tmp_path):
    executor = Parallel(LastFirst())

    def on_another_disk(_):
        executor.run(str(tmp_path / "x.json"), lambda: None)

    with pytest.raises(InputError, match=r"a worker wrote .*x\.json, but this machine does not see it; with several"):
        executor.map(on_another_disk, [0])


def test_what_a_job_raises_is_raised(tmp_path):
    executor = Parallel(LastFirst())
    with pytest.raises(ZeroDivisionError):
        executor.map(lambda n: cached(tmp_path / f"{n}.json", {}, lambda: 1 / n, executor), [1, 0])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "asked"), [("latent-table", {"codes": (10,)}), ("elbo", {"codes": (2,)})])
def test_a_study_whose_trials_need_one_another(tmp_path, name, asked):
    """Classifiers need codes, codes an encoder; our training takes as many epochs as the study's recipe took."""
    tables = []
    for executor in (Sequential(), Parallel(LastFirst())):
        bench = Bench(tmp_path / type(executor).__name__, "digits", quick=True, seeds=1, executor=executor, **asked)
        rows = find(name).reproduce(bench).rows
        tables.append([{key: value for key, value in row.items() if "seconds" not in key} for row in rows])
    assert tables[0] == tables[1]
