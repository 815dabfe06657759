"""Images under the names that docker-compose.yml pins, where no registry can be reached.

All but the vendors' bytes is the same: Debian's Python, Prometheus and Alertmanager stand in for the pinned ones.
There is no Grafana in Debian, so what stands in for it says so in its name.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import yaml

from stack import binaries, debian
from stack.layout import HOME, ROOT
from tests.containers.engine import Engine, run, say

SYSTEM = ["base-files", "bash", "busybox", "coreutils", "dash", "findutils", "grep", "gzip", "libc-bin", "mawk"]
SYSTEM += ["passwd", "python3-venv", "sed", "tar"]
PEOPLE = "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n"
GROUPS = "root:x:0:\nnogroup:x:65534:\n"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")

BASE = "stand-in-for-debian:local"
GRAFANA = "stand-in-for-grafana:local"

PYTHON = f"""\
FROM {BASE}
RUN python3 -m venv /opt/python
ENV PATH=/opt/python/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
"""
SERVER = """\
FROM {base}
COPY . /
RUN ln -sf /bin/busybox /usr/bin/wget && mkdir -p {data} && chown 65534:65534 {data}
USER 65534:65534
WORKDIR /usr/bin
ENTRYPOINT ["/usr/bin/{program}"]
"""
PREVIEW = """\
FROM agentgauge:local
USER 0:0
COPY stack /app/stack
COPY run.sh /run.sh
RUN ln -sf /bin/busybox /usr/bin/wget && install --directory --owner=472 --mode=700 /var/lib/grafana
USER 472:0
"""
START_PREVIEW = """\
#!/bin/sh
# Grafana's image reads the password from this file; so that a wrong way there is noticed, its stand-in does, too.
[ -r "$GF_SECURITY_ADMIN_PASSWORD__FILE" ] || exit 1
exec python -m stack preview --host=0.0.0.0 --port=3000 --prometheus="$PROMETHEUS_URL" --dashboards="$DASHBOARDS_PATH"
"""


def make(engine: Engine) -> None:
    """Make what the engine lacks of the images that cannot be fetched, all but Grafana's; StackError if that fails."""
    if not _has(engine, BASE):
        _import_system(engine)
    base = re.findall(r"^FROM (\S+)", (ROOT / "stack" / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)[0]
    if not _has(engine, base):
        _build(engine, base, PYTHON, {})
    for service, name in (("prometheus", "prometheus"), ("alertmanager", "prometheus-alertmanager")):
        image = _pinned(service)
        if not _has(engine, image):
            program = binaries.newer(service, HOME, say)
            tree = program.parents[2]
            text = SERVER.format(base=BASE, data=f"/{service}", program=name)
            _build(engine, image, text, {tree / "usr": "usr"})


def make_grafana(engine: Engine) -> None:
    """Make the stand-in for Grafana, from the image of ours: the preview of its dashboards."""
    script = engine.home / "run.sh"
    script.write_text(START_PREVIEW, encoding="utf-8")
    script.chmod(0o755)
    _build(engine, GRAFANA, PREVIEW, {ROOT / "stack": "stack", script: "run.sh"})


def pip_config(path: Path) -> Path:
    """Write how this machine's pip reaches its index, for a build elsewhere: what names a folder here is left out."""
    listed = run(sys.executable, "-m", "pip", "config", "list")
    found = dict(re.findall(r"^(?:global|install|:env:)\.([a-z-]+)='(.*)'$", listed, re.MULTILINE))
    kept = {key: found[key] for key in ("index-url", "trusted-host", "default-timeout") if key in found}
    path.write_text(
        "[global]\n" + "".join(f"{key} = {value}\n" for key, value in (kept | {"cert": CERTIFICATES}).items()),
        encoding="utf-8",
    )
    path.chmod(0o600)
    return path


def _import_system(engine: Engine) -> None:
    root = engine.home / "system"
    debian.unpack_system(SYSTEM, root, engine.home, say)
    (root / "etc" / "passwd").write_text(PEOPLE, encoding="utf-8")
    (root / "etc" / "group").write_text(GROUPS, encoding="utf-8")
    certificates = root / CERTIFICATES.relative_to("/")
    certificates.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(CERTIFICATES, certificates)
    say("importing the empty system as an image")
    packed = engine.home / "system.tar"
    run("tar", "-C", str(root), "-cf", str(packed), ".")
    engine.docker("import", str(packed), BASE)
    packed.unlink()
    shutil.rmtree(root)


def _pinned(service: str) -> str:
    document = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    return str(document["services"][service]["image"])


def _has(engine: Engine, image: str) -> bool:
    return bool(engine.docker("image", "ls", "--quiet", image))


def _build(engine: Engine, image: str, dockerfile: str, files: dict[Path, str]) -> None:
    say(f"making {image}")
    context = engine.home / "context"
    shutil.rmtree(context, ignore_errors=True)
    context.mkdir()
    for source, name in files.items():
        if source.is_dir():
            shutil.copytree(source, context / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, context / name)
    (engine.home / "Dockerfile").write_text(dockerfile, encoding="utf-8")
    engine.docker(
        "build", "--quiet", "--network=host", f"--tag={image}", f"--file={engine.home / 'Dockerfile'}", str(context)
    )
    shutil.rmtree(context)
