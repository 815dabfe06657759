"""Files that people edit and processes watch: YAML with line numbers, JSON that is read again when it changes."""

from agentgauge.files.watched_file import WatchedFile
from agentgauge.files.yaml_file import YamlFileError

__all__ = ["WatchedFile", "YamlFileError"]
