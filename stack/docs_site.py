"""The documentation's site looks and works as the runbooks' does: it takes their style sheet and script."""

from __future__ import annotations

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from bundle.site import ASSETS, RUNBOOKS


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add them; mkdocs calls this by its name."""
    for name in ASSETS:
        files.append(File.generated(config, name, abs_src_path=str(RUNBOOKS / name)))
    return files
