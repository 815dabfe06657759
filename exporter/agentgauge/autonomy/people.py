"""Who can log in: a file of people with their roles and the hash of each one's token, which is shown once, when made.

Beside it, whoever owns the state folder has a token of their own, so that one machine works without any set-up. The
roles are the policy's words; FRONT_END alone means something here.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field

from agentgauge.autonomy.permission import Person
from agentgauge.autonomy.showing import visible
from agentgauge.files.yaml_file import YamlFileError, read_yaml
from agentgauge.files.yaml_model import Part, parsed

FILE_NAME = "people.yml"
OWNER_FILE_NAME = "approvals-token"
FILE_VARIABLE = "AGENTGAUGE_PEOPLE"
TOKEN_VARIABLE = "AGENTGAUGE_TOKEN"  # noqa: S105 - its name

FRONT_END = "front_end"
"""The role of a program that logs its users in itself: what it asks and decides is in the name of the user it names."""

LONGEST_NAME = 60
SHORTEST_TOKEN = 20


class TokenError(Exception):
    """People or their tokens cannot be used; the message says why and what to do, and never holds a token."""


class _Entry(Part):
    roles: list[Annotated[str, Field(min_length=1)]] = Field(default_factory=list)
    token_sha256: str = Field(pattern="^[0-9a-f]{64}$")


class _File(Part):
    people: dict[str, _Entry] = Field(default_factory=dict)


@dataclass(frozen=True)
class People:
    """The people of one agent, read from the files at each question: who is removed is out at once.

    ``file`` is shared by replicas; ``owner_file`` holds the owner's name and token, None if nobody but those in the
    file can log in. Methods raise TokenError when a file cannot be used.
    """

    file: Path
    owner_file: Path | None = None

    @classmethod
    def of(cls, state: Path) -> Self:
        """Those in the file that AGENTGAUGE_PEOPLE names, or else those in the state folder, and its owner."""
        given = os.environ.get(FILE_VARIABLE)
        return cls(Path(given)) if given else cls(state / FILE_NAME, state / OWNER_FILE_NAME)

    def all(self) -> dict[str, Person]:
        """Everybody by name."""
        people = {name: Person(name, tuple(entry.roles)) for name, entry in self._entries().items()}
        owner = self._owner()
        if owner is not None:
            people[owner[0]] = self._as_owner(owner[0], people)
        return people

    def with_token(self, token: str) -> Person | None:
        """Whose token that is; None if it is nobody's."""
        if len(token) < SHORTEST_TOKEN:
            return None
        digest, name = _digest(token), None
        for known, entry in self._entries().items():
            if secrets.compare_digest(entry.token_sha256, digest):
                name = known
        owner = self._owner()
        if owner is not None and secrets.compare_digest(_digest(owner[1]), digest):
            name = owner[0]
        return None if name is None else self.all()[name]

    def me(self) -> tuple[Person, str]:
        """Who runs this process, and their token: AGENTGAUGE_TOKEN's, or the owner of the state folder.

        The owner's token is made at first use.
        """
        token = os.environ.get(TOKEN_VARIABLE)
        if token:
            person = self.with_token(token)
            if person is None:
                raise TokenError(f"{TOKEN_VARIABLE} is nobody's token; `agentgauge approvals people` lists who has one")
            return person, token
        return self.owner()

    def owner(self) -> tuple[Person, str]:
        """The owner of the state folder, and their token, made at first use."""
        if self.owner_file is None:
            raise TokenError(f"say who you are: set {TOKEN_VARIABLE} to your token, as {FILE_VARIABLE} is set")
        if not self.owner_file.exists():
            _make(self.owner_file)
        name, token = self._owner() or ("", "")
        return self.all()[name], token

    def add(self, name: str, roles: tuple[str, ...]) -> str:
        """Give somebody a new token, which replaces the one they had; returns it, and keeps only its hash."""
        if not 0 < len(name) <= LONGEST_NAME or visible(name) != name or name != " ".join(name.split()):
            raise TokenError(f"a name has 1 to {LONGEST_NAME} characters that can be seen, not {visible(name)!r}")
        token = secrets.token_urlsafe(32)
        self._write({**self._entries(), name: _Entry(roles=list(roles), token_sha256=_digest(token))})
        return token

    def remove(self, name: str) -> bool:
        """Take somebody's token away; False if they have none in the file."""
        entries = self._entries()
        gone = entries.pop(name, None)
        if gone is not None:
            self._write(entries)
        return gone is not None

    def _entries(self) -> dict[str, _Entry]:
        if not self.file.exists():
            return {}
        _check_private(self.file)
        try:
            return dict(parsed(read_yaml(self.file), _File).people)
        except YamlFileError as error:
            raise TokenError(str(error)) from None

    def _write(self, entries: Mapping[str, _Entry]) -> None:
        import yaml

        self.file.parent.mkdir(parents=True, exist_ok=True)
        document = {"people": {name: entry.model_dump() for name, entry in sorted(entries.items())}}
        written = _aside(self.file, yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
        written.replace(self.file)

    def _owner(self) -> tuple[str, str] | None:
        """The owner's name and token, if there is one."""
        if self.owner_file is None or not self.owner_file.exists():
            return None
        _check_private(self.owner_file)
        name, _, token = self.owner_file.read_text(encoding="utf-8", errors="replace").strip().rpartition(" ")
        if len(token) < SHORTEST_TOKEN:
            raise TokenError(f"the token in {self.owner_file} can be guessed; delete the file, and a new one is made")
        return name or _who_runs_this(), token

    def _as_owner(self, name: str, people: Mapping[str, Person]) -> Person:
        roles = people[name].roles if name in people else ()
        return Person(name, (*roles, FRONT_END))


def _digest(token: str) -> str:
    # Tokens are 32 random bytes, so a fast hash gives nothing away: there is no list of likely ones to try.
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def _check_private(path: Path) -> None:
    if path.stat().st_mode & 0o077 and path.name == OWNER_FILE_NAME:
        raise TokenError(f"{path} can be read by other users; delete it (a new one is made) or run: chmod 600 {path}")
    if path.stat().st_mode & 0o022:
        raise TokenError(f"{path} can be changed by other users, who could log in with it; run: chmod go-w {path}")


def _make(path: Path) -> None:
    """Write it aside and link it into place: of two processes that start at once, both read the same whole file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = _aside(path, f"{_who_runs_this()} {secrets.token_urlsafe(32)}\n")
    try:
        path.hardlink_to(written)
    except FileExistsError:
        pass  # the other process was faster
    finally:
        written.unlink()


def _aside(path: Path, text: str) -> Path:
    """A file beside ``path`` that holds the text, and only its owner can read."""
    written = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    written.touch(mode=0o600)
    written.write_text(text, encoding="utf-8")
    return written


def _who_runs_this() -> str:
    """The name of the user that this process runs as; containers often have none."""
    try:
        name = os.environ.get("USER") or getpass.getuser()
    except (ImportError, KeyError, OSError):
        name = ""
    return "".join(visible(name).split())[:LONGEST_NAME] or "owner"
