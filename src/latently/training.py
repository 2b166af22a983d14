"""The one training loop. It knows no model, no data set and no picture.

A run is a function of its settings and seed alone: the order of images is drawn from (seed, epoch), the learning rate
is a function of the step, and noise comes from torch's generators, forked so that the caller's stand still. So a
checkpoint needs the weights, the optimiser's moments, the generators' state and the sums of the epoch under way.

Several processes (processes.py) train one net together: each takes its share of a batch, and all hold the same sums.

K nets that differ only in draw or seed train together, as a `Stack`: indices, losses and figures then have one more
dimension in front, (K, ...), and the nets share nothing but the time that a step takes.
"""

import importlib.util
import math
import os
import shutil
import signal
import sys
import sysconfig
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol, Self

import psutil
import torch
from torch import Tensor, nn

from latently.compiled import BatchLoss, CompiledStep, Terms, told
from latently.data.batches import Batches
from latently.errors import InputError, require
from latently.memory import kept_memory
from latently.models.base import Model
from latently.models.together import Stack
from latently.processes import ALONE, Processes
from latently.runs import Run, fit_into, read_tensors, understanding, write_tensors
from latently.settings import Count, NonNegative, Positive, Probability, Settings

# Validated at a time, at most. No figure then depends on the training batch size, and no memory on the image size.
VALIDATION_BATCH, VALIDATION_PIXELS = 1000, 2**22
COMPILE_FROM_STEPS = 5000  # compiling costs 10 to 20 s once and saves about 2 ms a step on a CPU (docs/log.md)
USUAL_EPOCHS, LEAST_STEPS = 30, 1200  # 1,500 images want 100 epochs: with 30 codes are poor, with 300 they overfit
WHAT_TO_TRY = "try a lower learning rate, a gradient clip (clip_norm 1) or float32"


@dataclass(kw_only=True)
class Training(Settings):
    """How a model is trained. The defaults are ours; a preset brings its study's."""

    epochs: Count | Literal["auto"] = "auto"
    """Passes over the training images; auto: 30, or 15 for a classifier, and more where images are few."""
    batch_size: Count = 128
    """Images per step; the last batch of an epoch holds what is left."""
    optimiser: Literal["adam", "adamw", "rmsprop"] = "adamw"
    """adamw decouples the weight decay; rmsprop averages squares with 0.9, as Keras does."""
    lr: Positive = 4e-3
    """Learning rate; where the schedule varies it, the highest."""
    schedule: Literal["constant", "one-cycle", "cosine"] = "one-cycle"
    """one-cycle: rise over the warm-up, cosine to 0; cosine: the same with a straight rise; constant."""
    warmup: Probability = 0.1
    """Share of the run over which the learning rate rises; not used by constant."""
    weight_decay: NonNegative = 0.0
    """Pull of the weights towards 0, per step and unit of learning rate."""
    beta2: Probability = 0.999
    """Decay per step of the average of squared gradients, of adam and adamw; a short run may forget sooner (0.99)."""
    clip_norm: Positive | None = None
    """Largest norm of the gradient over all weights; longer ones are scaled down to it."""
    patience: Count | None = None
    """Stop after so many epochs in a row without a better validation figure, and restore the best weights."""
    ema: Probability | None = None
    """Decay per step of an exponential moving average of the weights, which is then what is kept (0.999, say)."""
    device: str = "auto"
    """auto (cuda, else mps, else cpu), cpu, cuda, cuda:1, mps."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of matrix products and convolutions; auto: bfloat16 where the processor computes in it. Sums stay float32."""
    compile: Literal["auto", "on", "off"] = "auto"
    """Compile the step; auto: from 5,000 steps on where a compiler is there, but no convolutions or stacks on a CPU.
    Several processes take their steps uncompiled."""

    @property
    def n_epochs(self) -> int:
        """`epochs`, once it is decided (see `resolve`)."""
        assert self.epochs != "auto", "not decided yet"
        return int(self.epochs)


