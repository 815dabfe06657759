"""Prompts and tool descriptions as versions: folders of files, one of them in force, as the ledger says.

A version is a folder ``v1``, ``v2``, … with a file ``<name>.md`` for each text and ``tools.yml`` for the descriptions
of the tools. Never edit a version that was in force: a change is a new folder.
"""

from __future__ import annotations

import difflib
import logging
import re
import textwrap
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import yaml

from agentgauge.files.yaml_file import YamlFileError, read_yaml
from agentgauge.prompts.activations import PromptActivations

log = logging.getLogger(__name__)

TOOLS_FILE = "tools.yml"
DESCRIPTION_WIDTH = 116
"""Of the lines of a description that is written."""


class PromptError(YamlFileError):
    """A version is missing or incomplete; the message says where, and what to do."""


@dataclass(frozen=True)
class Prompts:
    """One version: the texts by name, and the description of each tool for the model."""

    version: str
    texts: Mapping[str, str]
    tool_descriptions: Mapping[str, str]

    def files(self) -> dict[str, str]:
        """The same as file name → content, as people read it."""
        tools = "\n\n".join(f"{tool}: {description}" for tool, description in self.tool_descriptions.items())
        return {**{f"{name}.md": text for name, text in self.texts.items()}, TOOLS_FILE: f"{tools}\n"}


class PromptSource(Protocol):
    """Gives a request its prompts: the version in force as it begins, and the same ``version`` when it goes on."""

    def __call__(self, version: str | None = None) -> Prompts:
        """The version in force, or this one."""


class PromptLibrary:
    """The versions in a folder; each has all of these texts, and describes all of these tools and no other."""

    def __init__(self, folder: Path, texts: Collection[str], tools: Collection[str]) -> None:
        self._folder = folder
        self._texts = texts
        self._tools = tools

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self._folder.name

    def versions(self) -> list[str]:
        """The names of the versions, oldest first."""
        names = [path.name for path in self._folder.glob("v*") if re.fullmatch(r"v[0-9]+", path.name)]
        return sorted(names, key=lambda name: int(name[1:]))

    def load(self, version: str | None = None) -> Prompts:
        """Read a version, the newest by default; raises PromptError if it is missing or incomplete."""
        versions = self.versions()
        if not versions:
            raise PromptError(
                f"{self._folder} holds no prompts; create a folder v1 there, with the texts and tools.yml"
            )
        if version is None:
            version = versions[-1]
        if version not in versions:
            raise PromptError(
                f"there are no prompts {version!r} in {self._folder}; the versions are {', '.join(versions)}"
            )
        folder = self._folder / version
        texts = {name: _read(folder / f"{name}.md") for name in self._texts}
        return Prompts(version, texts, self._descriptions(folder / TOOLS_FILE))

    def next_version(self) -> str:
        """The name of the version after the newest."""
        return f"v{max((int(name[1:]) for name in self.versions()), default=0) + 1}"

    def write(self, prompts: Prompts, based_on: str, beside: Path | None = None) -> Path:
        """Write a new version, with the comments of the one that it is based on; returns its folder.

        ``beside`` is another folder than that of the versions, for a draft. Raises FileExistsError if there is such a
        version, and OSError if it cannot be written.
        """
        before, folder = self.load(based_on), (beside or self._folder) / prompts.version
        file = (self._folder / based_on / TOOLS_FILE).read_text(encoding="utf-8")
        for tool, description in prompts.tool_descriptions.items():
            if description != before.tool_descriptions[tool]:
                file = with_description(file, tool, description)
        if _said_in(file) != prompts.tool_descriptions:
            # As with `{a: x, b: y}` on one line: what it says matters more than how it was laid out.
            file = yaml.safe_dump(dict(prompts.tool_descriptions), sort_keys=False, allow_unicode=True)
        folder.mkdir(parents=beside is not None)
        for name, text in prompts.texts.items():
            (folder / f"{name}.md").write_text(text, encoding="utf-8")
        (folder / TOOLS_FILE).write_text(file, encoding="utf-8")
        return folder

    def version_before(self, version: str) -> str | None:
        """The newest version older than this one that can be loaded; None if there is none, or this one is gone."""
        versions = self.versions()
        for older in reversed(versions[: versions.index(version)] if version in versions else []):
            try:
                return self.load(older).version
            except PromptError:
                continue  # a rollback could not load it either
        return None

    def _descriptions(self, path: Path) -> dict[str, str]:
        file = read_yaml(path, name=str(path), error_class=PromptError)
        for tool in file.fields:
            if tool not in self._tools:
                raise file.error(tool, f"there is no such tool; the tools are {', '.join(self._tools)}")
        if missing := [tool for tool in self._tools if tool not in file.fields]:
            raise file.error((), f"describe {', '.join(missing)} as well")
        return {tool: description.text().strip() for tool, description in file.fields.items()}


