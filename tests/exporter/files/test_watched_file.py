"""A file that several threads of an agent follow."""

from __future__ import annotations

import threading
from pathlib import Path

from agentgauge.files.watched_file import WatchedFile


def test_a_slow_reader_of_an_old_version_does_not_put_it_in_force_again(tmp_path: Path) -> None:
    """Whoever asks meanwhile waits for it."""
    path = tmp_path / "policy.yml"
    path.write_text("first", encoding="utf-8")
    is_reading, go_on = threading.Event(), threading.Event()

    def read(file: Path) -> str:
        text = file.read_text(encoding="utf-8")
        if text == "second":
            is_reading.set()
            assert go_on.wait(60)
        return text

    watched = WatchedFile.keeping_last(path, read)
    path.write_text("second", encoding="utf-8")
    slow, fast = (threading.Thread(target=watched.value) for _ in range(2))
    slow.start()
    assert is_reading.wait(60)
    path.write_text("the third", encoding="utf-8")
    fast.start()
    fast.join(0.2)  # it would be through by now if it did not wait
    go_on.set()
    slow.join(60)
    fast.join(60)
    assert watched.value() == "the third"
