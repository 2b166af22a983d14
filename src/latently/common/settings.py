"""Settings are dataclass fields that serve as hyperparameters, as JSON in the run folder, and as command-line flags.

The type of a field defines valid values. `Count`, `Positive` and the like add a range; `check()` checks every field
against its type when `fit` or `build` is called, not in the constructor (`set_params` never calls a constructor).
"""

import dataclasses
import math
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self, Union, get_args, get_origin, get_type_hints

from latently.common.errors import require


@dataclass(frozen=True)
class Range:
    """A condition on a number, and its description in error messages."""

    words: str
    holds: Callable[[float], bool]


Count = Annotated[int, Range("a whole number from 1 to 2147483647", lambda n: 1 <= n < 2**31)]
Seed = Annotated[int, Range("a whole number from 0 to 2147483647", lambda n: 0 <= n < 2**31)]
WholeNumber = Annotated[int, Range("a whole number from 0 to 2147483647", lambda n: 0 <= n < 2**31)]
Positive = Annotated[float, Range("a number above 0", lambda v: v > 0)]
NonNegative = Annotated[float, Range("a number of at least 0", lambda v: v >= 0)]
Fraction = Annotated[float, Range("a number from 0 to 1", lambda v: 0 <= v <= 1)]
Probability = Annotated[float, Range("a number from 0 to 1, less than 1", lambda v: 0 <= v < 1)]


def expected(annotation: Any) -> str:
    """The valid values of a field of this type, in words."""
    if get_origin(annotation) is Annotated:
        return annotation.__metadata__[0].words
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join(expected(choice) for choice in get_args(annotation))
    if get_origin(annotation) is Literal:
        return " or ".join(map(repr, get_args(annotation)))
    if get_origin(annotation) is tuple:
        return ", ".join(map(expected, get_args(annotation)))
    names = {int: "a whole number", float: "a finite number", bool: "True or False", str: "text", type(None): "None"}
    return names.get(annotation, f"a {getattr(annotation, '__name__', annotation)}")


def accepts(annotation: Any, value: Any) -> bool:
    """Whether a value is valid for a field of this type. NumPy numbers are numbers; a bool is not."""
    if get_origin(annotation) is Annotated:
        kind, limits = annotation.__origin__, annotation.__metadata__[0]
        return accepts(kind, value) and limits.holds(value)
    if get_origin(annotation) in (Union, types.UnionType):
        return any(accepts(choice, value) for choice in get_args(annotation))
    if get_origin(annotation) is Literal:
        return isinstance(value, str) and value in get_args(annotation)
    if get_origin(annotation) is tuple:
        kinds = get_args(annotation)
        return isinstance(value, tuple) and len(value) == len(kinds) and all(map(accepts, kinds, value))
    if annotation is bool:
        return isinstance(value, bool)
    if annotation in (int, float):
        if isinstance(value, bool) or not hasattr(value, "__float__") or isinstance(value, str):
            return False
        if annotation is int:
            return hasattr(value, "__index__")
        return math.isfinite(value) and not (hasattr(value, "__index__") and abs(value) >= 2**63)  # limit of torch
    return isinstance(value, annotation)


def require_setting(name: str, value: Any, annotation: Any) -> None:
    """Raises InputError if `value` is not valid for a field of this type."""
    require(accepts(annotation, value), f"{name} is {value!r}; expected {expected(annotation)}")


class Settings:
    """Base of dataclasses whose fields can be listed and set as in scikit-learn, checked, and written as JSON."""

    older: ClassVar[dict[str, Any]] = {}
    """What a missing field means in JSON, where that is not its default: how things were before there was the field."""

    @classmethod
    def field_types(cls) -> dict[str, Any]:
        hints = get_type_hints(cls, include_extras=True)
        return {field.name: hints[field.name] for field in dataclasses.fields(cls)}  # type: ignore[arg-type]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Every field by name; with `deep`, also the fields of nested settings, as `network__encoder`."""
        params = {name: getattr(self, name) for name in self.field_types()}
        if deep:
            for name, value in list(params.items()):
                if isinstance(value, Settings):
                    params |= {f"{name}__{key}": inner for key, inner in value.get_params().items()}
        return params

    def set_params(self, **params: Any) -> Self:
        """Set fields by name, nested ones as `network__encoder`. Raises InputError for an unknown name."""
        for name, value in params.items():
            head, _, rest = name.partition("__")
            known = self.field_types()
            require(head in known, f"{type(self).__name__} has no setting {head!r}; it has {', '.join(known)}")
            if rest:
                getattr(self, head).set_params(**{rest: value})
            else:
                setattr(self, head, value)
        return self

    def check(self) -> Self:
        """Check every field against its type and range. Raises InputError naming the field."""
        for name, annotation in self.field_types().items():
            value = getattr(self, name)
            require_setting(name, value, annotation)
            if isinstance(value, Settings):
                value.check()
        return self

    def to_json(self) -> dict[str, Any]:
        """Field names to plain values; nested settings are nested objects."""
        params = self.get_params(deep=False)
        return {name: value.to_json() if isinstance(value, Settings) else value for name, value in params.items()}

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """The inverse of `to_json`, safe for untrusted files: unknown names and wrong types raise InputError.

        Missing names get their `older` values or their defaults, so that runs of older versions still load.
        """
        require(isinstance(values, dict), f"the settings of {cls.__name__} are {values!r}; expected an object")
        values = cls.older | values
        known = cls.field_types()
        for name in values:
            require(name in known, f"{cls.__name__} has no setting {name!r}; it has {', '.join(known)}")
        for field in dataclasses.fields(cls):  # type: ignore[arg-type]
            needed = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            require(field.name in values or not needed, f"{cls.__name__} lacks its setting {field.name!r}")
        nested = {
            name: kind.from_json(values[name])
            for name, kind in known.items()
            if name in values and isinstance(kind, type) and issubclass(kind, Settings)
        }
        return cls(**(values | nested)).check()
