"""Networks with weights that others trained, by the names of the timm library (PyTorch Image Models, Wightman 2019).

Weights are read from safetensors files alone, which cannot run code: a file of the user's own, or the one that timm's
entry names on the Hugging Face hub.
"""

import hashlib
import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latently.common.console import data_note
from latently.common.errors import InputError, require
from latently.models.layers import Shape

PREFIX = "timm:"
HUB_FILE = "model.safetensors"
INTERPOLATIONS = {"bilinear": "bilinear", "bicubic": "bicubic"}  # other kinds are taken as bicubic


class Pretrained(nn.Module):
    """A network of timm without its classifier, and before it what timm's entry says of its input: images (B, C, H, W)
    in 0..1 are resized so that the shorter side fits, cropped at the centre and normalised; grey ones get three equal
    channels. -> features (B, width)
    """

    mean: Tensor  # (3, 1, 1)
    std: Tensor  # (3, 1, 1)

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name.removeprefix(PREFIX)
        self.network = create(self.name)
        about = imported().data.resolve_model_data_config(self.network)
        mode = about.get("crop_mode") or "center"
        require(mode in ("center", "squash"), f"{self.name} crops by {mode!r}, which is not known here; give another")
        self.size, self.is_squashed = tuple(about["input_size"][1:]), mode == "squash"
        self.resized = tuple(math.floor(side / about["crop_pct"]) for side in self.size)
        self.interpolation = INTERPOLATIONS.get(about["interpolation"], "bicubic")
        self.register_buffer("mean", torch.tensor(about["mean"]).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(about["std"]).view(3, 1, 1))

    @property
    def width(self) -> int:
        """Number of features."""
        return int(getattr(self.network, "head_hidden_size", None) or self.network.num_features)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.network((self.fitted(x) - self.mean) / self.std)
        return features

    def maps(self, x: Tensor) -> list[Tensor]:
        """The maps before the last two, (B, C, h, w): of a ResNet those of layers 2 and 3, as PatchCore takes (Roth et
        al. 2022). Of the whole image: what is odd may be at its edge. None where timm's network does not give them."""
        if not hasattr(self.network, "forward_intermediates"):
            return []
        x = F.interpolate(x, self.size, mode="bilinear", antialias=True).expand(-1, 3, -1, -1)
        maps: list[Tensor] = self.network.forward_intermediates((x - self.mean) / self.std, intermediates_only=True)
        return maps[-3:-1]

    def fitted(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 3, *size), in 0..1"""
        sides = tuple(x.shape[-2:])
        if self.is_squashed:
            sides = self.resized
        else:
            scale = max(wanted / side for wanted, side in zip(self.resized, sides, strict=True))
            sides = tuple(max(int(scale * side), wanted) for wanted, side in zip(self.resized, sides, strict=True))
        if sides != tuple(x.shape[-2:]):
            smaller = sides[0] < x.shape[-2] or sides[1] < x.shape[-1]
            x = F.interpolate(x, sides, mode=self.interpolation, antialias=smaller).clamp(0, 1)
        top, left = ((side - wanted) // 2 for side, wanted in zip(sides, self.size, strict=True))
        return x[:, :, top : top + self.size[0], left : left + self.size[1]].expand(-1, 3, -1, -1)

    def load(self, weights: str = "") -> dict[str, Any]:
        """Take the weights of a safetensors file, or those that timm's entry names. -> their source and licence, as a
        run keeps them. Raises InputError if there are none, or they do not fit."""
        about = own_file(Path(weights).expanduser()) if weights else from_hub(self.network.pretrained_cfg)
        self.network.load_state_dict(loaded(self.name, about.pop("file")))
        about = {"network": f"{PREFIX}{self.name}", "library": f"timm {imported().__version__}"} | about
        data_note(f"encoder {self.name}: weights from {about['source']}; licence: {about['licence']}")
        return about


def loaded(name: str, file: Any) -> dict[str, Tensor]:
    """The weights in a safetensors file, under the names of timm's network. Raises InputError if any is missing: timm
    would leave it at random, so the network is made twice, and what differs was not in the file."""
    overlay = {"file": str(file), "custom_load": False}  # of all sources that timm knows, this one is safetensors
    both = []
    try:
        for seed in (0, 1):
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(seed)
                net = imported().create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, num_classes=0)
                both.append(net.state_dict())
    except (RuntimeError, KeyError, ValueError, AssertionError, OSError) as error:
        raise InputError(f"{file} does not hold weights of {name}: {first_line(error)}") from error
    one: dict[str, Tensor] = both[0]
    other: dict[str, Tensor] = both[1]
    missing = [key for key, value in one.items() if not torch.equal(value, other[key])]
    require(not missing, f"{file} does not hold weights of {name}: it lacks {', '.join(missing[:3])}")
    return one


def own_file(path: Path) -> dict[str, Any]:
    """The source of weights in a file, `file` itself among it."""
    from safetensors import SafetensorError, safe_open

    expected = "expected a file of safetensors, which cannot run code (no .pt, .pth or .bin)"
    require(path.is_file(), f"--weights is {path}, which does not exist; {expected}")
    require(path.suffix == ".safetensors", f"--weights is {path}; {expected}")
    try:
        with safe_open(path, framework="pt") as file:
            licence = (file.metadata() or {}).get("license")
    except SafetensorError as error:
        raise InputError(f"--weights is {path}, which is damaged or of another kind ({error}); {expected}") from None
    digest = hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    return {"file": path, "source": str(path.absolute()), "hash": digest, "licence": licence or "the file names none"}


def from_hub(entry: dict[str, Any]) -> dict[str, Any]:
    """The same of weights on the Hugging Face hub, which are downloaded or found in its cache."""
    repository, name = entry.get("hf_hub_id"), entry.get("architecture", "this network")
    none = f"timm names no weights for {name} on the Hugging Face hub; give a file of them: --weights FILE.safetensors"
    require(bool(repository), none)
    import huggingface_hub  # timm needs it, too

    try:
        file = huggingface_hub.hf_hub_download(str(repository), filename=HUB_FILE)
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{HUB_FILE} of {repository} cannot be had from the Hugging Face hub ({first_line(error)}); check the "
            "connection, or give a file of the weights: --weights FILE.safetensors"
        ) from error
    digest = hashlib.blake2b(Path(file).read_bytes(), digest_size=16).hexdigest()
    source = f"the Hugging Face hub, {repository}"
    return {"file": file, "source": source, "hash": digest, "licence": entry.get("license") or hub_licence(repository)}


def hub_licence(repository: Any) -> str:
    """As the repository's card states it; without a connection, where to look."""
    import huggingface_hub

    try:
        card: Any = huggingface_hub.model_info(str(repository)).card_data
    except (OSError, ValueError, RuntimeError):
        card = None
    return str((card or {}).get("license") or f"see the card of {repository} on the Hugging Face hub")


