"""Backup and restore of the ledger: between databases, while agents write, and never over what is there."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from agentgauge.autonomy.action import Proposal
from agentgauge.autonomy.parts import Autonomy
from agentgauge.autonomy.policy import policy_source
from agentgauge.ledger import Ledger, Usage, backup
from agentgauge.ledger.backup import BATCH, COPIED, BackupError, back_up, restore
from agentgauge.ledger.schema import REPLICAS, TRANSCRIPTS
from tests.clock import Clock
from tests.exporter import schemas
from tests.exporter.autonomy.policies import TOOLS, written
from tests.exporter.conftest import sql

Opening = Callable[[str], Ledger]


@pytest.fixture
def opening(tmp_path: Path, request: pytest.FixtureRequest, clock: Clock) -> Iterator[Opening]:
    """Opens a ledger: ``postgresql``, or else in SQLite, in a file of the name that is given."""
    opened: list[Ledger] = []

    def new(name: str) -> Ledger:
        url = f"sqlite:///{tmp_path / name}"
        if name == "postgresql":
            url = request.getfixturevalue("postgresql_url")
        opened.append(Ledger.open(url, now=clock))
        return opened[-1]

    yield new
    for one in opened:
        one.close()


@pytest.fixture
def ledger(opening: Opening) -> Ledger:
    """A new ledger in SQLite: where it matters, a test asks for PostgreSQL as well."""
    return opening("ledger.sqlite")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the backup goes."""
    return tmp_path / "backups" / "ledger.sqlite"


def autonomy(ledger: Ledger, tmp_path: Path) -> Autonomy:
    """The autonomy of agent ``a`` on a ledger."""
    return Autonomy.on(ledger, "a", policy_source(written(tmp_path), TOOLS), lambda _tool, _arguments: None)


def fill(ledger: Ledger, tmp_path: Path) -> None:
    """Use by more people than are copied at once, a thumb, a conversation, and three decisions."""
    at = ledger.now().timestamp() + 0.123456
    use = {(ledger.today(), f"rep-{rep}"): Usage(1, 2, 0.1, at, at) for rep in range(BATCH + 1)}
    ledger.add_usage("a", use)
    ledger.add_feedback("a", "rep-1", "down", "wrong_answer")
    parts = autonomy(ledger, tmp_path)
    for number in range(3):
        one = parts.actions.propose(Proposal("write", "medium", "approval", {"body": f"Grüße {number}\n"}, {}))
        parts.approvals.approve(one.id, "ann")
    with ledger.writing() as connection:
        conversation = {"agent": "a", "session_id": "s", "at": 1.5, "version": "1", "prompt_version": "v1"}
        counted = {"tool_calls": 1, "turns": 1, "cost_usd": 0.1}
        said = {"policy": "{}", "occasions": "[]", "messages": '["ü"]'}
        connection.execute(TRANSCRIPTS.insert(), conversation | counted | said)


def contents(ledger: Ledger) -> dict[str, list[Any]]:
    """Table → its rows, in the order of their keys."""
    with ledger.reading() as connection:
        return {table.name: sorted(map(repr, connection.execute(select(table)).all())) for table in COPIED}


@pytest.mark.parametrize(("source", "target"), [("one", "other"), ("one", "postgresql"), ("postgresql", "other")])
def test_a_restored_ledger_is_the_one_that_was_backed_up(
    opening: Opening, source: str, target: str, file: Path, tmp_path: Path
) -> None:
    """From and into either database: each row, each figure, the pseudonyms, and a chain of decisions that verifies."""
    ledger = opening(source)
    fill(ledger, tmp_path)
    before = contents(ledger)
    kept = autonomy(ledger, tmp_path).decisions.verify().head
    assert back_up(ledger, file) == restore(file, opening(target)) == sum(map(len, before.values()))
    restored = opening(target)  # opened again, as agents do that start
    assert contents(restored) == before
    assert restored.users("a") == ledger.users("a")
    assert restored.pseudonym("rep-1") == ledger.pseudonym("rep-1")
    verified = autonomy(restored, tmp_path).decisions.verify(kept)
    assert (verified.rows, verified.problems) == (3, ())


