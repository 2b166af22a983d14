"""What the CPU can do."""

from typing import Any


def processor_has(feature: str) -> bool:
    """Whether it has instructions for `feature`, as torch names it: avx512_bf16, amx_bf16."""
    import torch

    # older releases of torch cannot tell
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get(feature))