def with_defaults(about: Any) -> Any:
    """JSON in which each "training" has all its settings: what was kept before a setting existed has its default."""
    if not isinstance(about, dict):
        return about
    filled = {name: with_defaults(value) for name, value in about.items()}
    if isinstance(filled.get("training"), dict):
        filled["training"] = Training.from_json(filled["training"]).to_json()
    return filled


# What is decided once -----------------------------------------------------------------------------


def resolve(
    settings: Training, n_images: int, net: nn.Module, usual_epochs: int = USUAL_EPOCHS, least_steps: int = LEAST_STEPS
) -> Training:
    """The settings with every `auto` decided by rule, never by a stopwatch: the same machine decides the same.

    Of epochs: the usual ones, and where images are few as many as make `least_steps` steps.

    On a CPU the convolutions of torch's own library and its products of a stack are faster than what its compiler makes
    around them (docs/log.md).

    Raises InputError where a setting is out of range or asks for what this machine does not have.
    """
    settings.check()
    device = resolve_device(settings.device)
    steps_per_epoch = math.ceil(n_images / settings.batch_size)
    epochs = (
        settings.epochs if settings.epochs != "auto" else max(usual_epochs, math.ceil(least_steps / steps_per_epoch))
    )
    precision, compiled = settings.precision, settings.compile
    if precision == "auto":
        precision = "bfloat16" if has_bfloat16(device) else "float32"
    if compiled == "auto":
        faster_eager = device.type == "cpu" and (has_convolutions(net) or isinstance(net, Stack))
        pays = epochs * steps_per_epoch >= COMPILE_FROM_STEPS and not faster_eager
        compiled = "on" if pays and has_compiler(device) else "off"
    require(
        compiled == "off" or has_compiler(device), "compile is 'on', but no C++ compiler (g++) is there; give 'off'"
    )
    return replace(settings, epochs=epochs, device=str(device), precision=precision, compile=compiled)


def resolve_device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
        known = device.type in ("cpu", "cuda", "mps")
    except (RuntimeError, AssertionError, NotImplementedError):
        known = False
    require(known, f"device is {name!r}; this machine and its torch do not have it: give auto or cpu")
    return device


def has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # older releases of torch cannot tell
    return device.type == "cpu" and bool(capabilities.get("avx512_bf16"))


def has_compiler(device: torch.device) -> bool:
    """Whether what torch.compile hands its code to is there: Triton on a GPU, a C++ compiler and Python.h on a CPU."""
    if device.type == "cuda":
        return importlib.util.find_spec("triton") is not None
    compiler = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    headers = Path(sysconfig.get_path("include"), "Python.h")
    return device.type == "cpu" and shutil.which(compiler) is not None and headers.exists()


def has_convolutions(net: nn.Module) -> bool:
    return any(isinstance(module, nn.Conv2d | nn.ConvTranspose2d) for module in net.modules())


def learning_rate(settings: Training, progress: float) -> float:
    """The rate at `progress` 0..1 of the run: rise from 1/25 to 1 over the warm-up, then half a cosine down to 0.

    One-cycle after Smith & Topin 2018, with the cosine of Loshchilov & Hutter 2017 in both halves.
    """
    if settings.schedule == "constant":
        return settings.lr
    if progress < settings.warmup:
        rise = progress / settings.warmup
        rise = rise if settings.schedule == "cosine" else 0.5 - 0.5 * math.cos(math.pi * rise)
        return settings.lr * (0.04 + 0.96 * rise)
    fall = (progress - settings.warmup) / (1 - settings.warmup)
    return settings.lr * (0.5 + 0.5 * math.cos(math.pi * fall))


def build_optimiser(settings: Training, net: nn.Module) -> torch.optim.Optimizer:
    arguments: dict[str, Any] = {"lr": settings.lr, "weight_decay": settings.weight_decay}
    if settings.optimiser == "rmsprop":
        return torch.optim.RMSprop(net.parameters(), alpha=0.9, eps=1e-7, foreach=True, **arguments)
    kind = torch.optim.Adam if settings.optimiser == "adam" else torch.optim.AdamW
    return kind(net.parameters(), betas=(0.9, settings.beta2), fused=settings.device != "mps", **arguments)


