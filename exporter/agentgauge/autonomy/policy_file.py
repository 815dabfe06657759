"""The policy of a running agent: its file, read anew whenever it changes."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from pathlib import Path

from agentgauge.autonomy.policy import Policy, load
from agentgauge.files.watched_file import version_of
from agentgauge.files.yaml_file import YamlFileError

log = logging.getLogger(__name__)


class PolicyFile:
    """The policy in force: the last version of the file that had no mistake in it.

    Raises YamlFileError if the first one has: an agent does not start without a policy.
    """

    def __init__(self, path: Path, tools: Mapping[str, Collection[str]]) -> None:
        self._path = path
        self._tools = tools
        self._seen = version_of(path)
        self._value = load(path, tools)

    def __call__(self) -> Policy:
        """The policy now; costs one ``stat`` while the file is unchanged."""
        version = version_of(self._path)
        if version != self._seen:
            self._seen = version
            try:
                self._value = load(self._path, self._tools)
            except YamlFileError as error:
                log.warning("the policy stays as it was, its new version cannot be used: %s", error)
        return self._value
