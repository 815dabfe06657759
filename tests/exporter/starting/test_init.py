"""`agentgauge init` in repositories that know nothing of AgentGauge: what it adds runs, the rest is listed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentgauge.app_loading import load_app
from alerts.thresholds import load
from sample_agent.serving import serving
from tests.exporter.starting.repositories import contents, init, metrics_after, repository
from tests.frameworks.provider import Provider

SCRIPT = '''\
#!/usr/bin/env python
"""Answers questions about orders."""

import os

from anthropic import Anthropic

client = Anthropic(
    # the company's own gateway
    base_url=os.environ["MODEL_URL"],
    api_key="k",
)

TOOLS = [
    {
        "name": "find_order",
        "description": "Where an order is.",
        "input_schema": {"type": "object", "properties": {"number": {"type": "string"}}, "required": ["number"]},
    },
]


def find_order(number):
    return f"order {number} left the warehouse"


def answer(question):
    asked = {"role": "user", "content": question}
    message = client.messages.create(model="claude-opus-5", max_tokens=99, messages=[asked], tools=TOOLS)
    for block in message.content:
        if block.type == "tool_use":
            return globals()[block.name](**block.input)
    return message.content[0].text


if __name__ == "__main__":
    print(answer(input()))
'''


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """One file and its requirements."""
    return repository(tmp_path / "order-bot", {"bot.py": SCRIPT, "requirements.txt": "anthropic\n"})


@pytest.fixture
def provider() -> Provider:
    """What the model answers."""
    return Provider(usage={"input_tokens": 70, "output_tokens": 9})


@pytest.fixture
def url(provider: Provider) -> Iterator[str]:
    """Where it answers."""
    with serving(provider.app()) as address:
        yield address


def test_a_script_is_measured_after_a_yes(script: Path, provider: Provider, url: str) -> None:
    """Its client and its tool, with nothing changed by hand; the tool is known by its schema."""
    done = init(script, "--yes")
    assert done.exit_code == 0, done.output
    provider.tools = [("find_order", {"number": "A-1"})]
    text = metrics_after(
        script, "import bot\nassert bot.answer('where is A-1?') == 'order A-1 left the warehouse'\n", MODEL_URL=url
    )
    assert 'agent_llm_calls_total{agent="order-bot",model="claude-opus-5",outcome="success"} 1.0' in text
    assert 'agent_llm_tokens_total{agent="order-bot",kind="input",model="claude-opus-5"} 70.0' in text
    assert 'agent_tool_calls_total{agent="order-bot",outcome="success",tool="find_order"} 1.0' in text


def test_the_diff_says_all_that_is_written(script: Path) -> None:
    """Also with --dry-run, which writes nothing: `patch` makes of it what --yes writes."""
    before = contents(script)
    shown = init(script, "--dry-run")
    assert shown.exit_code == 0
    assert contents(script) == before
    copy = repository(script.parent / "copy", before)
    diff = shown.stdout.partition("left to you:")[0]
    subprocess.run(["patch", "-p1", "--quiet"], cwd=copy, input=diff, text=True, check=True)
    assert init(script, "--yes").exit_code == 0
    assert contents(copy) == contents(script)
    assert contents(script).keys() - before.keys() == {
        "agentgauge_app.py",
        "monitoring/thresholds.yml",
        "pyproject.toml",
    }


def test_a_second_run_has_nothing_to_do(script: Path) -> None:
    """And changes nothing."""
    init(script, "--yes")
    after = contents(script)
    again = init(script, "--yes")
    assert again.exit_code == 0
    assert "there is nothing to do" in again.stdout
    assert contents(script) == after


def test_a_later_run_adds_what_is_new(script: Path) -> None:
    """With the names that the file has by now: no import twice."""
    init(script, "--yes")
    bot = script / "bot.py"
    bot.write_text(bot.read_text(encoding="utf-8") + '\n\nother = Anthropic(api_key="k")\n', encoding="utf-8")
    before = bot.read_text(encoding="utf-8")
    assert init(script, "--yes").exit_code == 0
    added = 'Anthropic(middleware=[gauge().anthropic()], api_key="k")'
    assert bot.read_text(encoding="utf-8") == before.replace('Anthropic(api_key="k")', added)


@pytest.mark.parametrize(("answer", "written"), [("y\n", True), ("n\n", False)])
def test_at_a_terminal_it_asks(script: Path, answer: str, written: bool) -> None:
    """And does what is answered."""
    ours, theirs = os.openpty()
    os.write(ours, answer.encode())
    command = [sys.executable, "-m", "agentgauge", "init", str(script)]
    done = subprocess.run(command, stdin=theirs, capture_output=True, text=True, check=False, timeout=60)
    os.close(ours)
    os.close(theirs)
    assert "write these 4 files?" in done.stdout
    assert (script / "agentgauge_app.py").exists() == written
    assert (done.returncode == 0) == written


def test_a_package_that_is_too_old_is_not_touched(
    script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What would be added does not exist there yet."""
    metadata = "Metadata-Version: 2.1\nName: anthropic\nVersion: 0.40.0\n"
    repository(tmp_path / "site", {"anthropic-0.40.0.dist-info/METADATA": metadata})
    monkeypatch.syspath_prepend(tmp_path / "site")
    done = init(script, "--dry-run")
    assert "bot.py:8: not changed: anthropic 0.40.0 is installed, and its adapter needs " in done.stdout
    assert "+    middleware=" not in done.stdout


