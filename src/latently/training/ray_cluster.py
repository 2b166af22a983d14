"""Ray: work in many processes, on this machine or on others. Only `analysis/parquet_export` and `cli` import it.

Pieces of work travel to Ray's workers, images once to each machine; results are files on a disk that all share.
"""

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import fields
from typing import Any

from latently.common.errors import InputError, require
from latently.data import ImageSet
from latently.runs.cached_work import Job, Parallel

RETRIES = 3  # of a piece that loses its worker; it goes on from its checkpoint
GPU_SHARE = 0.25  # of a GPU for a piece, where there is one: small nets leave most of it idle
ANSWER_SECONDS = 5
# Ray reads these on import. By default it tries 20 times, for 41 s each, where the port is another server's; with them
# it gives up after 16 s. One try is enough for a port that is open.
ONE_TRY = {"RAY_NUM_REDIS_GET_RETRIES": "1", "RAY_py_gcs_connect_timeout_s": str(ANSWER_SECONDS)}
ADVICE = "start one there with ray start --head, or give --ray auto"


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Inside, Ray is at work: the cluster at `address`, host:port. `auto`: that of RAY_ADDRESS, else the one that
    `ray start` left running here, else this machine's cores, for as long as the block lasts. Prints go to stderr.

    Raises InputError where none answers.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # the rest is in its log files
    if address != "auto":
        require_open_port(address)
        for name, value in ONE_TRY.items():
            os.environ.setdefault(name, value)
    logging.getLogger("ray").setLevel(logging.ERROR)
    import ray

    try:
        with still():
            ray.init(
                None if address == "auto" else address,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        if address != "auto" and isinstance(error, ConnectionError):
            raise InputError(
                f"what answers at {address} is no Ray cluster, or one that wants a token (RAY_AUTH_MODE=token, "
                f"RAY_AUTH_TOKEN); {ADVICE}"
            ) from None
        reason = " ".join(str(error).split())
        raise InputError(
            f"Ray did not start ({reason}); a cluster wants the versions of Ray and Python that it has itself, and its "
            "token where it has one: RAY_AUTH_MODE=token, RAY_AUTH_TOKEN"
        ) from None
    try:
        with images_sent_once(), redirect_stdout(sys.stderr):  # where Ray tells of lost workers: stdout is for figures
            yield
    finally:
        ray.shutdown()


@contextmanager
def still() -> Iterator[None]:
    """Inside, stderr of code other than Python is discarded: Ray's C++ prints its logging setup."""
    sys.stderr.flush()
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)


def require_open_port(address: str) -> None:
    """Raise InputError unless something listens at the address: Ray would retry for minutes."""
    host, _, port = address.rpartition(":")
    form = bool(host) and port.isdigit() and "/" not in host
    require(form, f"--ray is {address!r}; expected auto, or where a Ray cluster is, as host:port")
    try:
        socket.create_connection((host, int(port)), ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"no Ray cluster answers at {address} ({error}); {ADVICE}") from None


@contextmanager
def images_sent_once() -> Iterator[None]:
    """Inside, an `ImageSet` that work refers to is sent once, and workers of one machine share its memory."""
    import ray
    from ray.util import deregister_serializer, register_serializer

    sent: dict[int, tuple[ImageSet, Any]] = {}  # the set too, so that no other one gets its id

    def send(images: ImageSet) -> Any:
        if id(images) not in sent:
            sent[id(images)] = images, ray.put({each.name: getattr(images, each.name) for each in fields(images)})
        return sent[id(images)][1]

    def receive(reference: Any) -> ImageSet:
        values: Any = ray.get(reference)
        return ImageSet(**values)

    register_serializer(ImageSet, serializer=send, deserializer=receive)
    try:
        yield
    finally:
        deregister_serializer(ImageSet)


@contextmanager
def executor(tell: Callable[[int, int], None]) -> Iterator[Parallel]:
    """Makes pieces at once, by the workers of the cluster that is connected.

    Who is at work at the end is stopped by `ray.shutdown`, not by `ray.cancel`: where a task ends of itself at that
    moment, Ray aborts the process ("Tried to complete task that was not pending").
    """
    workers = RayWorkers()
    with workers.interruptible():
        yield Parallel(workers, tell)


class RayWorkers:
    """Run a task per job, each on one core."""

    def __init__(self) -> None:
        import ray

        self.ray, self.running, self.interrupted = ray, dict[Any, str](), False
        self.run = ray.remote(**one_share(), max_retries=RETRIES)(run_alone)

    def start(self, job: Job) -> None:
        self.running[self.run.remote(job)] = job.name

    def finished(self) -> str:
        (first, *_), _ = self.ray.wait(list(self.running))
        if self.interrupted:
            raise KeyboardInterrupt
        name = self.running.pop(first)
        with failures_told(f"{name} lost its worker {RETRIES + 1} times"):
            self.ray.get(first)
        return name

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Inside, Ctrl-C is remembered: where it strikes a callback of Ray's, what it raises there is lost."""

        def interrupt(*_: object) -> None:
            self.interrupted = True
            raise KeyboardInterrupt

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGINT, interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


def one_share() -> dict[str, Any]:
    """Resources of a worker: a core and, if the cluster has GPUs, a fraction of one."""
    import ray

    return {"num_cpus": 1, "num_gpus": GPU_SHARE if ray.cluster_resources().get("GPU") else 0}


def n_shares() -> int:
    """Number of workers that fit on the cluster."""
    import ray

    have = ray.cluster_resources()
    cores, gpus = have.get("CPU", 1), have.get("GPU")
    return max(1, int(min(cores, gpus / GPU_SHARE) if gpus else cores))


@contextmanager
def failures_told(lost: str) -> Iterator[None]:
    """Inside, what a worker raised is raised here, too; that it was lost is an InputError."""
    import ray

    try:
        yield
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    except ray.exceptions.RayError as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{lost} ({reason}); what was finished is kept: the same command goes on from there"
        ) from error


def run_alone(job: Job) -> None:
    with one_core():
        job.run()


@contextmanager
def one_core() -> Iterator[None]:
    """Inside, torch uses one core: the other cores run other jobs."""
    import torch
    from threadpoolctl import threadpool_limits

    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(n_threads)
