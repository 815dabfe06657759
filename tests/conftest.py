"""What tests share: a registry, a fault file, a CRM and a fake Messages API of their own, and the real programs."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from sample_agent.fake_api.app import create_app
from sample_agent.faults import FaultFile
from sample_agent.sales import crm
from sample_agent.serving import serving
from stack import binaries
from stack.layout import HOME


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands print as they do into a file: how wide the terminal is that runs the tests must not show."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture(scope="session", autouse=True)
def no_byte_code_of_what_is_gone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Byte code that is kept away from the sources would outlive the environments that tests make for themselves."""
    yield
    if sys.pycache_prefix is not None:
        made_from = tmp_path_factory.getbasetemp().relative_to("/")
        shutil.rmtree(Path(sys.pycache_prefix, made_from), ignore_errors=True)


@pytest.fixture
def registry() -> CollectorRegistry:
    """A registry that holds nothing yet."""
    return CollectorRegistry()


@pytest.fixture
def faults(tmp_path: Path) -> FaultFile:
    """A reader of the faults in `tmp_path`; none is in force."""
    return FaultFile(tmp_path)


@pytest.fixture
def sales_crm(tmp_path: Path) -> Iterator[crm.Crm]:
    """A CRM of its own, made from the shipped data."""
    crm.build(tmp_path / "crm.sqlite")
    opened = crm.Crm(tmp_path / "crm.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def fake_api(faults: FaultFile) -> Iterator[str]:
    """The address of a fake API that answers at once and obeys the faults in `tmp_path`."""
    with serving(create_app(faults, latency=0)) as url:
        yield url


@pytest.fixture(scope="session")
def programs() -> dict[str, Path]:
    """The real prometheus, promtool, alertmanager and amtool."""
    return binaries.ensure(HOME)