def test_without_a_yes_nothing_is_written(script: Path) -> None:
    """Where nobody can be asked, it says how to say yes; status 1."""
    before = contents(script)
    done = init(script)
    assert done.exit_code == 1
    assert "--yes writes it" in done.stdout
    assert contents(script) == before


def test_what_it_writes_is_read_by_the_other_commands(script: Path) -> None:
    """`agentgauge --app`, with the schema of the tool; the thresholds change nothing until somebody fills them."""
    init(script, "--yes", "--name", "orders")
    app = load_app("agentgauge_app:app", script)
    assert app.name == "orders"
    assert app.tool("find_order").argument_names == ["number"]
    assert load(overrides=script / "monitoring" / "thresholds.yml").alerts == load().alerts
    assert (script / "pyproject.toml").read_text(encoding="utf-8") == '[tool.agentgauge]\napp = "agentgauge_app:app"\n'


def test_what_nobody_can_know_is_listed_with_the_line_to_add(script: Path) -> None:
    """Where a request of a user begins."""
    shown = init(script, "--dry-run").stdout
    assert "bot.py:29: say where a request of a user begins and ends" in shown
    assert "    with gauge().session(user_id=…) as session, session.task() as task, task.turn():" in shown
    assert "agentgauge bundle monitoring --agent order-bot" in init(script, "--yes").stdout


@pytest.mark.parametrize(
    ("client", "why"),
    [
        ("Anthropic(**options)", "its **options may hold middleware="),
        ("Anthropic(middleware=[logs])", "it has middleware= already"),
        ("f'{Anthropic(api_key=1)}'", "it stands inside an f-string"),
    ],
)
def test_a_client_that_is_not_certain_is_listed_and_left(tmp_path: Path, client: str, why: str) -> None:
    """With file, line and what to add."""
    text = f"from anthropic import Anthropic\n\nlogs, options = None, {{}}\nclient = {client}\n"
    folder = repository(tmp_path / "bot", {"main.py": text})
    done = init(folder, "--yes")
    assert done.exit_code == 0
    assert f"main.py:4: not changed: {why}" in done.stdout
    assert "    middleware=[gauge().anthropic()]" in done.stdout
    assert (folder / "main.py").read_text(encoding="utf-8") == text


def test_a_name_that_means_two_things_is_left_alone(tmp_path: Path) -> None:
    """Which of the two is called, the file does not say."""
    text = (
        "try:\n    from anthropic import Anthropic\nexcept ImportError:\n    Anthropic = None\nclient = Anthropic()\n"
    )
    folder = repository(tmp_path / "bot", {"main.py": text})
    assert init(folder, "--yes").exit_code == 0
    assert (folder / "main.py").read_text(encoding="utf-8") == text


def test_names_that_the_file_uses_are_not_taken(tmp_path: Path, url: str) -> None:
    """A file with a `gauge` of its own keeps it."""
    text = (
        "import os\nimport anthropic as sdk\n\ngauge = 'petrol'\n\n\ndef make(kind=sdk.Anthropic):\n"
        "    return sdk.Anthropic(base_url=os.environ['MODEL_URL'], api_key='k')\n"
    )
    folder = repository(tmp_path / "bot", {"main.py": text})
    init(folder, "--yes")
    code = (
        "import main\nassert main.gauge == 'petrol'\nasked = {'role': 'user', 'content': 'x'}\n"
        "main.make().messages.create(model='claude-opus-5', max_tokens=9, messages=[asked])\n"
    )
    assert 'agent_llm_calls_total{agent="bot",model="claude-opus-5",outcome="success"} 1.0' in metrics_after(
        folder, code, MODEL_URL=url
    )