def sketch(model: Model, image_shape: tuple[int, ...], n_classes: int) -> nn.Module:
    """The net in shapes alone, without storage. Raises InputError where no memory could address it."""
    try:
        with torch.device("meta"):
            return model.build(image_shape, n_classes)
    except RuntimeError as error:
        raise InputError(f"no network can be built like this for images {image_shape}: {error}") from error


def require_validation(settings: Training, given: bool) -> None:
    """Raises InputError where epochs are to be chosen and there is nothing to choose by."""
    require(given or settings.patience is None, "patience needs validation images: give some, or leave patience out")


def check_memory(
    model: Model, net: nn.Module, image_shape: tuple[int, ...], n_images: int, bytes_per_pixel: int, settings: Training
) -> None:
    """Raise InputError where weights, moments, gradients, activations and images cannot fit into free memory.

    net: a `sketch`.
    """
    activations: list[int] = []
    for module in net.modules():
        if not list(module.children()):
            module.register_forward_hook(lambda _, __, output: activations.append(output.numel()))
    with torch.device("meta"):
        model.loss(net, torch.zeros(1, *image_shape), torch.zeros(1, dtype=torch.int64), 0.0)
    parameters = sum(parameter.numel() for parameter in net.parameters())
    largest_batch = min(settings.batch_size, n_images)
    kept = 4 + (settings.ema is not None) + (settings.patience is not None)  # weights, gradient, two moments, copies
    pixels = n_images * math.prod(image_shape)
    needed = 4 * (kept * parameters + 2 * largest_batch * sum(activations)) + pixels * bytes_per_pixel
    on_gpu = settings.device.startswith("cuda")
    free = torch.cuda.mem_get_info(settings.device)[0] if on_gpu else psutil.virtual_memory().available
    require(
        needed <= free,
        f"this run needs about {needed / 1e9:.1f} GB ({parameters:,} weights, batches of {largest_batch}), but "
        f"{free / 1e9:.1f} GB are free: take a smaller batch size, network or image size",
    )


