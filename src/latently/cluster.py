"""Ray: work in many processes, on this machine or on others. No room but this one and `sharding` imports it.

Pieces of work travel to Ray's workers, images once to each machine; results are files on a disk that all share.
"""

import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from latently.data import ImageSet
from latently.errors import InputError, require
from latently.pieces import AtOnce, Piece

RETRIES = 3  # of a piece that loses its worker; it goes on from its checkpoint
GPU_SHARE = 0.25  # of a GPU for a piece, where there is one: small nets leave most of it idle
ANSWER_SECONDS = 5


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Inside, Ray is at work: the cluster at `address`, host:port. `auto`: that of RAY_ADDRESS, else the one that
    `ray start` left running here, else this machine's cores, for as long as the block lasts.

    Raises InputError where none answers.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    logging.getLogger("ray").setLevel(logging.ERROR)
    import ray

    if address != "auto":
        require_answer(address)
    try:
        ray.init(
            None if address == "auto" else address,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InputError(f"Ray did not start at {address}: {' '.join(str(error).split())}") from None
    try:
        with images_sent_once():
            yield
    finally:
        ray.shutdown()


def require_answer(address: str) -> None:
    """Raise InputError unless something answers there: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    form = bool(host) and port.isdigit() and "/" not in host
    require(form, f"--ray is {address!r}; expected auto, or where a Ray cluster is, as host:port")
    try:
        socket.create_connection((host, int(port)), ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        advice = "start one there with ray start --head, or give --ray auto"
        raise InputError(f"no Ray cluster answers at {address} ({error}); {advice}") from None


@contextmanager
def images_sent_once() -> Iterator[None]:
    """Inside, an `ImageSet` that work refers to is sent once, and workers of one machine share its memory."""
    import ray
    from ray.util import deregister_serializer, register_serializer

    sent: dict[int, tuple[ImageSet, Any]] = {}  # the set too, so that no other one gets its id

    def send(images: ImageSet) -> Any:
        if id(images) not in sent:
            sent[id(images)] = images, ray.put(vars(images))
        return sent[id(images)][1]

    register_serializer(ImageSet, serializer=send, deserializer=lambda reference: ImageSet(**ray.get(reference)))
    try:
        yield
    finally:
        deregister_serializer(ImageSet)


@contextmanager
def maker(tell: Callable[[int, int], None]) -> Iterator[AtOnce]:
    """Makes pieces at once, by the workers of the cluster that is connected; who is at work at the end is stopped."""
    workers = RayWorkers()
    try:
        yield AtOnce(workers, tell)
    finally:
        workers.stop()


class RayWorkers:
    """A task for each piece, on a core of its own, and where the cluster has GPUs on a part of one."""

    def __init__(self) -> None:
        import ray

        self.ray, self.running = ray, dict[Any, str]()
        share = GPU_SHARE if ray.cluster_resources().get("GPU") else 0
        self.run = ray.remote(num_cpus=1, num_gpus=share, max_retries=RETRIES)(run_alone)

    def start(self, piece: Piece) -> None:
        self.running[self.run.remote(piece)] = piece.name

    def finished(self) -> str:
        (first, *_), _ = self.ray.wait(list(self.running))
        name = self.running.pop(first)
        try:
            self.ray.get(first)
        except self.ray.exceptions.RayTaskError as error:
            raise error.cause from error
        except self.ray.exceptions.RayError as error:
            lost = f"{name} lost its worker {RETRIES + 1} times ({' '.join(str(error).split())})"
            raise InputError(f"{lost}; what was finished is kept: the same command goes on from there") from error
        return name

    def stop(self) -> None:
        for reference in self.running:
            self.ray.cancel(reference, force=True)


def run_alone(piece: Piece) -> None:
    """On one core, beside other pieces on the others."""
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(1)
    with threadpool_limits(1):
        piece.run()