def create(name: str) -> Any:
    """The network without weights. Raises InputError for a name that timm does not have."""
    # timm reads hf-hub:NAME and local-dir:PATH as places to fetch from; a run folder must not choose one
    require(":" not in name, f"timm:{name} names a place; give the name of a network, timm:NAME")
    try:
        return imported().create_model(name, pretrained=False, num_classes=0)
    except (RuntimeError, KeyError, ValueError, TypeError) as error:
        close = imported().list_models(f"*{name.split('.')[0]}*")[:3]
        hint = f"; it has {', '.join(close)}" if close else ""
        raise InputError(f"timm cannot build {name!r}: {first_line(error)}{hint}") from error


def imported() -> Any:
    """The library. Raises InputError where it is missing or cannot be imported."""
    require(find_spec("timm") is not None, "encoders of others need timm: pip install 'latently[timm]'")
    try:
        import timm
        import timm.data
    except (ImportError, RuntimeError) as error:  # torchvision's compiled part, which may be of another torch
        raise InputError(f"timm cannot be imported here: {first_line(error)}") from error
    return timm


def first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".:")


def require_photographs(image_shape: Shape) -> None:
    channels, height, _ = image_shape
    fits = height > 1 and channels in (1, 3)
    require(fits, f"encoders of timm take grey or coloured images, and these are of shape {image_shape}")
