"""Prices of your own, where they are not the list's: negotiated ones, and those of models that are on no list.

The YAML file says, by model, USD per million tokens of each kind (``web_searches``: per thousand), and a ``factor`` on
the list's price of all other kinds, 0.85 for 15 % off::

    models:
      claude-opus-5-5: {factor: 0.85}
      claude-haiku-5-5: {input: 0.09, output: 0.45}
      our-own-model: {input: 0.2, output: 0.6}

A price given here holds for prompts of any size. Batches and the fast mode cost what the list says, times the factor.
A model that is on no list needs ``input`` and ``output``; its cache costs as much as its input if nothing is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING

from agentgauge.vocabulary import TOKEN_KINDS

if TYPE_CHECKING:
    import yaml

KINDS = (*TOKEN_KINDS, "web_searches")


class PriceError(ValueError):
    """A price file says something that cannot be used; the message holds file, line, field and remedy."""


@dataclass(frozen=True)
class OwnPrice:
    """USD by kind, per million tokens or per thousand searches, and the factor on the list's price of the others."""

    usd: Mapping[str, Decimal]
    factor: Decimal = Decimal(1)


def read(path: Path, name_on_list: Callable[[str], str | None]) -> dict[str, OwnPrice]:
    """Read the file; returns prices by the list's name of the model, or the file's if it is on no list.

    Raises PriceError at the first thing wrong with it, and ImportError if PyYAML is not installed.
    """
    try:
        import yaml
    except ModuleNotFoundError:
        raise ImportError(
            f'{path.name} needs PyYAML to be read, which is not installed: pip install "agentgauge[prices]"'
        ) from None
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except OSError as error:
        raise PriceError(f"{path} cannot be read: {error.strerror or error}") from None
    except yaml.YAMLError as error:
        raise PriceError(f"{path.name} is not YAML: {error}") from None
    top = dict(_Place(path, "", 1, root).fields(("models",)))
    if "models" not in top:
        raise PriceError(f"{path.name}:1: models: is missing")
    prices: dict[str, OwnPrice] = {}
    for model, place in top["models"].fields():
        listed = name_on_list(model)
        if (listed or model) in prices:
            raise place.error(f"{listed} is given twice, by two of its names")
        prices[listed or model] = _own_price(place, on_list=listed is not None)
    return prices


def _own_price(place: _Place, on_list: bool) -> OwnPrice:
    given = {field: value.number() for field, value in place.fields((*KINDS, "factor"))}
    if not on_list:
        if "factor" in given:
            raise place.error("this model is on no price list, so there is nothing to multiply; check its name")
        if missing := [kind for kind in ("input", "output") if kind not in given]:
            raise place.error(f"this model is on no price list: give its price for {' and '.join(missing)}, too")
    factor = given.pop("factor", Decimal(1))
    return OwnPrice(given, factor)


@dataclass(frozen=True)
class _Place:
    """A place in the file: its name, its line, and what stands there."""

    path: Path
    name: str
    line: int
    node: yaml.Node | None

    def error(self, problem: str) -> PriceError:
        return PriceError(f"{self.path.name}:{self.line}: {self.name or 'the file'}: {problem}")

    def fields(self, known: tuple[str, ...] | None = None) -> Iterator[tuple[str, _Place]]:
        """What stands under each key; ``known`` are the keys that there may be."""
        import yaml

        if not isinstance(self.node, yaml.MappingNode):
            raise self.error(f"expected fields: {', '.join(known or ['a model and what it costs'])}")
        seen: set[str] = set()
        for key, value in self.node.value:
            name = f"{self.name}.{key.value}".removeprefix(".")
            field = _Place(self.path, name, key.start_mark.line + 1, value)
            if key.value in seen:
                raise field.error("is given twice")
            if known is not None and key.value not in known:
                raise field.error(f"unknown field; the known ones are {', '.join(known)}")
            seen.add(key.value)
            yield key.value, field

    def number(self) -> Decimal:
        """The price or factor that stands here."""
        import yaml

        written = self.node.value if isinstance(self.node, yaml.ScalarNode) else ""
        try:
            number = Decimal(written)
        except InvalidOperation:
            raise self.error(f"{written!r} is no number; write 3.20 for $3.20") from None
        if not number.is_finite() or number < 0:
            raise self.error(f"{written} is no price: that is a number from 0 up")
        return number
