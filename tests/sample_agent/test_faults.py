"""Faults on demand: what is injected is seen by a running reader, and a bad file breaks nobody."""

import logging
import random
from pathlib import Path

import pytest

from sample_agent.errors import CrmUnavailable, SchemaMismatch
from sample_agent.faults import (
    FAULTS,
    FILE_NAME,
    FLAKY_PROBABILITY,
    SLOW_TOOL_SECONDS,
    Fault,
    FaultFile,
    ModelFault,
    clear,
    inject,
)
from sample_agent.settings import state_directory


def test_no_file_means_no_fault(tmp_path: Path) -> None:
    """A demo that nobody broke works."""
    reader = FaultFile(tmp_path / "not made yet")
    assert reader.active() == ()
    assert reader.tool_fault("search_emails") is None
    assert reader.model_fault() == ModelFault()


def test_a_running_reader_sees_faults_come_and_go(tmp_path: Path) -> None:
    """The reader is never told: it notices the file."""
    reader = FaultFile(tmp_path)
    for _ in range(3):
        inject(tmp_path, Fault("looping"))
        assert reader.model_fault().behaviour == "looping"
        inject(tmp_path, Fault("declining"))
        assert reader.active() == (Fault("looping"), Fault("declining"))
        clear(tmp_path, "looping")
        assert reader.model_fault().behaviour == "declining"
        clear(tmp_path)
        assert reader.active() == ()


def test_injecting_twice_is_the_same_as_once(tmp_path: Path) -> None:
    """Faults do not pile up."""
    inject(tmp_path, Fault("crm-outage"))
    inject(tmp_path, Fault("crm-outage"))
    assert FaultFile(tmp_path).active() == (Fault("crm-outage"),)


def test_clearing_ends_every_fault_of_that_name_and_no_other(tmp_path: Path) -> None:
    """Two tools with the same fault are cleared in one go."""
    inject(tmp_path, Fault("slow-tool", "search_emails"))
    inject(tmp_path, Fault("slow-tool"))
    inject(tmp_path, Fault("looping"))
    clear(tmp_path, "slow-tool")
    assert FaultFile(tmp_path).active() == (Fault("looping"),)


def test_clearing_what_is_not_there_is_fine(tmp_path: Path) -> None:
    """`clear` can be run at any time, and makes no folder."""
    clear(tmp_path / "absent")
    clear(tmp_path / "absent", "looping")
    assert not (tmp_path / "absent").exists()


def test_an_outage_hits_every_tool(tmp_path: Path) -> None:
    """With no tool named, nothing that needs the CRM works."""
    inject(tmp_path, Fault("crm-outage"))
    reader = FaultFile(tmp_path)
    for tool in ("search_crm_contacts", "send_email"):
        fault = reader.tool_fault(tool)
        assert fault is not None
        assert isinstance(fault.error, CrmUnavailable)


def test_an_outage_of_one_tool_leaves_the_others_alone(tmp_path: Path) -> None:
    """`--tool` narrows a fault."""
    inject(tmp_path, Fault("crm-outage", "search_emails"))
    reader = FaultFile(tmp_path)
    assert reader.tool_fault("search_emails") is not None
    assert reader.tool_fault("get_deal_history") is None


def test_slowness_and_an_error_add_up(tmp_path: Path) -> None:
    """Two faults on one tool both show: it waits, then fails."""
    inject(tmp_path, Fault("slow-tool"))
    inject(tmp_path, Fault("new-error"))
    fault = FaultFile(tmp_path).tool_fault("get_deal_history")
    assert fault is not None
    assert fault.delay_seconds == SLOW_TOOL_SECONDS
    assert isinstance(fault.error, SchemaMismatch)


def test_a_flaky_tool_fails_about_one_call_in_five(tmp_path: Path) -> None:
    """The share of failing calls is the one that is promised."""
    inject(tmp_path, Fault("flaky-tool", "update_crm"))
    rng = random.Random(7)  # noqa: S311 - a seed makes the share repeatable
    reader = FaultFile(tmp_path, rng)
    failed = sum(reader.tool_fault("update_crm") is not None for _ in range(2000))
    assert failed / 2000 == pytest.approx(FLAKY_PROBABILITY, abs=0.03)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("overloaded", ModelFault(http_status=529)),
        ("rate-limited", ModelFault(http_status=429)),
        ("provider-error", ModelFault(http_status=500)),
        ("slow-model", ModelFault(slow_seconds=12.0)),
        ("looping", ModelFault(behaviour="looping")),
        ("declining", ModelFault(behaviour="declining")),
        ("cold-cache", ModelFault(cold_cache=True)),
        ("usage-lost", ModelFault(usage_lost=True)),
        ("choosy", ModelFault(behaviour="choosy")),
        ("hallucinating", ModelFault(behaviour="hallucinating")),
    ],
)
def test_each_model_fault_has_its_own_effect(tmp_path: Path, name: str, expected: ModelFault) -> None:
    """A model fault changes the provider and no tool."""
    inject(tmp_path, Fault(name))
    reader = FaultFile(tmp_path)
    assert reader.model_fault() == expected
    assert reader.tool_fault("get_deal_history") is None


def test_an_unknown_fault_is_refused_with_the_known_ones() -> None:
    """The message says what could have been meant."""
    with pytest.raises(ValueError, match=r"unknown fault 'crm-outtage'; known faults: crm-outage, slow-tool"):
        Fault("crm-outtage")


def test_clearing_an_unknown_fault_is_refused(tmp_path: Path) -> None:
    """A typing error must not look like a success."""
    with pytest.raises(ValueError, match="unknown fault 'loping'"):
        clear(tmp_path, "loping")


def test_a_model_fault_takes_no_tool() -> None:
    """A tool that would be ignored is an error."""
    with pytest.raises(ValueError, match="acts on the model"):
        Fault("looping", "search_emails")


@pytest.mark.parametrize(
    "content",
    [
        "",
        '{"faults": [{"name": "loop',
        "[]",
        '{"faults": ["looping"]}',
        '{"faults": [{"name": "no-such-fault"}]}',
        '{"faults": [{"name": "looping", "tool": 3}]}',
        "\udcff",
    ],
)
def test_an_unreadable_file_means_no_fault_and_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    """However often it is asked, a bad file costs one log line and never an exception."""
    (tmp_path / FILE_NAME).write_bytes(content.encode("utf-8", "surrogateescape"))
    reader = FaultFile(tmp_path)
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            assert reader.active() == ()
    assert len(caplog.records) == 1


def test_a_bad_file_can_be_overwritten(tmp_path: Path) -> None:
    """After a broken write by hand, `fault` works again."""
    (tmp_path / FILE_NAME).write_text("nonsense")
    inject(tmp_path, Fault("looping"))
    assert FaultFile(tmp_path).active() == (Fault("looping"),)
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_every_fault_says_what_it_does() -> None:
    """The descriptions are what the command line prints."""
    assert all(kind.description.endswith(".") for kind in FAULTS.values())


def test_the_state_directory_can_be_moved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """AGENTGAUGE_STATE wins over the folder beside the project."""
    monkeypatch.delenv("AGENTGAUGE_STATE", raising=False)
    assert state_directory() == Path(".stack/state")
    monkeypatch.setenv("AGENTGAUGE_STATE", str(tmp_path))
    assert state_directory() == tmp_path