def test_a_project_without_any_sdk_gets_the_gauge_and_is_told_how_to_count(tmp_path: Path) -> None:
    """The module works, and no file of the project is changed."""
    text = "import urllib.request\n\n\ndef answer(q):\n    return q\n"
    folder = repository(tmp_path / "plain", {"agent.py": text, "pyproject.toml": '[project]\nname = "plain-bot"\n'})
    done = init(folder, "--yes")
    assert "no SDK or framework that AgentGauge has an adapter for is imported" in done.stdout
    assert "call = gauge().llm_call(model)" in done.stdout
    assert (folder / "agent.py").read_text(encoding="utf-8") == text
    code = (
        "from agentgauge import TokenUsage\nfrom agentgauge_app import gauge\n"
        "gauge().llm_call('claude-opus-5').finish(TokenUsage(input=1))\n"
    )
    assert 'agent="plain-bot"' in metrics_after(folder, code)


def test_a_file_with_a_syntax_error_is_named_and_left(script: Path) -> None:
    """The others are set up all the same."""
    (script / "broken.py").write_text("def f(:\n", encoding="utf-8")
    done = init(script, "--yes")
    assert done.exit_code == 0
    assert "broken.py:1: left as it is: Python cannot read it" in done.stdout
    assert (script / "broken.py").read_text(encoding="utf-8") == "def f(:\n"
    assert "gauge().anthropic()" in (script / "bot.py").read_text(encoding="utf-8")


def test_a_file_with_changes_that_are_not_committed_stops_it(script: Path) -> None:
    """Nothing is written, unless it is said; what is committed or new to git does not matter."""
    for command in ("init -q", "add -A", "-c user.name=a -c user.email=a@example.com commit -qm x"):
        subprocess.run(["git", *command.split()], cwd=script, check=True)
    (script / "bot.py").write_text(SCRIPT + "# to do\n", encoding="utf-8")
    before = contents(script)
    done = init(script, "--yes")
    assert done.exit_code == 1
    assert "bot.py has changes that are not committed" in done.stderr
    assert contents(script) == before
    assert init(script, "--yes", "--allow-dirty").exit_code == 0
    assert "# to do" in (script / "bot.py").read_text(encoding="utf-8")


def test_a_project_that_is_instrumented_by_hand_keeps_its_gauge(tmp_path: Path) -> None:
    """A second one would serve a second port; what is missing is listed."""
    text = (
        "from agentgauge import AgentGauge\nfrom anthropic import Anthropic\n\ngauge = AgentGauge('x')\n"
        "client = Anthropic(middleware=[gauge.anthropic()])\nother = Anthropic()\n"
    )
    folder = repository(tmp_path / "bot", {"main.py": text})
    before = contents(folder)
    done = init(folder, "--yes")
    assert done.exit_code == 0
    assert "main.py:4: instrumented already" in done.stdout
    assert "main.py:6: not changed: the project has a gauge of its own" in done.stdout
    assert "main.py:5" not in done.stdout
    assert "there is nothing to do" in done.stdout
    assert contents(folder) == before


def test_a_module_of_that_name_that_is_somebody_elses_stops_it(script: Path) -> None:
    """It is not overwritten."""
    (script / "agentgauge_app.py").write_text("x = 1\n", encoding="utf-8")
    done = init(script, "--yes")
    assert done.exit_code == 2
    assert "agentgauge_app.py is there already and has no `app` and `gauge()`" in done.stderr


@pytest.mark.parametrize("files", [{}, {"README.md": "Hello.\n"}, {"tests/test_x.py": "import anthropic\n"}])
def test_a_folder_without_python_is_said(tmp_path: Path, files: dict[str, str]) -> None:
    """In one line, with what to do; nothing is written."""
    folder = repository(tmp_path / "empty", files)
    folder.mkdir(exist_ok=True)
    done = init(folder, "--yes")
    assert done.exit_code == 2
    assert "has no Python file; run this in the folder of the agent's project" in done.stderr
    assert contents(folder).keys() == files.keys()


def test_a_place_that_cannot_be_written_leaves_all_as_it_was(script: Path) -> None:
    """Also what was written before it came to that."""
    (script / "monitoring").write_text("not a folder\n", encoding="utf-8")
    before = contents(script)
    done = init(script, "--yes")
    assert done.exit_code == 2
    assert "cannot be written" in done.stderr
    assert "nothing was changed" in done.stderr
    assert contents(script) == before


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        pytest.param(SCRIPT.replace("\n", "\r\n").encode(), b"\r\n", id="windows"),
        pytest.param(b"\xef\xbb\xbf" + SCRIPT.encode(), b"\xef\xbb\xbf", id="byte-order-mark"),
        pytest.param(SCRIPT.replace("    ", "\t").encode(), b"\n\tmiddleware=", id="tabs"),
        pytest.param(
            SCRIPT.replace("env python\n", "env python\n# -*- coding: latin-1 -*-\n")
            .replace("own", "größte")
            .encode("latin-1"),
            "größte".encode("latin-1"),
            id="latin-1",
        ),
    ],
)
def test_what_is_in_a_file_stays_as_it_is_written(tmp_path: Path, written: bytes, kept: bytes) -> None:
    """Line ends, byte order mark, tabs, encoding: only lines are added, in the file's own manner."""
    folder = repository(tmp_path / "order-bot", {"bot.py": written})
    assert init(folder, "--yes").exit_code == 0
    after = (folder / "bot.py").read_bytes()
    assert kept in after
    added = [line for line in after.splitlines(keepends=True) if b"gauge" in line]
    assert len(added) == 3
    assert b"".join(line for line in after.splitlines(keepends=True) if line not in added) == written
    assert {line.endswith(b"\r\n") for line in added} == {b"\r\n" in written}
    compile(after, "bot.py", "exec")


