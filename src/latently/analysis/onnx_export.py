"""A fitted estimator as ONNX, for use in other runtimes and languages.

    latently export RUN --out model.onnx [--prior]

    model.onnx           images (n, C, H, W) -> codes (n, Z), reconstructed (n, C, H, W), probabilities (n, classes)
    model.decoder.onnx   codes (n, Z) -> decoded (n, C, H, W)
    model.velocity.onnx  x (n, Z), t (n,) -> velocity (n, Z), of the learned prior: over codes that are standardised
    model.sampler.onnx   noise (n, Z), steps () -> samples (n, C, H, W), codes (n, Z): the flow, in so many steps

The last two, of a prior that knows classes, also take labels (n,), int64 indices into its classes, -1 = none, and the
sampler guidance (), a float.

The files contain what the run supports: a plain classifier has only probabilities, and no decoder; of a table of codes
there is only the decoder. A runtime computes only the requested outputs. A conditional model also takes labels (n,),
int64 indices into its classes. All outputs are means, of the posterior and of the decoder. The metadata contain the
classes, the image shape and the pixel format.

Any onnxruntime from `LEAST_ONNXRUNTIME` on reads the files. torch's exporter writes the newest format that it knows
whatever the opset, and older runtimes refuse that by its number; nothing in these graphs needs it.
"""

import copy
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from latently.common.errors import require
from latently.common.files import atomic_write
from latently.estimator import Autoencoder, Classifier, FewLabelClassifier
from latently.estimator.code_prior import GUIDANCE
from latently.models import can
from latently.models.flow_matching import STEPS

OPSET = 18
IR_VERSION = 8  # of the format, as onnx 1.13 wrote it together with this opset
LEAST_ONNXRUNTIME = "1.15"
TOLERANCE = 1e-5  # largest difference from torch, relative to the largest value if that is above 1
SAMPLER_TOLERANCE = 1e-4  # the flow adds up what each step is off
TRIED = 5  # rows that a file is checked with


class Graph(nn.Module):
    """The content of a file: a function of tensors, with the nets that it uses."""

    def __init__(self, nets: list[nn.Module], function: Callable[..., tuple[Tensor, ...]]) -> None:
        super().__init__()
        self.nets, self.function = nn.ModuleList(nets), function

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return self.function(*inputs)


@dataclass
class Plan:
    """A graph, its inputs by name with an example each, and the names of its outputs."""

    graph: Graph
    inputs: dict[str, Tensor]
    outputs: list[str]
    tolerance: float = field(default_factory=lambda: TOLERANCE)
    about: dict[str, Any] = field(default_factory=dict)


def plans(estimator: Any) -> dict[str, Plan]:
    """`model`, and `decoder` if there is one. Raises InputError for an estimator that cannot be exported."""
    encoder = estimator.encoder_ if isinstance(estimator, FewLabelClassifier) else estimator
    classifier = estimator.classifier_ if isinstance(estimator, FewLabelClassifier) else estimator
    if isinstance(estimator, FewLabelClassifier):
        alone = "a classifier that takes both codes and pixels cannot be exported; its RUN/encoder can"
        require(estimator.sees_ != "both", alone)
    sees_codes = isinstance(estimator, FewLabelClassifier) and estimator.sees_ == "codes"
    images = {"images": torch.rand(TRIED, *encoder._tensor_shape)}
    nets: list[nn.Module] = []
    steps: list[Callable[..., tuple[Tensor, ...]]] = []
    outputs: list[str] = []
    made: dict[str, Plan] = {}
    if isinstance(encoder, Autoencoder):
        model, net = encoder.model_, encoder.net_

        def rebuild(x: Tensor, *y: Tensor) -> tuple[Tensor, ...]:
            codes = model.encode(net, x, *y).mean
            return codes, model.decode(net, codes, *y).mean

        def decode(z: Tensor, *y: Tensor) -> tuple[Tensor, ...]:
            return (model.decode(net, z, *y).mean,)

        labels = {"labels": torch.arange(TRIED) % len(encoder.classes_)} if model.takes_labels else {}
        images |= labels
        codes = {"codes": torch.randn(TRIED, model.latent_dim)} | labels
        made["decoder"] = Plan(Graph([net], decode), codes, ["decoded"])
        if model.encodes_new:
            nets, steps, outputs = [net], [rebuild], ["codes", "reconstructed"]
    if isinstance(classifier, Classifier):
        nets.append(classifier.net_)

        def classify(x: Tensor, *y: Tensor) -> tuple[Tensor, ...]:
            seen = features(encoder, x)[:, None, None] if sees_codes else x  # (B, 1, 1, D), or (B, C, H, W)
            return (classifier.model_.classify(classifier.net_, seen).log_probabilities.exp(),)

        steps.append(classify)
        outputs.append("probabilities")

    def all_steps(*inputs: Tensor) -> tuple[Tensor, ...]:
        return tuple(output for step in steps for output in step(*inputs))

    return ({"model": Plan(Graph(nets, all_steps), images, outputs)} if outputs else {}) | made


