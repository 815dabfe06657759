"""Where everything is: ports, URLs, folders and the speed of the clock."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from stack.errors import StackError

ROOT = Path(__file__).resolve().parent.parent
HOME = Path(os.environ.get("AGENTGAUGE_HOME") or ROOT / ".stack")
STATE_FILE = "stack.json"
"""What a running stack says about itself, in its folder: pid, ports, speed, and its services' pids or `containers`."""


@dataclass(frozen=True)
class Ports:
    """The port of each service on 127.0.0.1."""

    prometheus: int = 9090
    alertmanager: int = 9093
    pager: int = 8010
    runbooks: int = 8020
    dashboards: int = 3000
    agent: int = 8030
    metrics: int = 9464
    fake_api: int = 8040

    def shifted(self, offset: int) -> Ports:
        """All ports moved by ``offset``, to run beside something else."""
        return Ports(**{name: port + offset for name, port in asdict(self).items()})

    @classmethod
    def free(cls) -> Ports:
        """Ports that nothing listens on now."""
        with ExitStack() as stack:
            sockets = {field.name: stack.enter_context(socket.socket()) for field in fields(cls)}
            for listener in sockets.values():
                listener.bind(("127.0.0.1", 0))
            return cls(**{name: listener.getsockname()[1] for name, listener in sockets.items()})


@dataclass(frozen=True)
class Layout:
    """One stack: its ports, its folder for data and logs, and how many times faster than real its clocks run."""

    ports: Ports
    folder: Path
    speed: float = 1

    @property
    def prometheus(self) -> str:
        """URL of Prometheus."""
        return f"http://127.0.0.1:{self.ports.prometheus}"

    @property
    def alertmanager(self) -> str:
        """URL of Alertmanager."""
        return f"http://127.0.0.1:{self.ports.alertmanager}"

    @property
    def pager(self) -> str:
        """URL of the pager."""
        return f"http://127.0.0.1:{self.ports.pager}"

    @property
    def runbooks(self) -> str:
        """URL of the runbook site."""
        return f"http://127.0.0.1:{self.ports.runbooks}"

    @property
    def dashboards(self) -> str:
        """URL of Grafana or the preview."""
        return f"http://127.0.0.1:{self.ports.dashboards}"

    @property
    def agent(self) -> str:
        """URL of the Sales Companion."""
        return f"http://127.0.0.1:{self.ports.agent}"

    @property
    def state(self) -> Path:
        """The folder that the demo's processes share: faults, switches, CRM."""
        return self.folder / "state"

    @property
    def ledger(self) -> Path:
        """The Sales Companion's ledger: a SQLite file."""
        return self.state / "ledger.sqlite"

    @property
    def pager_state(self) -> Path:
        """What the pager remembers; the token of those who run commands on its pages is beside it."""
        return self.state / "pager.sqlite"

    @property
    def logs(self) -> Path:
        """One log a service."""
        return self.folder / "logs"

    @property
    def etc(self) -> Path:
        """Rendered configuration."""
        return self.folder / "etc"


def default_layout(offset: int = 0, speed: float = 1) -> Layout:
    """The stack that ``make up`` runs."""
    return Layout(Ports().shifted(offset), HOME, speed)


def check_free(ports: Mapping[str, int]) -> None:
    """StackError, naming the port and its service, if something listens on one of them already."""
    for name, port in ports.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                raise StackError(
                    f"port {port} ({name}) is in use; `python -m stack down` ends an earlier stack, "
                    "`make up NATIVE=1 OFFSET=1000` moves all ports by 1000"
                ) from None