PYPROJECTS = {
    "other tables": '[project]\nname = "a"  # ours\n\n[tool.ruff]\nline-length = 99',
    "table without app": '[project]\nname = "a"\n[tool.agentgauge]\n# nothing yet\n',
    "windows": '[project]\r\nname = "a"\r\n',
}


@pytest.mark.parametrize("text", PYPROJECTS.values(), ids=PYPROJECTS.keys())
def test_pyproject_keeps_every_line(tmp_path: Path, text: str) -> None:
    """And names the app once."""
    folder = repository(tmp_path / "bot", {"main.py": "x = 1\n", "pyproject.toml": text})
    assert init(folder, "--yes").exit_code == 0
    after = (folder / "pyproject.toml").read_bytes().decode()
    assert [line for line in text.splitlines() if line not in after.splitlines()] == []
    assert after.count('app = "agentgauge_app:app"') == 1
    assert ("\r\n" in after) == ("\r\n" in text)
    assert "\n" not in after.replace("\r\n", "") or "\r\n" not in text


@pytest.mark.parametrize("text", ["tool = {ruff = {}}\n", "[project\n"])
def test_a_pyproject_that_cannot_be_added_to_is_left(tmp_path: Path, text: str) -> None:
    """And its owner is told what to add."""
    folder = repository(tmp_path / "bot", {"main.py": "x = 1\n", "pyproject.toml": text})
    done = init(folder, "--yes")
    assert done.exit_code == 0
    assert "pyproject.toml: not changed" in done.stdout
    assert '    app = "agentgauge_app:app"' in done.stdout
    assert (folder / "pyproject.toml").read_text(encoding="utf-8") == text


ANSWER = """
def answer():
    client = Anthropic(base_url=os.environ["MODEL_URL"], api_key="k")
    asked = {"role": "user", "content": HELLO}
    return client.messages.create(model="claude-opus-5", max_tokens=9, messages=[asked])
"""
INSIDE = {"__init__.py": "", "words.py": "HELLO = 'hi'\n", "clients/__init__.py": ""}


@pytest.mark.parametrize(
    ("top", "words", "file", "run"),
    [
        pytest.param("src/shop/", "from ..words", "clients/models.py", "shop.clients.models", id="src-relative"),
        pytest.param("shop/", "from shop.words", "clients/models.py", "shop.clients.models", id="flat"),
        pytest.param("tools/", "from words", "models.py", "models", id="scripts-in-a-folder"),
    ],
)
def test_the_module_goes_where_the_agent_can_import_it(
    tmp_path: Path, url: str, top: str, words: str, file: str, run: str
) -> None:
    """Into the package, in its own way of importing, or beside the scripts; the commands find it there."""
    files = {f"{top}{name}": text for name, text in INSIDE.items() if top != "tools/" or name == "words.py"}
    files[f"{top}{file}"] = f"import os\nfrom anthropic import Anthropic\n{words} import HELLO\n{ANSWER}"
    folder = repository(tmp_path / "shop", files | {"pyproject.toml": '[project]\nname = "shop"\n'})
    assert init(folder, "--yes").exit_code == 0
    assert (folder / top / "agentgauge_app.py").exists()
    path = top.removesuffix("shop/")
    code = f"from agentgauge.app_loading import find_app\nfind_app()\nimport {run} as m\nm.answer()\n"
    shown = metrics_after(folder, code, path=path, MODEL_URL=url)
    assert 'agent_llm_calls_total{agent="shop",model="claude-opus-5",outcome="success"} 1.0' in shown


def test_a_file_of_a_package_that_may_be_run_as_a_script_is_listed(tmp_path: Path) -> None:
    """`python shop/main.py` finds no `shop` to import from; which way it is run, nobody can tell."""
    text = "from anthropic import Anthropic\n\nif __name__ == '__main__':\n    Anthropic()\n"
    folder = repository(tmp_path / "shop", {"shop/__init__.py": "", "shop/main.py": text})
    done = init(folder, "--yes")
    assert "shop/main.py:4: not changed: it cannot be told from where this file would import" in done.stdout
    assert (folder / "shop" / "main.py").read_text(encoding="utf-8") == text
