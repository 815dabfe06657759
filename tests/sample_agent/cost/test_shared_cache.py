"""The Sales Companion's cache, shared by its processes through Redis."""

from __future__ import annotations

import pytest

from agentgauge import AgentGauge
from agentgauge.files.yaml_file import YamlFileError
from sample_agent import assembly
from stack.redis_server import RedisServer
from tests.exporter.cost.test_cache import CONTACTS, Source


async def test_the_agent_takes_its_redis_from_the_environment(
    redis: RedisServer, gauge: AgentGauge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the shipped file; a URL that is none stops the start."""
    monkeypatch.setenv("AGENTGAUGE_CACHE", redis.url)
    cache, source = assembly.build_cache(gauge), Source()
    await cache.look_up(CONTACTS, {"account": "Hooli"}, None, source)
    await cache.close()
    again = assembly.build_cache(gauge)
    await again.look_up(CONTACTS, {"account": "Hooli"}, None, source)
    await again.close()
    assert source.calls == 1
    monkeypatch.setenv("AGENTGAUGE_CACHE", "memcached://127.0.0.1")
    with pytest.raises(YamlFileError, match="AGENTGAUGE_CACHE: expected redis://host:port/0"):
        assembly.build_cache(gauge)