class ActivePrompts:
    """The PromptSource of an agent: the version in force is held in memory, so that asking for it is cheap.

    If the ledger names no version yet, the newest one comes into force. ``on_change`` is called with each version that
    comes into force here, the first one included; ``on_read`` with whether the version that the ledger names can be
    used, each time that it is compared.
    """

    def __init__(
        self,
        library: PromptLibrary,
        activations: PromptActivations,
        on_change: Callable[[str], None],
        on_read: Callable[[bool], object] = lambda _usable: None,
    ) -> None:
        self._library = library
        self._activations = activations
        self._on_change = on_change
        self._on_read = on_read
        self._current = library.load()
        self._refused: str | None = None
        self._follow(activations.start_with(self._current.version).version)
        on_change(self._current.version)

    def __call__(self, version: str | None = None) -> Prompts:
        """The version in force; or this one, for a request that began with it and goes on."""
        current = self._current
        if version is None or version == current.version:
            return current
        try:
            return self._library.load(version)
        except PromptError:
            return current  # a deployment has removed it since

    def refresh(self) -> None:
        """Follow the ledger; raises what the database raises. A version that cannot be loaded changes nothing."""
        active = self._activations.active()
        before = self._current.version
        if active is not None and self._follow(active.version):
            log.info("prompts %s are in force now, in place of %s", active.version, before)
            self._on_change(active.version)

    def _follow(self, version: str) -> bool:
        """Load this version; returns whether another one came into force."""
        if version == self._current.version:
            self._on_read(True)
            return False
        try:
            self._current = self._library.load(version)
        except PromptError as error:
            self._on_read(False)
            if version != self._refused:
                self._refused = version
                log.error("prompts %s stay in force, the new ones cannot be loaded: %s", self._current.version, error)
            return False
        self._on_read(True)
        return True


def with_description(file: str, tool: str, description: str) -> str:
    """The text of a tools.yml with another description of a tool; all else in it stays as it is.

    The tool's line has to begin with its name; else nothing is changed.
    """
    lines = file.splitlines()
    begins = re.compile(rf"(['\"]?){re.escape(tool)}\1\s*:")
    first = next((number for number, line in enumerate(lines) if begins.match(line)), None)
    if first is None:
        return file
    end = first + 1
    while end < len(lines) and (not lines[end].strip() or lines[end][0] in " \t"):
        end += 1
    while end > first + 1 and not lines[end - 1].strip():
        end -= 1  # the empty lines before the next tool
    if description == " ".join(description.split()):
        wrapped = textwrap.wrap(description, DESCRIPTION_WIDTH, break_long_words=False, break_on_hyphens=False)
        written = [f"{tool}: >-", *(f"  {line}" for line in wrapped)]
    else:
        written = yaml.safe_dump({tool: description}, allow_unicode=True, width=DESCRIPTION_WIDTH).splitlines()
    return "\n".join([*lines[:first], *written, *lines[end:], ""])


def _said_in(file: str) -> dict[str, str] | None:
    """The descriptions in the text of a tools.yml; None if it cannot be read any more."""
    try:
        return {str(tool): str(description).strip() for tool, description in yaml.safe_load(file).items()}
    except (yaml.YAMLError, AttributeError):
        return None


def difference(before: Prompts, after: Prompts) -> list[str]:
    """The lines of a unified diff over all files of two versions; empty if they are the same."""
    old, new = before.files(), after.files()
    return [
        line
        for name in old
        for line in difflib.unified_diff(
            old[name].splitlines(),
            new[name].splitlines(),
            f"{before.version}/{name}",
            f"{after.version}/{name}",
            lineterm="",
        )
    ]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise PromptError(f"{path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise PromptError(f"{path}:{line}: the file: is not UTF-8 text; save it as UTF-8") from None