def test_a_backup_is_one_file_for_its_owner_alone(ledger: Ledger, file: Path) -> None:
    """It holds user ids and the key of the pseudonyms."""
    back_up(ledger, file)
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("source", ["one", "postgresql"])
def test_a_backup_is_of_one_moment(
    opening: Opening, source: str, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is decided while it is written is not in it, neither the action nor the decision: half would be neither."""
    ledger = opening(source)
    fill(ledger, tmp_path)
    before = contents(ledger)
    copy_table = backup._copy_table
    parts = autonomy(ledger, tmp_path)

    def copy_and_decide(*arguments: Any) -> int:
        rows = copy_table(*arguments)
        parts.approvals.approve(parts.actions.propose(Proposal("write", "medium", "approval", {}, {})).id, "ann")
        return rows

    monkeypatch.setattr(backup, "_copy_table", copy_and_decide)
    back_up(ledger, file)
    assert contents(opening(f"backups/{file.name}")) == before
    assert contents(ledger) != before


def test_where_replicas_listen_is_not_restored(ledger: Ledger, opening: Opening, file: Path) -> None:
    """Commands would ask addresses of agents that are not there any more."""
    with ledger.writing() as connection:
        replica = {"agent": "a", "id": "r", "address": "http://10.0.0.5:9464", "version": "1"}
        connection.execute(REPLICAS.insert(), replica | {"started_at": 1.0, "seen_at": 1.0})
    back_up(ledger, file)
    restored = opening("other")
    restore(file, restored)
    with restored.reading() as connection:
        assert connection.execute(select(REPLICAS)).all() == []


def test_a_ledger_with_something_in_it_is_left_alone(ledger: Ledger, opening: Opening, file: Path) -> None:
    """A slip of the address must not cost what people decided."""
    back_up(ledger, file)
    other = opening("other")
    other.add_feedback("a", "rep-1", "up", "other")
    before = contents(other)
    with pytest.raises(BackupError, match="rows in agentgauge_feedback, and nothing is overwritten"):
        restore(file, other)
    assert contents(other) == before


def test_a_backup_never_replaces_another(ledger: Ledger, file: Path) -> None:
    """Nor whatever else has that name."""
    back_up(ledger, file)
    before = file.read_bytes()
    with pytest.raises(BackupError, match="exists already; name another file"):
        back_up(ledger, file)
    assert file.read_bytes() == before


def test_a_backup_of_an_older_version_is_restored_and_stays_as_it_is(opening: Opening, tmp_path: Path) -> None:
    """Backups are kept for longer than versions."""
    old = tmp_path / "old.sqlite"
    schemas.create(f"sqlite:///{old}", 3)
    sql(f"sqlite:///{old}", "INSERT INTO agentgauge_usage VALUES ('a', '2026-03-18', 'rep-1', 1, 2, 0.5)")
    before = old.read_bytes()
    restored = opening("new.sqlite")
    restore(old, restored)
    assert old.read_bytes() == before
    assert restored.spend_today("a") == {"rep-1": 0.5}


@pytest.mark.parametrize(
    ("prepare", "says"),
    [
        (lambda _path: None, "there is no file"),
        (lambda path: path.write_bytes(b"x" * 2000), "is not a backup of a ledger: file is not a database"),
        (
            lambda path: sql(f"sqlite:///{path}", "CREATE TABLE t (a TEXT)"),
            "is not a backup of a ledger: no such table",
        ),
    ],
)
def test_what_is_no_backup_is_said(
    ledger: Ledger, tmp_path: Path, prepare: Callable[[Path], object], says: str
) -> None:
    """And the ledger is as it was."""
    path = tmp_path / "something"
    prepare(path)
    before = contents(ledger)
    with pytest.raises(BackupError, match=says):
        restore(path, ledger)
    assert contents(ledger) == before


def test_a_backup_of_a_newer_version_says_what_to_do(ledger: Ledger, file: Path) -> None:
    """Its tables may hold what this version does not know."""
    back_up(ledger, file)
    sql(f"sqlite:///{file}", "UPDATE agentgauge_meta SET value = '99' WHERE name = 'schema_version'")
    with pytest.raises(BackupError, match=r"ledger.sqlite cannot be restored: .*version 99.*upgrade agentgauge"):
        restore(file, ledger)


def test_a_backup_that_cannot_be_written_leaves_nothing_behind(ledger: Ledger, tmp_path: Path) -> None:
    """A folder that is a file, for instance."""
    (tmp_path / "taken").write_text("", encoding="utf-8")
    with pytest.raises(BackupError, match="cannot be written"):
        back_up(ledger, tmp_path / "taken" / "ledger.sqlite")
    assert (tmp_path / "taken").read_text(encoding="utf-8") == ""