def generator_states(device: torch.device) -> dict[str, Tensor]:
    """States of the global generators that a run on this device draws from: the CPU's, and the device's own."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def restore_generators(device: torch.device, states: dict[str, Tensor]) -> None:
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)
    elif device.type == "mps":
        torch.mps.set_rng_state(states["mps"])


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """The generators that this device uses start from `seed` inside, and are what they were afterwards."""
    before = generator_states(device)
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)
    try:
        yield
    finally:
        restore_generators(device, before)


# The objective over a batch -----------------------------------------------------------------------


def training_loss(model: Model, images: Batches, settings: Training) -> BatchLoss:
    """(net, raw images, labels, progress) -> each term summed over the batch, () or (K,); scaling and noise included"""
    autocast = settings.precision == "bfloat16"

    def loss(net: nn.Module, raw: Tensor, y: Tensor, progress: Tensor) -> Terms:
        x = images.training_pixels(raw)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=autocast):
            terms = net.losses(x, y, progress) if isinstance(net, Stack) else model.loss(net, x, y, progress)
        return {name: term.sum(-1) for name, term in terms.items()}

    return loss


def validate(model: Model, net: nn.Module, images: Batches, seed: int, processes: Processes = ALONE) -> Terms:
    """Mean of each term over all images, in float32, with the same noise at every call; () or (K,) float64."""
    net.eval()
    nets = [net.member(k) for k in range(net.n_nets)] if isinstance(net, Stack) else [net]
    pairs = zip(nets, images.members, strict=True)
    each = [mean_terms(model, one, images, members, seed, processes) for one, members in pairs]
    net.train()
    means = {name: torch.tensor([terms[name] for terms in each], dtype=torch.float64) for name in each[0]}
    return {name: mean.view(images.nets) for name, mean in means.items()}


@torch.no_grad()
def mean_terms(
    model: Model, net: nn.Module, images: Batches, members: Tensor, seed: int, processes: Processes
) -> dict[str, float]:
    """Each batch has noise of its own, whichever process draws it: the means do not depend on their number."""
    totals: Terms = {}
    pixels = math.prod(images.shape) * model.codes_per_image
    batches = members.split(max(1, min(VALIDATION_BATCH, VALIDATION_PIXELS // pixels)))
    own = range(processes.rank, len(batches), processes.n)
    for number in own or [0]:  # a process that is left without a batch takes part, and counts for nothing
        with seeded(seed + number, images.device):
            raw, y = images.gather(batches[number])
            terms = model.loss(net, images.evaluation_pixels(raw), y, 1.0)
        totals = {name: term.sum() * bool(own) + totals.get(name, 0) for name, term in terms.items()}
    sums = processes.sum(torch.tensor([float(total) for total in totals.values()], dtype=torch.float64))
    return dict(zip(totals, (sums / len(members)).tolist(), strict=True))


# What changes while a run trains ------------------------------------------------------------------


@dataclass
class State:
    """What a checkpoint keeps."""

    net: nn.Module
    optimiser: torch.optim.Optimizer
    losses: Tensor  # of each step of the epoch under way, (steps,) or (steps, K)
    average: dict[str, Tensor]  # exponential moving average of the weights; empty where none is asked for
    best_score: Tensor  # smallest validation figure so far, () or (K,) float64
    best_epoch: Tensor  # when it was, counted from 1
    best: dict[str, Tensor] = field(default_factory=dict)  # weights of the best epoch; empty without patience
    sums: Terms = field(default_factory=dict)  # of each term over the epoch under way
    epoch: int = 0
    step: int = 0  # within the epoch
    seconds: float = 0.0  # of the epoch under way
    rank: int = 0  # of this process, whose generators are restored
    history: list[dict[str, float]] = field(default_factory=list)

    PLAIN = ("epoch", "step", "seconds", "history")

    def save(self, path: Path, generators: Sequence[dict[str, Tensor]]) -> None:
        """generators: the states of each process's."""
        moments = self.optimiser.state_dict()["state"]
        groups: dict[str, dict[str, Tensor]] = {
            "net": self.net.state_dict(),
            "average": self.average,
            "best": self.best,
            "sums": self.sums,
            "optimiser": {f"{i}/{name}": value for i, slots in moments.items() for name, value in slots.items()},
            "loop": {"losses": self.losses, "best_score": self.best_score, "best_epoch": self.best_epoch},
        } | {generator_group(rank): states for rank, states in enumerate(generators)}
        tensors = {f"{group}/{name}": value for group, members in groups.items() for name, value in members.items()}
        plain = {name: getattr(self, name) for name in self.PLAIN}
        write_tensors(path, tensors, plain | {"terms": list(self.sums)})  # a tensor file does not keep their order

    def load(self, path: Path) -> None:
        """Take up where `save` left off. Raises InputError for a checkpoint that is damaged or another model's."""
        advice = f"remove {path.parent} to train from the start"
        tensors, plain = read_tensors(path, advice)
        with understanding(path, advice):
            self.take(tensors, plain, path)

    def take(self, tensors: dict[str, Tensor], plain: dict[str, Any], path: Path) -> None:
        groups: dict[str, dict[str, Tensor]] = defaultdict(dict)
        for key, value in tensors.items():
            group, _, name = key.partition("/")
            groups[group][name] = value
        fit_into(self.net.state_dict(), groups["net"], path)
        self.net.load_state_dict(groups["net"])
        weights = list(self.net.parameters())
        moments: dict[int, dict[str, Tensor]] = defaultdict(dict)
        for key, value in groups["optimiser"].items():
            i, _, name = key.partition("/")
            moments[int(i)][name] = placed_like(weights[int(i)], value)
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": dict(moments)})
        device = self.losses.device
        for group in ("average", "best"):
            setattr(self, group, {name: value.to(device) for name, value in groups[group].items()})
        self.sums = {name: groups["sums"][name].to(device) for name in plain["terms"]}
        self.losses = groups["loop"]["losses"].to(device)
        self.best_score, self.best_epoch = groups["loop"]["best_score"], groups["loop"]["best_epoch"]
        own = groups[generator_group(self.rank)]
        if own or self.rank == 0:  # a run may be taken up by more processes than it had
            restore_generators(device, own)
        for name in self.PLAIN:
            setattr(self, name, plain[name])


