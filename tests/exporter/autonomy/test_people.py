"""Who can log in: people with tokens of which only the hash is kept, and the owner of the state folder."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from agentgauge.autonomy.people import (
    FILE_NAME,
    FILE_VARIABLE,
    FRONT_END,
    OWNER_FILE_NAME,
    TOKEN_VARIABLE,
    People,
    TokenError,
)
from agentgauge.autonomy.permission import Person


@pytest.fixture(autouse=True)
def _nobody_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (FILE_VARIABLE, TOKEN_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("USER", "olga")


def test_a_token_is_somebodys_and_is_not_kept(tmp_path: Path) -> None:
    """Whoever reads the file cannot log in with it; whoever has the token has its roles."""
    people = People.of(tmp_path)
    token = people.add("ann", ("lead", "legal"))
    assert len(token) >= 43  # 32 random bytes
    assert people.with_token(token) == Person("ann", ("lead", "legal"))
    assert token not in (tmp_path / FILE_NAME).read_text()
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600
    for wrong in ("", token[:-1], f"{token}x", "\N{SNOWMAN}" * 20, "\udc80" * 20):
        assert people.with_token(wrong) is None


def test_a_new_token_replaces_the_one_before(tmp_path: Path) -> None:
    """And one that was taken away is nobody's."""
    people = People.of(tmp_path)
    first, second = people.add("ann", ()), people.add("ann", ("lead",))
    assert people.with_token(first) is None
    assert people.with_token(second) == Person("ann", ("lead",))
    assert people.remove("ann")
    assert people.with_token(second) is None
    assert not people.remove("ann")


@pytest.mark.parametrize("name", ["", " ", "x" * 61, "An\u202en", "Ann\x1b[2J", " Ann"])
def test_a_name_can_be_read(tmp_path: Path, name: str) -> None:
    """It is what the record says for ever."""
    with pytest.raises(TokenError, match="a name has 1 to 60 characters that can be seen"):
        People.of(tmp_path).add(name, ())


def test_the_owner_of_the_state_folder_has_a_token_from_the_start(tmp_path: Path) -> None:
    """No default: each installation has its own, made once, and only its owner can read it."""
    people = People.of(tmp_path / "state")
    owner, token = people.me()
    assert owner == Person("olga", (FRONT_END,))
    assert people.with_token(token) == owner
    assert people.me() == (owner, token)
    assert People.of(tmp_path / "other").me()[1] != token
    assert stat.S_IMODE((tmp_path / "state" / OWNER_FILE_NAME).stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "state").iterdir()] == [OWNER_FILE_NAME]
    people.add("olga", ("lead",))
    assert people.me()[0] == Person("olga", ("lead", FRONT_END))


def test_an_owner_does_not_change_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sets USER to a colleague's name still decides as themselves."""
    people = People.of(tmp_path)
    people.me()
    monkeypatch.setenv("USER", "ann")
    assert people.me()[0].name == "olga"


def test_two_processes_that_start_at_once_have_one_owner(tmp_path: Path) -> None:
    """The service and the command that prints the link, for example."""
    barrier = Barrier(8, timeout=60)

    def start(_: int) -> str:
        barrier.wait(timeout=20)
        return People.of(tmp_path).me()[1]

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(start, range(8)))) == 1


def test_the_environment_says_who_somebody_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By their token; one that is nobody's is refused, and not repeated."""
    people = People.of(tmp_path)
    token = people.add("ann", ())
    monkeypatch.setenv(TOKEN_VARIABLE, token)
    assert people.me() == (Person("ann"), token)
    monkeypatch.setenv(TOKEN_VARIABLE, "a-token-of-nobody-at-all")
    with pytest.raises(TokenError, match="AGENTGAUGE_TOKEN is nobody's token") as refused:
        people.me()
    assert "a-token-of-nobody" not in str(refused.value)


def test_where_replicas_share_a_file_nobody_owns_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever decides needs a token from that file."""
    monkeypatch.setenv(FILE_VARIABLE, str(tmp_path / "shared.yml"))
    people = People.of(tmp_path / "state")
    token = people.add("ann", ())
    with pytest.raises(TokenError, match="say who you are: set AGENTGAUGE_TOKEN to your token"):
        people.me()
    assert People.of(tmp_path / "another state").with_token(token) == Person("ann")


def test_an_owners_token_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """It may be known by now, and the message says what to do."""
    People.of(tmp_path).me()
    (tmp_path / OWNER_FILE_NAME).chmod(0o640)
    with pytest.raises(TokenError, match="can be read by other users; delete it"):
        People.of(tmp_path).me()


def test_an_owners_token_that_can_be_guessed_is_refused(tmp_path: Path) -> None:
    """And the message does not repeat it."""
    (tmp_path / OWNER_FILE_NAME).write_text("olga hunter2\n")
    (tmp_path / OWNER_FILE_NAME).chmod(0o600)
    with pytest.raises(TokenError, match="can be guessed; delete the file") as refused:
        People.of(tmp_path).me()
    assert "hunter2" not in str(refused.value)


def test_a_file_that_others_can_change_is_refused(tmp_path: Path) -> None:
    """They could add themselves."""
    people = People.of(tmp_path)
    token = people.add("ann", ())
    (tmp_path / FILE_NAME).chmod(0o666)
    with pytest.raises(TokenError, match="can be changed by other users, who could log in with it"):
        people.with_token(token)


def test_a_mistake_in_the_file_is_named(tmp_path: Path) -> None:
    """With its line and field; nobody logs in on half a file."""
    (tmp_path / FILE_NAME).write_text("people:\n  ann:\n    token_sha256: secret\n")
    (tmp_path / FILE_NAME).chmod(0o600)
    with pytest.raises(TokenError, match=r"people.yml:3: people.ann.token_sha256"):
        People.of(tmp_path).all()