def features(encoder: Autoencoder, x: Tensor) -> Tensor:
    """As `Autoencoder.features`. (B, C, H, W) -> (B, D)"""
    model: Any = encoder.model_
    made: Tensor = model.features(encoder.net_, x) if can(model, "features") else model.encode(encoder.net_, x).mean
    return made


def prior_plans(autoencoder: Autoencoder) -> dict[str, Plan]:
    """`velocity` and `sampler`. Raises InputError without a learned prior, or if it is not of these weights."""
    from torch._higher_order_ops.while_loop import while_loop  # not at the top: a private name, for a prior alone

    prior = autoencoder.current_prior()
    flow: Any = prior.model_
    v: Any = prior.net_
    model, net = autoencoder.model_, autoencoder.net_
    width, scale = model.latent_dim, v.scale
    labels = {"labels": torch.arange(TRIED) % len(prior.classes_) - 1} if prior.knows_classes else {}
    if model.takes_labels:
        same = prior.knows_classes and np.array_equal(prior.classes_, autoencoder.classes_)
        require(
            same, "the model is told classes, and its prior was not learned with the same; learn it again with them"
        )
        labels = {"labels": torch.arange(TRIED) % len(prior.classes_)}  # the decoder knows no image without one

    def velocity(x: Tensor, t: Tensor, *y: Tensor) -> tuple[Tensor, ...]:
        return (v(x, t, *(y or (no_class(x),))),)

    def sample(noise: Tensor, steps: Tensor, *told: Tensor) -> tuple[Tensor, ...]:
        y, w = told or (no_class(noise), 1.0)

        def step(i: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
            return i + 1, flow.heun_step(v, x, i / steps, 1 / steps, y, w)

        _, x = while_loop(lambda i, x: i < steps, step, (torch.zeros_like(steps), noise))
        codes = scale.undone(x)
        return model.decode(net, codes, *((y,) if model.takes_labels else ())).mean, codes

    about = {"code_mean": scale.mean.tolist(), "code_spread": scale.spread.tolist(),
             "classes": [str(name) for name in prior.classes_] if labels else [],
             "steps": STEPS} | ({"guidance": GUIDANCE} if labels else {})  # fmt: skip
    x, guidance = torch.randn(TRIED, width), {"guidance": torch.tensor(GUIDANCE)} if labels else {}
    return {
        "velocity": Plan(Graph([v], velocity), {"x": x, "t": torch.rand(TRIED)} | labels, ["velocity"], about=about),
        "sampler": Plan(
            Graph([v, net], sample), {"noise": x, "steps": torch.tensor(STEPS)} | labels | guidance,
            ["samples", "codes"], SAMPLER_TOLERANCE, about,
        ),
    }  # fmt: skip


def no_class(rows: Tensor) -> Tensor:
    """No class, for each row."""
    return torch.full_like(rows[:, 0], -1, dtype=torch.int64)


def export(estimator: Any, out: Path, prior: bool = False) -> list[dict[str, Any]]:
    """Check and write the files; prior: those of the learned prior, too. -> for each: file, inputs, outputs, opset,
    ir_version, onnxruntime (the least version that reads it), and `max_difference`, the largest difference from torch,
    relative to the largest value if that is above 1.

    Raises InputError if it exceeds the tolerance; that file is then not written.
    """
    import onnx

    rows = []
    estimator = copy.deepcopy(estimator)  # the caller's stays on its device
    move_to_cpu(estimator)
    encoder = estimator.encoder_ if isinstance(estimator, FewLabelClassifier) else estimator
    require(isinstance(encoder, Autoencoder) or not prior, "a classifier has no codes, and so no prior over them")
    for name, plan in (plans(estimator) | (prior_plans(encoder) if prior else {})).items():
        path = out if name == "model" else out.with_suffix(f".{name}{out.suffix}")
        model = as_onnx(plan)
        for key, value in (metadata(estimator) | plan.about).items():
            model.metadata_props.add(key=key, value=json.dumps(value))
        with atomic_write(path) as temporary:
            onnx.save(model, temporary)
            off = difference(plan, temporary)
            far = f"{path} would differ from torch by {off:.2g}; at most {plan.tolerance:g} is allowed"
            require(off <= plan.tolerance, far)
        rows.append({"file": str(path), "inputs": list(plan.inputs), "outputs": plan.outputs, "opset": OPSET,
                     "ir_version": IR_VERSION, "onnxruntime": LEAST_ONNXRUNTIME, "max_difference": off})  # fmt: skip
    return rows


def metadata(estimator: Any) -> dict[str, Any]:
    """The metadata, as JSON."""
    binarised = getattr(estimator, "binarise", "none") != "none"
    return {
        "image_shape": list(estimator.image_shape_),
        "pixels": "float32, channels first; bytes 0..255 divided by 255" + ", then black or white" * binarised,
        "classes": [str(name) for name in getattr(estimator, "classes_", [])],
    }


def move_to_cpu(estimator: Any) -> None:
    for part in ("encoder_", "classifier_", "prior_"):
        if hasattr(estimator, part):
            move_to_cpu(getattr(estimator, part))
    if hasattr(estimator, "net_"):
        estimator.net_.cpu().eval()


def as_onnx(plan: Plan) -> Any:
    """The graph, for any number of rows."""
    rows = torch.export.Dim("rows")
    with quietly():
        made = torch.onnx.export(
            plan.graph.eval(), tuple(plan.inputs.values()), dynamo=True, opset_version=OPSET, verbose=False,
            input_names=list(plan.inputs), output_names=plan.outputs,
            dynamic_shapes=(tuple({0: rows} if value.ndim else {} for value in plan.inputs.values()),),
        )  # fmt: skip
    assert made is not None
    model = made.model_proto
    model.ir_version = IR_VERSION
    drop_notes(model.graph)
    return model


def drop_notes(graph: Any) -> None:
    """Remove what the exporter notes beside every node, also of a loop's body: the format has had a place for it only
    since version 10, and among it are the paths of this machine's files. Also constants of a body that no node reads,
    of which onnxruntime warns."""
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    read = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
    bodies = [each.g for node in graph.node for each in node.attribute if each.HasField("g")]
    for body in bodies:
        drop_notes(body)
    if not bodies:  # which may read them, too
        for constant in [each for each in graph.initializer if each.name not in read]:
            graph.initializer.remove(constant)


@contextmanager
def quietly() -> Iterator[None]:
    """Silence the exporter, which reports its steps as logs, warnings and prints."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings(), redirect_stdout(StringIO()):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(level)


def difference(plan: Plan, path: Path) -> float:
    """The largest difference between onnxruntime and torch over all outputs, relative to the largest value or to 1."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        wanted = plan.graph(*plan.inputs.values())
    found = session.run(plan.outputs, {name: value.numpy() for name, value in plan.inputs.items()})
    pairs = [(np.asarray(have), want.numpy()) for have, want in zip(found, wanted, strict=True)]
    return max(float(np.abs(have - want).max() / max(1.0, np.abs(want).max())) for have, want in pairs)