def generator_group(rank: int) -> str:
    return f"generator-{rank}" if rank else "generator"


def placed_like(weight: Tensor, value: Tensor) -> Tensor:
    """`value` in memory as `weight` is, where it has its shape: a fused optimiser walks through both side by side."""
    return torch.empty_like(weight).copy_(value) if value.shape == weight.shape else value


class Watcher(Protocol):
    """Who looks on: a progress bar, a log, TensorBoard. Watching changes nothing."""

    def stepped(self, state: State, settings: Training) -> None:
        """After every step; must not wait for the device."""

    def epoch_ended(self, state: State, settings: Training) -> None:
        """After validation, with the epoch's row last in `state.history`."""


class Interrupts:
    """Ctrl-C or a polite kill sets a flag that the loop reads between steps; a second one acts at once.

    Before the first step there is nothing to save, and the first one acts at once, too.
    """

    def __init__(self, watching: bool) -> None:
        self.received = self.stepping = False
        self.watching = watching and threading.current_thread() is threading.main_thread()

    def __enter__(self) -> Self:
        if self.watching:
            self.before = {number: signal.signal(number, self.receive) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def receive(self, *_: object) -> None:
        at_once = self.received or not self.stepping
        self.received = True
        if at_once:
            raise KeyboardInterrupt

    def __exit__(self, *_: object) -> None:
        if self.watching:
            for number, handler in self.before.items():
                signal.signal(number, handler)


# The loop -----------------------------------------------------------------------------------------


@dataclass
class Loop:
    """Trains `net` in place by `model.loss`; `run` keeps checkpoints, `watchers` look on.

    net: one net, or a `Stack` of K with a draw of `images` each (and one of `validation`, where there are any). Every
    net of a stack gets its own gradient, best epoch and end of patience; the history holds means over the nets.
    settings: resolved (see `resolve`). With a run, a checkpoint is written there every `checkpoint_epochs` epochs and
    every `checkpoint_minutes` minutes, and one that is there is taken up, to the very weights of an uninterrupted run.
    """

    model: Model
    net: nn.Module
    images: Batches
    validation: Batches | None
    settings: Training
    seed: int
    run: Run | None = None
    checkpoint_epochs: int = 1
    checkpoint_minutes: float = 5.0
    watchers: Sequence[Watcher] = ()
    processes: Processes = ALONE

    def __post_init__(self) -> None:
        require_validation(self.settings, self.validation is not None)
        couples = self.settings.clip_norm is not None and isinstance(self.net, Stack)
        require(not couples, "clip_norm would bound one gradient of all nets that train together: leave it out")
        least = min(len(self.images), self.settings.batch_size)
        n = self.processes.n
        require(n <= least, f"{n} processes were started to share batches of {least} images; start {least} at most")

    def train(self) -> list[dict[str, float]]:
        """-> the history, one row per epoch.

        Raises InputError where the loss is no longer finite, and KeyboardInterrupt once an interrupted run is saved.
        """
        seed = self.processes.seed(self.seed)
        interrupts = Interrupts(watching=self.run is not None)
        with seeded(seed, self.images.device), kept_memory(), interrupts as self.interrupts:
            self.begin()
            self.interrupts.stepping = True
            while self.state.epoch < self.settings.n_epochs and not self.out_of_patience().all():
                self.train_epoch()
                self.end_epoch()
            self.keep_chosen_weights()
        return self.state.history

    def begin(self) -> None:
        settings, device, nets = self.settings, self.images.device, self.images.nets
        self.n_steps = math.ceil(len(self.images) / settings.batch_size)
        self.net.train()
        average = {name: value.detach().clone() for name, value in self.net.state_dict().items()}
        self.state = State(
            net=self.net,
            optimiser=build_optimiser(settings, self.net),
            losses=torch.zeros(self.n_steps, *nets, device=device),
            average=average if settings.ema is not None else {},
            best_score=torch.full(nets, math.inf, dtype=torch.float64),
            best_epoch=torch.zeros(nets, dtype=torch.int64),
            rank=self.processes.rank,
        )
        if self.run is not None and self.run.checkpoint.exists():
            self.state.load(self.run.checkpoint)
        self.batch_loss = training_loss(self.model, self.images, settings)
        whole = settings.compile == "on" and self.processes.n == 1  # several add up gradients in the middle of a step
        self.compiled = self.compile() if whole else None
        self.saved_at = time.monotonic()

    def compile(self) -> CompiledStep:
        """Compile for the full batch, before the clock runs: a first step is taken, and taken back with its noise."""
        step = CompiledStep(self.batch_loss, self.net, self.state.optimiser, self.settings.clip_norm)
        device = self.images.device
        index = torch.zeros((*self.images.nets, self.settings.batch_size), dtype=torch.int64, device=self.images.home)
        with seeded(self.seed, device), step.undone():
            try:
                step(*self.images.gather(index), torch.tensor(told(0.0, 0.0, self.state.optimiser, 1), device=device))
            except RuntimeError as error:  # of the compilers, which Ctrl-C may have reached before us
                if self.interrupts.received:
                    raise KeyboardInterrupt from None
                reason = str(error).strip().splitlines()[0]
                raise InputError(f"the step cannot be compiled ({reason}); start anew with compile 'off'") from error
        return step

    def train_epoch(self) -> None:
        state = self.state
        order = self.images.order(self.seed, state.epoch)
        before = state.epoch * self.n_steps  # steps of earlier epochs
        progress = ((state.epoch + torch.arange(self.n_steps) / self.n_steps) / self.settings.n_epochs).tolist()
        rates = [learning_rate(self.settings, each) for each in progress]
        rows = [told(*each, state.optimiser, before + i) for i, each in enumerate(zip(progress, rates, strict=True), 1)]
        on_device = torch.tensor(rows, device=self.images.device)
        batches = order.split(self.settings.batch_size, dim=-1)
        self.clock = time.perf_counter()
        while state.step < self.n_steps:
            self.take_step(batches[state.step], on_device[state.step], rates[state.step])
            if self.run is not None and state.step < self.n_steps and self.is_due():
                self.stop_clock()
                self.save()
        self.stop_clock()

    def take_step(self, index: Tensor, on_device: Tensor, rate: float) -> None:
        """One batch; on_device: what `told` says of it. Nothing here waits for the device."""
        state, size = self.state, index.shape[-1]
        for group in state.optimiser.param_groups:
            group["lr"] = rate
        # The last step of an epoch is eager: compiling the odd batch's shape would take seconds and serve one step an
        # epoch. An even one is, too: so there are gradients for those who look on.
        if self.compiled is not None and state.step < self.n_steps - 1:
            terms = self.compiled(*self.images.gather(index), on_device)
        else:
            terms = self.take_eager_step(index, on_device[0])
        state.losses[state.step] = terms["loss"] / size  # () or (K,)
        state.sums = {name: term + state.sums.get(name, 0) for name, term in terms.items()}
        state.step += 1
        self.move_average()
        for watcher in self.watchers:
            watcher.stepped(state, self.settings)

    def take_eager_step(self, index: Tensor, progress: Tensor) -> Terms:
        """Leaves the gradients where they are, for those who look on."""
        self.state.optimiser.zero_grad(set_to_none=True)
        own, counts = self.processes.share(index)
        raw, y = self.images.gather(own)
        terms = self.batch_loss(self.net, raw, y, progress)
        if not counts:  # fewer images are left than there are processes
            terms = {name: 0 * term for name, term in terms.items()}
        (terms["loss"] / index.shape[-1]).sum().backward()  # no net's loss depends on another's weights
        terms = self.processes.add_up(self.net, {name: term.detach() for name, term in terms.items()})
        if self.settings.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.net.parameters(), self.settings.clip_norm)
        self.state.optimiser.step()
        return terms

    def move_average(self) -> None:
        """Early on the decay is smaller, so that the average forgets where the weights began."""
        if self.settings.ema is None:
            return
        n = self.state.epoch * self.n_steps + self.state.step
        decay = min(self.settings.ema, (1 + n) / (10 + n))
        now = self.net.state_dict()
        torch._foreach_lerp_([self.state.average[name] for name in now], list(now.values()), 1 - decay)

    def stop_clock(self) -> None:
        """Add the time since the clock was set to the epoch's, and set it again. Then hold the losses to be finite."""
        finite = torch.isfinite(self.state.losses[: self.state.step])
        all_finite = bool(finite.all())  # waits for the device, whichever it is
        self.state.seconds += time.perf_counter() - self.clock
        if not all_finite:
            step = int(finite.logical_not().nonzero()[0, 0]) + 1
            raise InputError(
                f"the loss is no longer finite at step {step} of epoch {self.state.epoch + 1}; "
                f"the learning rate is {self.settings.lr:g}; {WHAT_TO_TRY}"
            )
        self.clock = time.perf_counter()

    def end_epoch(self) -> None:
        state, n = self.state, len(self.images)
        row = {"epoch": state.epoch + 1, "seconds": state.seconds}
        row |= {"images_per_second": n * math.prod(self.images.nets) / state.seconds}
        row |= {"learning_rate": state.optimiser.param_groups[0]["lr"]}
        row |= {f"train_{name}": float(total.mean()) / n for name, total in state.sums.items()}
        with self.averaged():
            if self.validation is not None:
                terms = validate(self.model, self.net, self.validation, self.seed, self.processes)
                row |= {f"val_{name}": float(value.mean()) for name, value in terms.items()}
                finite = all(bool(value.isfinite().all()) for value in terms.values())
                require(finite, f"the validation loss of epoch {state.epoch + 1} is no longer finite; {WHAT_TO_TRY}")
                self.keep_if_best(terms[self.model.monitor])
            state.history.append(row)
            state.epoch, state.step, state.seconds, state.sums = state.epoch + 1, 0, 0.0, {}
        for watcher in self.watchers:
            watcher.epoch_ended(state, self.settings)
        if self.run is not None:
            self.run.write_history(state.history)
            if self.is_due() or state.epoch % self.checkpoint_epochs == 0:
                self.save()

    def is_due(self) -> bool:
        """Whether to save now, because of the time or of an interrupt; of several processes, any one's will do."""
        if self.state.step % self.processes.question_steps:
            return False
        is_late = time.monotonic() - self.saved_at > 60 * self.checkpoint_minutes
        self.stopping, is_late = self.processes.any(self.interrupts.received, is_late)
        return self.stopping or is_late

    def save(self) -> None:
        assert self.run is not None
        generators = self.processes.gather(generator_states(self.images.device))
        if self.processes.first:
            self.state.save(self.run.checkpoint, generators)
        self.processes.wait()  # or the end of one would interrupt the writer
        self.saved_at, self.clock = time.monotonic(), time.perf_counter()
        if self.stopping:
            raise KeyboardInterrupt

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Inside, the net has the averaged weights, where an average is kept."""
        if not self.state.average:
            yield
            return
        raw = {name: value.clone() for name, value in self.net.state_dict().items()}
        self.net.load_state_dict(self.state.average)
        try:
            yield
        finally:
            self.net.load_state_dict(raw)

    def keep_if_best(self, score: Tensor) -> None:
        """Keep the weights of each net whose validation figure, () or (K,), is its smallest so far."""
        state = self.state
        if self.settings.patience is None:
            return
        better = (score < state.best_score) & ~self.out_of_patience()
        state.best_score = torch.where(better, score, state.best_score)
        state.best_epoch = torch.where(better, state.epoch + 1, state.best_epoch)
        better = better.to(self.images.device)
        for name, value in self.net.state_dict().items():
            chosen = better.view(better.shape + (1,) * (value.ndim - better.ndim))
            state.best[name] = torch.where(chosen, value, state.best.get(name, value))

    def out_of_patience(self) -> Tensor:
        """Which nets have seen `patience` epochs end without a better one, () or (K,)."""
        patience = math.inf if self.settings.patience is None else self.settings.patience
        return self.state.epoch - self.state.best_epoch >= patience

    def keep_chosen_weights(self) -> None:
        """Of the best epoch where one was watched for, else the average, else the last."""
        chosen = self.state.best or self.state.average
        if chosen:
            self.net.load_state_dict(chosen)
        self.net.eval()
