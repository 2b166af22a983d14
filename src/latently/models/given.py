"""Networks that were given as modules of torch, in place of a line of text. No losses here.

A run folder holds their weights, but not their code: `latently.load` wants them given again.
"""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from latently.common.errors import InputError, require
from latently.models.code_table import CodeTable
from latently.models.layers import Shape

TABLE, MODULE = "table", "module"  # keys in params.json


class Awaited(nn.Module):
    """The place of a module in a network that was read from a run folder, until the module is given again."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


def to_json(part: Any) -> Any:
    """An encoder or decoder as params.json describes it: its text, its table's size, or the name of its class."""
    if isinstance(part, CodeTable):
        return {TABLE: part.to_json()}
    if isinstance(part, Awaited):
        return {MODULE: part.name}
    return {MODULE: f"{type(part).__module__}.{type(part).__qualname__}"} if isinstance(part, nn.Module) else part


def from_json(value: Any) -> Any:
    """The inverse of `to_json`; a module of the user's own becomes `Awaited`. Raises InputError for anything else."""
    if isinstance(value, str):
        return value
    require(isinstance(value, dict) and len(value) == 1, f"a network is {value!r}; expected text, or a module's name")
    ((kind, about),) = value.items()
    require(kind in (TABLE, MODULE), f"a network is {value!r}; expected text, or a module's name")
    return CodeTable.from_json(about) if kind == TABLE else Awaited(str(about))


def own_copy(module: nn.Module, what: str) -> nn.Module:
    """A copy to train, with the weights that the module has; without storage where torch's default device is meta.

    what: encoder or decoder. Raises InputError for one that a run folder only names.
    """
    if isinstance(module, Awaited):
        raise InputError(
            f"this run has {'an' if what == 'encoder' else 'a'} {what} of your own, {module.name}, which a run folder "
            f"does not hold: give it again in Python, latently.load(RUN, {what}=...)"
        )
    return copy.deepcopy(module).to(torch.get_default_device())


@torch.no_grad()
def output_shape(module: nn.Module, shape: tuple[int, ...], what: str) -> tuple[int, ...]:
    """The shape that the module makes of one input of `shape`. Raises InputError where it takes none."""
    was_training, like = module.training, next(iter(module.state_dict().values()), torch.zeros(0))
    try:
        with torch.random.fork_rng(devices=[]), like.device:  # also where all else is built on the meta device
            made = module.eval()(torch.zeros(2, *shape))
    except InputError:
        raise
    except Exception as error:  # whatever a user's own code raises
        reason = " ".join(str(error).split()) or type(error).__name__
        came = f"the {what} {type(module).__name__} cannot take inputs (B, {sizes(shape)})"
        raise InputError(f"{came}: {reason}") from error
    finally:
        module.train(was_training)
    is_batch = isinstance(made, Tensor) and made.ndim >= 1 and len(made) == 2
    require(is_batch, f"the {what} {type(module).__name__} must return a tensor with a row for each input")
    return tuple(made.shape[1:])


def require_output(module: nn.Module, shape: tuple[int, ...], wanted: tuple[int, ...], what: str) -> nn.Module:
    """The module, if it makes `wanted` of `shape`; it is not tried on the meta device, which not all code can do."""
    if torch.get_default_device().type == "meta":
        return module
    made = output_shape(module, shape, what)
    require(
        made == wanted,
        f"the {what} {type(module).__name__} makes (B, {sizes(made)}) of (B, {sizes(shape)}), but the model wants "
        f"(B, {sizes(wanted)})",
    )
    return module


def sizes(shape: Shape | tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))


def put_back(model: Any, modules: Mapping[str, nn.Module | None], run: Path) -> None:
    """Put modules (encoder, decoder) into the network of a model that was read from `run`, where it awaits them.

    Raises InputError for one that is missing, and for one that the run has no place for.
    """
    awaited = {name: part.name for name, part in model.modules.items() if isinstance(part, Awaited)}
    for name, module in modules.items():
        require(name in awaited, f"{run} has no {name} of your own: leave {name}= out")
        setattr(model.network, name, module)
    for name, kind in awaited.items():
        again = ", ".join(f"{each}=..." for each in awaited)
        what = f"{run} was trained with the {name} {kind}, a module of your own, which a run folder does not hold"
        require(name in modules, f"{what}: give it again, in Python: latently.load({str(run)!r}, {again})")
