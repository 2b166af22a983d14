"""A mean with its 95 % interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scipy import stats


@dataclass(frozen=True)
class Estimate:
    """Mean over n seeds, and the half-width of its 95 % interval (Student's t); None for a single seed."""

    mean: float
    half_width: float | None
    n: int

    def __str__(self) -> str:
        """With two significant digits of the half-width."""
        if not self.half_width or self.half_width < 1e-9 * abs(self.mean):  # none, or only rounding error
            return f"{self.mean:.4g}"
        decimals = max(0, 1 - math.floor(math.log10(self.half_width)))
        return f"{self.mean:.{decimals}f} ± {self.half_width:.{decimals}f}"

    def contains(self, value: float) -> bool:
        return self.half_width is not None and abs(value - self.mean) <= self.half_width

    def to_json(self) -> dict[str, Any]:
        return {"mean": self.mean, "half_width_95": self.half_width, "n": self.n}


def estimate(values: Sequence[float]) -> Estimate:
    """
    >>> print(estimate([1.0, 2.0, 3.0]))
    2.0 ± 2.5
    """
    n, mean = len(values), math.fsum(values) / len(values)
    if n == 1:
        return Estimate(mean, None, 1)
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    return Estimate(mean, float(stats.t.ppf(0.975, n - 1)) * spread / math.sqrt(n), n)


def percent(share: Estimate) -> Estimate:
    """
    >>> print(percent(Estimate(0.9512, 0.0034, 5)))
    95.12 ± 0.34
    """
    return Estimate(100 * share.mean, None if share.half_width is None else 100 * share.half_width, share.n)
