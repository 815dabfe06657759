"""Your own prices, where they differ from the list: negotiated ones, and those of models that are not listed.

The YAML file says, by model, USD per million tokens of each kind (``web_searches``: per thousand), and a ``factor`` on
the list's price of all other kinds, 0.85 for 15 % off::

    as_of: 2026-11-02
    models:
      claude-opus-5-5: {factor: 0.85}
      claude-haiku-5-5: {input: 0.09, output: 0.45}
      our-own-model: {input: 0.2, output: 0.6}

A price given here holds for prompts of any size. Batches and the fast mode cost what the list says, times the factor.
A model that is not listed needs ``input`` and ``output``; without a price for its cache, that costs as much as input.
``as_of``, which may be left out, is the day on which somebody last compared the file with what is paid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

from agentgauge.files.yaml_file import Block, YamlFileError, read_yaml
from agentgauge.vocabulary import TOKEN_KINDS

KINDS = (*TOKEN_KINDS, "web_searches")


class PriceError(YamlFileError):
    """A price file says something that cannot be used; the message holds file, line, field and remedy."""


@dataclass(frozen=True)
class OwnPrice:
    """USD by kind, per million tokens or per thousand searches, and the factor on the list's price of the others."""

    usd: Mapping[str, Decimal]
    factor: Decimal = Decimal(1)


@dataclass(frozen=True)
class OwnPrices:
    """A price file: its prices by the list's name of the model, or the file's name if it is not listed, and its day."""

    by_model: Mapping[str, OwnPrice]
    as_of: date | None = None


def read(path: Path, name_on_list: Callable[[str], str | None]) -> OwnPrices:
    """Read the file.

    Raises PriceError at the first mistake, and ImportError if PyYAML is not installed.
    """
    try:
        file = read_yaml(path, error_class=PriceError)
    except ModuleNotFoundError:
        raise ImportError(
            f'{path.name} needs PyYAML to be read, which is not installed: pip install "agentgauge[prices]"'
        ) from None
    file.only("as_of", "models")
    prices: dict[str, OwnPrice] = {}
    for model, block in file.block("models").fields.items():
        listed = name_on_list(model)
        if (listed or model) in prices:
            raise block.error((), f"{listed} is given twice, by two of its names; remove one")
        prices[listed or model] = _own_price(block, on_list=listed is not None)
    return OwnPrices(prices, _day(file.block("as_of")) if "as_of" in file.fields else None)


def _day(block: Block) -> date:
    try:
        return date.fromisoformat(block.text())
    except ValueError:
        raise block.error((), f"{block.written!r} is not a day; write it as in 2026-11-02") from None


def _own_price(block: Block, on_list: bool) -> OwnPrice:
    block.only(*KINDS, "factor")
    given = {field: _price(value) for field, value in block.fields.items()}
    if not on_list:
        if "factor" in given:
            raise block.error(
                (), "this model is not on the price list, so there is nothing to multiply; check its name"
            )
        if missing := [kind for kind in ("input", "output") if kind not in given]:
            raise block.error(
                (), f"this model is not on the price list: give its price for {' and '.join(missing)}, too"
            )
    factor = given.pop("factor", Decimal(1))
    return OwnPrice(given, factor)


def _price(block: Block) -> Decimal:
    number = block.number()
    if number < 0:
        raise block.error((), f"{number} is not a valid price; write 0 or more, as in 3.20 for $3.20")
    return number
