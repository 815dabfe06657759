"""Asks the processes of an agent what only they know, at the addresses that they registered in the ledger."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from agentgauge.ops.control import PREFIX
from agentgauge.ops.replicas import Replica, Replicas

TIMEOUT_SECONDS = 5.0
MOST_BYTES = 32 * 1024 * 1024
MOST_AT_ONCE = 16


@dataclass(frozen=True)
class Answer:
    """What a replica answered, or the ``problem`` why it did not; ``status`` is the HTTP status if there was one."""

    replica: Replica
    body: Any = None
    problem: str | None = None
    status: int | None = None


def ask_each(replicas: Replicas, path: str) -> list[Answer]:
    """Ask each live replica at once, for ``sessions`` say; in the order of their addresses, none if there are none.

    One that does not answer gives an answer with a problem. Raises SQLAlchemyError when the database does not answer.
    """
    live = replicas.live()
    if not live:
        return []
    with ThreadPoolExecutor(min(len(live), MOST_AT_ONCE)) as pool:
        return list(pool.map(lambda replica: _ask(replica, replicas.token(replica.id), path), live))


def merged(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """The rows of all answers, each with the address of its replica as ``replica``."""
    return [{**row, "replica": answer.replica.address} for answer in answers for row in answer.body or ()]


def _ask(replica: Replica, token: str, path: str) -> Answer:
    url = urlsplit(replica.address)
    connection = _connection(replica, url.hostname or "", url.port)
    try:
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        connection.request("GET", f"{url.path.rstrip('/')}{PREFIX}{path}", headers=headers)
        response = connection.getresponse()
        content = response.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            return Answer(replica, problem="its answer is too long", status=response.status)
        body = json.loads(content)
        if response.status == 200:
            return Answer(replica, body, status=200)
        return Answer(replica, problem=_said(body), status=response.status)
    except (OSError, HTTPException) as error:
        return Answer(replica, problem=f"does not answer ({error or type(error).__name__})")
    except ValueError:
        return Answer(replica, problem="answers, but not as an agent does: something else may listen there")
    finally:
        connection.close()


def _said(body: Any) -> str:
    return str(body["error"]) if isinstance(body, Mapping) and "error" in body else "answers with an error"


def _connection(replica: Replica, host: str, port: int | None) -> HTTPConnection:
    if not replica.address.startswith("https:"):
        return HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
    context = ssl.create_default_context()
    if replica.certificate is not None:
        # The ledger vouches for this very certificate, whoever signed it and whatever name is in it.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(cadata=replica.certificate)
    return HTTPSConnection(host, port, timeout=TIMEOUT_SECONDS, context=context)
