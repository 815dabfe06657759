"""The preview: Grafana's URLs, queries with everything filled in, and a drawing for each kind of panel."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from agentgauge.ops.prometheus import Prometheus, Series
from alerts import catalog, links
from alerts.deployment import DEMO
from alerts.links import PanelRef
from alerts.model import Alert
from dashboards.catalog import GENERATED
from sample_agent.serving import serving
from stack.preview import units
from stack.preview.app import LibraryError, create_app, load
from stack.preview.figures import figure, marks_of
from stack.preview.query import Choices, TimeRange, annotation_step, substitute

DASHBOARDS = load(GENERATED)
LAST_HOUR = TimeRange(7200.0, 10800.0)
ORIGIN = "http://127.0.0.1"
SELECTED = "?var-agent=sales_companion&var-tool=send_email&from=now-15m&to=now"


class CannedPrometheus:
    """A server that speaks Prometheus's API: one series for every query, whose labels a test can choose."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.labels = [{"agent": "sales_companion", "tool": "send_email", "le": "5.0"}]
        self.value = "0.5"
        self.refusal = ""

    @property
    def app(self) -> Starlette:
        """The API as an ASGI app."""
        return Starlette(
            routes=[
                Route("/api/v1/query_range", self.range),
                Route("/api/v1/query", self.instant),
                Route("/api/v1/label/{label}/values", self.values),
            ]
        )

    async def range(self, request: Request) -> Response:
        """Five points, the second of them missing."""
        query = self._note(request)
        start, step = float(query["start"]), float(query["step"])
        points = [[start + step * index, self.value] for index in (0, 2, 3, 4)]
        return self._answer([{"metric": labels, "values": points} for labels in self.labels])

    async def instant(self, request: Request) -> Response:
        """One value."""
        query = self._note(request)
        return self._answer([{"metric": labels, "value": [float(query["time"]), self.value]} for labels in self.labels])

    async def values(self, request: Request) -> Response:
        """Two values of any label."""
        self._note(request)
        return JSONResponse({"status": "success", "data": ["b<b>", "a"]})

    def _note(self, request: Request) -> dict[str, str]:
        query = dict(request.query_params)
        self.asked.append(query)
        return query

    def _answer(self, result: list[dict[str, Any]]) -> Response:
        if self.refusal:
            return JSONResponse({"status": "error", "error": self.refusal}, status_code=422)
        return JSONResponse({"status": "success", "data": {"result": result}})


@pytest.fixture
def canned() -> CannedPrometheus:
    """What the Prometheus behind `client` was asked and answers."""
    return CannedPrometheus()


@pytest.fixture
def client(canned: CannedPrometheus) -> Iterator[TestClient]:
    """The preview in front of the canned Prometheus."""
    with serving(canned.app) as url, TestClient(create_app(GENERATED, Prometheus(url)), base_url=ORIGIN) as made:
        yield made


@pytest.fixture
def client_without_prometheus() -> Iterator[TestClient]:
    """The preview where nothing answers."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # a port that is taken but not listened on: connections are refused
        prometheus = Prometheus(f"http://127.0.0.1:{bound.getsockname()[1]}")
        with TestClient(create_app(GENERATED, prometheus), base_url=ORIGIN) as made:
            yield made


def drawn(client: TestClient, ref: PanelRef, query: str = SELECTED) -> dict[str, Any]:
    """The figure of a panel, which must be drawn without an error."""
    answer = client.get(f"/panel/{ref.dashboard}/{ref.panel_id}{query}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def panel_of(ref: PanelRef) -> dict[str, Any]:
    """The generated panel that a reference means."""
    return next(panel for panel in DASHBOARDS[ref.dashboard]["panels"] if panel["id"] == ref.panel_id)


# URLs


def test_the_home_page_is_the_overview(client: TestClient) -> None:
    """As in Grafana, where Overview is the home dashboard."""
    answer = client.get("/")
    assert answer.url.path == "/d/agentgauge-overview"
    assert "AgentGauge Overview" in answer.text


def test_a_dashboard_opens_with_or_without_a_slug(client: TestClient) -> None:
    """Grafana's own links carry one, ours do not."""
    assert client.get("/d/agentgauge-tools").status_code == 200
    assert client.get("/d/agentgauge-tools/agentgauge-tools").status_code == 200


@pytest.mark.parametrize("alert", catalog.ALERTS, ids=lambda alert: alert.name)
def test_the_link_of_every_page_opens_its_panel(client: TestClient, alert: Alert) -> None:
    """The URL of the alert's annotation, its variables filled in by Prometheus, shows that panel alone."""
    url = links.dashboard_url("", alert.panel, alert.labels)
    for label in alert.labels:
        url = url.replace(f"{{{{ $labels.{label} | urlquery }}}}", "some+value")
    answer = client.get(url)
    assert answer.status_code == 200
    assert answer.text.count('<section class="panel') == 1
    assert f'data-panel="{alert.panel.panel_id}"' in answer.text


def test_the_page_says_that_it_is_a_preview_and_shows_every_panel(client: TestClient) -> None:
    """Nobody should take it for Grafana."""
    text = client.get("/d/agentgauge-overview").text
    assert "<b>Preview</b> of the Grafana dashboards" in text
    for panel in DASHBOARDS["agentgauge-overview"]["panels"]:
        if panel["type"] != "row":
            assert f'data-panel="{panel["id"]}"' in text


def test_a_panel_explains_itself_and_links_to_the_runbook(client: TestClient) -> None:
    """Description as a tooltip, runbook in the header."""
    text = client.get("/d/agentgauge-overview?viewPanel=4").text
    assert "the threshold of AgentLatencySpike." in text
    assert f'href="{DEMO.runbooks}/AgentLatencySpike/"' in text


@pytest.mark.parametrize(
    ("path", "missing"),
    [
        ("/d/no-such-dashboard", "There is no dashboard no-such-dashboard."),
        ("/d/agentgauge-tools?viewPanel=panel-999", "AgentGauge Tools has no panel panel-999."),
        ("/d/agentgauge-tools?viewPanel=panel-1000", "AgentGauge Tools has no panel panel-1000."),
        ("/d/<script>", "There is no dashboard &lt;script&gt;."),
    ],
)
def test_what_does_not_exist_is_a_404_that_lists_what_does(client: TestClient, path: str, missing: str) -> None:
    """A stale bookmark leads on; a row (1000) is not a panel; nothing from the URL becomes HTML."""
    answer = client.get(path)
    assert answer.status_code == 404
    assert missing in answer.text
    assert 'href="/d/agentgauge-overview"' in answer.text


def test_the_api_answers_as_grafanas_does(client: TestClient) -> None:
    """Tools that look a dashboard up by uid work with either."""
    assert client.get("/api/dashboards/uid/agentgauge-tools").json()["dashboard"] == DASHBOARDS["agentgauge-tools"]
    assert client.get("/api/dashboards/uid/nope").status_code == 404
    assert client.get("/health").json()["status"] == client.get("/api/health").json()["status"] == "ok"


def test_everything_the_page_loads_comes_from_the_preview(client: TestClient) -> None:
    """No CDN: it works offline."""
    text = client.get("/d/agentgauge-overview").text
    for path in ("/plotly.js", "/static/preview.js", "/static/preview.css"):
        assert f'"{path}"' in text
        assert client.get(path).status_code == 200
    assert 'src="http' not in text


def test_the_variable_bar_lists_what_prometheus_knows(client: TestClient, canned: CannedPrometheus) -> None:
    """Choices come from label_values, the chosen ones are ticked, and label values never become HTML."""
    text = client.get("/d/agentgauge-tools?var-agent=a").text
    assert '<input type="checkbox" name="var-agent" value="a" checked>' in text
    assert '<input type="checkbox" name="var-tool" value="b&lt;b&gt;">' in text
    assert "b<b>" not in text
    assert canned.asked[-1]["match[]"] == ('agent_tool_calls_total{job=~".*", instance=~".*", agent=~"a"}')


def test_links_keep_the_chosen_variables_and_time(client: TestClient) -> None:
    """Going from Overview to Tools, or to one panel, stays with the same agent and range."""
    text = client.get("/d/agentgauge-overview?var-agent=a&from=now-6h&to=now").text
    assert 'href="/d/agentgauge-tools?var-agent=a&amp;from=now-6h&amp;to=now"' in text
    assert 'href="/d/agentgauge-overview?var-agent=a&amp;from=now-6h&amp;to=now&amp;viewPanel=panel-3"' in text
    assert '<option value="now-6h" selected>' in text


def test_the_theme_of_the_link_is_kept(client: TestClient) -> None:
    """As in Grafana, ``?theme=dark``; without, the page follows the reader's system."""
    text = client.get("/d/agentgauge-overview?theme=dark").text
    assert '<html lang="en" data-theme="dark">' in text
    assert 'href="/d/agentgauge-tools?from=now-1h&amp;to=now&amp;theme=dark"' in text
    assert '<input type="hidden" name="theme" value="dark">' in text
    assert '<html lang="en" data-theme="">' in client.get("/d/agentgauge-overview").text


def test_a_fixed_time_range_is_kept(client: TestClient) -> None:
    """Choosing an agent on a page opened from a link about yesterday stays with yesterday."""
    text = client.get("/d/agentgauge-overview?from=5000000&to=6000000").text
    assert '<option value="5000000" selected>' in text
    assert '<input type="hidden" name="to" value="6000000">' in text


def test_each_kind_of_mark_can_be_hidden(client: TestClient) -> None:
    """The page names what the coloured lines mean."""
    text = client.get("/d/agentgauge-autonomy").text
    for name in ("Firing alerts", "Deploys", "Generated history", "Promotions and demotions"):
        assert f'checked data-mark="{name}"' in text


# Queries


def test_queries_reach_prometheus_with_everything_filled_in(client: TestClient, canned: CannedPrometheus) -> None:
    """No variable of Grafana is left, and the chosen tool is in the query."""
    for uid, dashboard in DASHBOARDS.items():
        for panel in dashboard["panels"]:
            if panel["type"] != "row":
                drawn(client, PanelRef(uid, panel["id"]))
    assert canned.asked
    assert not [query for query in canned.asked if re.search(r"\$[A-Za-z_{]", query["query"])]
    assert any('tool=~"send_email"' in query["query"] for query in canned.asked)


@pytest.mark.parametrize(("asked", "minutes"), [("", "10"), ("&var-minutes=2.5", "2.5"), ("&var-minutes=1)or(1", "10")])
def test_what_the_reader_assumes_is_in_the_query(
    client: TestClient, canned: CannedPrometheus, asked: str, minutes: str
) -> None:
    """Only as a number; the bar shows it and every link keeps it."""
    drawn(client, PanelRef(links.VALUE, 101), f"?from=now-28d&to=now{asked}")
    assert {query["query"].partition(" * sum")[0] for query in canned.asked} == {f"60 * {minutes}"}
    page = client.get(f"/d/{links.VALUE}?from=now-28d&to=now{asked}").text
    assert f'value="{minutes}"></label>' in page
    assert f"var-minutes={minutes}" in page


@pytest.mark.parametrize(
    ("expr", "filled"),
    [
        ('up{agent=~"$agent"}', 'up{agent=~"sales_companion"}'),
        ('up{agent=~"${agent}|"}', 'up{agent=~"sales_companion|"}'),
        ('up{job=~"$job"}', 'up{job=~".*"}'),
        ('up{tool=~"$tool"}', 'up{tool=~"(a|b)"}'),
        ('up{instance=~"$instance"}', r'up{instance=~"127\\.0\\.0\\.1:9464"}'),
        ("rate(up[$__rate_interval])", "rate(up[70s])"),
        ("rate(up[$__interval])", "rate(up[60s])"),
        ("rate(up[$__range])", "rate(up[3600s])"),
        ('label_replace(up, "a", "$1", "b", "(.*)")', 'label_replace(up, "a", "$1", "b", "(.*)")'),
    ],
)
def test_variables_are_filled_in_as_grafana_does(expr: str, filled: str) -> None:
    """One choice is itself, several are alternatives, none is All; regular expressions are escaped for PromQL."""
    choices = Choices({"agent": ["sales_companion"], "job": [], "tool": ["a", "b"], "instance": ["127.0.0.1:9464"]})
    assert substitute(expr, LAST_HOUR, 60, choices) == filled


def test_a_quote_in_a_variable_does_not_leave_the_string() -> None:
    """A crafted link cannot add to the query."""
    choices = Choices({"agent": ['x"} or vector(1) #']})
    filled = substitute('up{agent=~"$agent"}', LAST_HOUR, 60, choices)
    assert json.loads(filled.removeprefix("up{agent=~").removesuffix("}")) == r'x"\}\ or\ vector\(1\)\ \#'


def test_the_rate_interval_spans_four_scrapes_at_least() -> None:
    """So that a rate on a short range still has points to work with."""
    assert substitute("$__rate_interval", LAST_HOUR, 10, Choices({})) == "40s"


def test_rates_are_never_taken_over_less_than_four_minutes(client: TestClient, canned: CannedPrometheus) -> None:
    """Nor asked for more often than every minute: the query's own least step holds in the preview as in Grafana."""
    (trace,) = drawn(client, PanelRef(links.TOOLS, 103))["data"]
    assert {query["step"] for query in canned.asked} == {"60"}
    assert all("[240s]" in query["query"] for query in canned.asked)
    assert trace["x"][2] - trace["x"][1] == 60_000


def test_what_is_no_rate_has_a_point_for_every_scrape(client: TestClient, canned: CannedPrometheus) -> None:
    """On a short range."""
    drawn(client, links.TOOL_SUCCESS)
    assert {query["step"] for query in canned.asked} == {"10"}


@pytest.mark.parametrize(
    ("from_", "to", "expected"),
    [
        ("now-1h", "now", TimeRange(6400.0, 10000.0)),
        ("now-2h", "now-1h", TimeRange(2800.0, 6400.0)),
        ("5000000", "6000000", TimeRange(5000.0, 6000.0)),
    ],
)
def test_time_ranges_read_like_grafanas(from_: str, to: str, expected: TimeRange) -> None:
    """Relative to now, or Unix milliseconds."""
    assert TimeRange.parse(from_, to, now=10000.0) == expected


def test_the_step_is_a_multiple_of_the_scrape_interval() -> None:
    """Short ranges show every scrape, long ones about 240 points."""
    assert TimeRange(0, 300).step == 10
    assert TimeRange(0, 86400).step == 360


def test_the_newest_point_is_fresh_on_a_long_range_too() -> None:
    """A week has steps of 42 minutes; its last point is still of the last scrape."""
    week = TimeRange(0, 604805)
    assert week.step == 2520
    assert week.counted_back(week.step) == TimeRange(0, 604800)


def test_deploys_are_looked_for_minute_by_minute() -> None:
    """A new version is new for one minute: a longer step would miss it, eleven thousand points are the most."""
    assert annotation_step(TimeRange(0, 604800)) == 60
    assert annotation_step(TimeRange(0, 6_600_000)) == 600


@pytest.mark.parametrize("query", ["?from=yesterday", "?from=now&to=now-1h", "?from=now-1y"])
def test_a_time_range_that_cannot_be_read_is_said_so(client: TestClient, query: str) -> None:
    """In the panel, with what was wrong; the page itself still opens."""
    answer = client.get(f"/panel/agentgauge-overview/3{query}")
    assert answer.status_code == 400
    assert answer.json()["text"].startswith("Cannot draw this: ")
    assert client.get(f"/d/agentgauge-overview{query}").status_code == 200


# Drawings


def test_a_stat_shows_the_last_value_in_its_colour_with_its_history(client: TestClient) -> None:
    """Half of the agents up is red."""
    (value,) = drawn(client, links.AGENTS_UP)["values"]
    assert (value["text"], value["colour"]) == ("50 %", "#e02f44")
    assert len(value["points"]) == 4


def test_a_time_series_breaks_its_line_where_data_is_missing(client: TestClient) -> None:
    """A gap is a gap, not a straight line."""
    (trace,) = drawn(client, links.TOOL_SUCCESS)["data"]
    assert trace["name"] == "send_email"
    assert trace["y"] == [0.5, None, 0.5, 0.5, 0.5]
    assert trace["meta"]["last"] == "50 %"


def test_a_time_series_draws_the_threshold_with_its_value(client: TestClient) -> None:
    """A dashed line at the number of thresholds.yml, and the number beside it."""
    layout = drawn(client, links.TURN_LATENCY)["layout"]
    assert [(shape["y0"], shape["y1"], shape["line"]["dash"]) for shape in layout["shapes"]] == [(10.0, 10.0, "dash")]
    assert [label["text"] for label in layout["annotations"]] == ["10 s"]
    assert layout["yaxis"]["range"][1] > 10


def test_bars_are_drawn_against_the_right_axis(client: TestClient) -> None:
    """Sessions past the limit do not squash the lines of the calls per session."""
    shown = drawn(client, links.SESSION_TOOL_CALLS)
    kinds = {trace["name"]: trace["type"] for trace in shown["data"]}
    assert kinds == {
        "p95": "scatter",
        "p50": "scatter",
        "past the limit": "bar",
        "sales_companion, limit": "scatter",
    }
    assert shown["layout"]["yaxis2"]["side"] == "right"


def test_the_alert_table_links_each_alert_to_its_runbook_and_to_its_incident(
    client: TestClient, canned: CannedPrometheus
) -> None:
    """Severity in its colour, the name, of what, since when, what to do; labels for links alone are no columns."""
    of = {"agent": "sales companion", "tool": "search&find"}
    canned.labels = [{"alertname": "AgentLatencySpike", "of": "sales_companion", **of}]
    canned.value = "2"
    shown = drawn(client, links.FIRING_ALERTS)
    assert shown["columns"] == ["severity", "alert", "of", "since", "next"]
    severity, name, what, since, step = shown["rows"][0]
    assert severity == {"text": "critical", "colour": "#e02f44"}
    assert name["link"] == f"{DEMO.runbooks}/AgentLatencySpike/"
    assert what["text"] == "sales_companion"
    assert since["text"].endswith(" d ago")
    link = urlsplit(step["link"])
    assert step["link"].startswith(f"{DEMO.incidents}/incident/AgentLatencySpike/?")
    assert dict(parse_qsl(link.query)) == of


def test_a_panel_leads_to_its_query_in_prometheus(client: TestClient) -> None:
    """Filled in as it was asked, over the same time."""
    url = urlsplit(drawn(client, links.TOOL_SUCCESS)["query"])
    asked = dict(parse_qsl(url.query))
    assert url.path == "/graph"
    assert 'agent=~"sales_companion"' in asked["g0.expr"]
    assert "$" not in asked["g0.expr"]
    assert asked["g0.range_input"] == "900s"


def test_a_table_joins_its_queries_by_labels_and_colours_cells_beyond_a_limit(client: TestClient) -> None:
    """One row a tool; 50 % success is red."""
    shown = drawn(client, PanelRef(links.TOOLS, 100))
    assert shown["columns"][:4] == ["agent", "tool", "calls in 5 min", "success"]
    (row,) = shown["rows"]
    assert row[3] == {"text": "50 %", "colour": "#e02f44"}


def test_a_table_of_most_first_starts_with_the_most(client: TestClient, canned: CannedPrometheus) -> None:
    """The top spender is on top, whatever the order that Prometheus answers in."""
    panel = panel_of(links.USER_COST)
    series = [Series({"agent": "a", "user": name}, ((7200.0, spent),)) for name, spent in (("x", 1.0), ("y", 6.0))]
    shown = figure(panel, [series], LAST_HOUR)
    assert shown["columns"] == ["agent", "user", "spend"]
    assert [row[1:] for row in shown["rows"]] == [
        [{"text": "y"}, {"text": "$6.00", "colour": "#e02f44"}],
        [{"text": "x"}, {"text": "$1.00", "colour": "#56a64b"}],
    ]


def test_a_limit_that_is_a_series_is_dashed_and_red(client: TestClient) -> None:
    """Three times the usual day, beside the day and the usual day."""
    lines = {trace["name"]: trace["line"] for trace in drawn(client, links.SPEND)["data"]}
    assert lines["sales_companion, limit"] == {"color": "#e02f44", "width": 2, "dash": "dash"}
    assert {line["dash"] for name, line in lines.items() if "limit" not in name} == {"solid"}


def test_a_stat_leads_to_the_dashboard_that_explains_it(client: TestClient) -> None:
    """The page adds what is chosen; a stat that nothing explains further is not a link."""
    spend, *_ = drawn(client, PanelRef(links.OVERVIEW, 106))["values"]
    assert spend["link"] == f"/d/{links.COST}"
    assert client.get(spend["link"]).status_code == 200
    (critical,) = drawn(client, PanelRef(links.OVERVIEW, 100))["values"]
    assert critical["link"] == ""


def test_a_heatmap_of_money_names_its_buckets_in_dollars() -> None:
    """Each heatmap has the unit of its panel."""
    panel = panel_of(PanelRef(links.COST, 109))
    series = [Series({"le": bound}, ((7200.0, 3.0),)) for bound in ("0.25", "0.5", "+Inf")]
    (trace,) = figure(panel, [series], LAST_HOUR)["data"]
    assert trace["y"] == ["≤ $0.25", "≤ $0.5", "> $0.5"]


def test_a_heatmap_counts_each_bucket_by_itself() -> None:
    """Prometheus's buckets hold those below them too; the cells do not."""
    panel = next(panel for panel in DASHBOARDS["agentgauge-tools"]["panels"] if panel["type"] == "heatmap")
    buckets = [("+Inf", 9.0), ("0.5", 4.0), ("5.0", 9.0)]
    series = [Series({"le": bound}, ((7200.0, count),)) for bound, count in buckets]
    (trace,) = figure(panel, [series], LAST_HOUR)["data"]
    assert trace["y"] == ["≤ 500 ms", "≤ 5 s", "> 5 s"]
    assert trace["z"] == [[4.0], [5.0], [None]]


def test_series_with_a_meaning_keep_its_colour_and_others_differ_from_each_other() -> None:
    """Completed is green on every panel; no two lines of a panel share a colour."""
    panel = next(panel for panel in DASHBOARDS["agentgauge-overview"]["panels"] if panel["id"] == 108)
    names = ["completed", "failed", "one", "two", "three", "four", "five"]
    series = [Series({"outcome": name}, ((7200.0, 1.0),)) for name in names]
    colours = {trace["name"]: trace["meta"]["colour"] for trace in figure(panel, [series], LAST_HOUR)["data"]}
    assert (colours["completed"], colours["failed"]) == ("#56a64b", "#e02f44")
    assert len(set(colours.values())) == len(names)


def test_a_state_is_shown_as_its_name_in_its_colour(client: TestClient, canned: CannedPrometheus) -> None:
    """Not as the number that stands for it."""
    canned.value = "2"
    (stage,) = drawn(client, PanelRef(links.AUTONOMY, 100))["values"]
    assert (stage["text"], stage["colour"], stage["points"]) == ("semi-autonomous", "#3274d9", [])


def test_a_timeline_has_a_band_for_each_series_and_an_entry_for_each_state() -> None:
    """Each state is a trace of its own; where a series is in another state it has no cell."""
    panel = panel_of(PanelRef(links.AUTONOMY, 107))
    series = [
        Series({"tool": "a"}, ((7200.0, 0.0), (7260.0, 1.0))),
        Series({"tool": "b"}, ((7200.0, 1.0),)),
    ]
    traces = figure(panel, [series], LAST_HOUR)["data"]
    assert [(trace["name"], trace["y"], trace["z"]) for trace in traces] == [
        ("suggests", ["b", "a"], [[None, None], [1, None]]),
        ("asks first", ["b", "a"], [[1, None], [None, 1]]),
    ]


def test_a_single_band_does_not_fill_a_timeline() -> None:
    """Every band has its name, and four are the least that there is room for."""
    panel = panel_of(PanelRef(links.AUTONOMY, 106))
    for names, expected in ((["a"], [-2, 2]), (list("abcdef"), [-0.5, 5.5])):
        series = [Series({"agent": name}, ((7200.0, 1.0),)) for name in names]
        axis = figure(panel, [series], LAST_HOUR)["layout"]["yaxis"]
        assert (axis["range"], axis["dtick"]) == (expected, 1)


@pytest.mark.parametrize(("ref", "value"), [(links.AGENTS_UP, "NaN"), (links.TOOL_SUCCESS, "NaN")])
def test_a_panel_without_data_says_so(client: TestClient, canned: CannedPrometheus, ref: PanelRef, value: str) -> None:
    """No series, or nothing but NaN."""
    canned.value = value
    nothing = panel_of(ref)["fieldConfig"]["defaults"]["noValue"]
    assert drawn(client, ref) | {"query": ""} == {"kind": "message", "text": nothing, "query": ""}
    canned.labels = []
    assert drawn(client, ref) | {"query": ""} == {"kind": "message", "text": nothing, "query": ""}


def test_where_no_data_is_good_or_bad_news_the_panel_says_which(client: TestClient, canned: CannedPrometheus) -> None:
    """No error is good; without the watchdog, that nothing fires says nothing."""
    canned.labels = []
    assert drawn(client, links.TOOL_ERRORS)["text"] == "No call failed"
    assert drawn(client, links.FIRING_ALERTS)["text"] == "No alert fires"
    assert drawn(client, PanelRef(links.OVERVIEW, 100))["text"] == "No rule is evaluated"


def test_firing_alerts_and_deploys_are_marked_on_the_charts(client: TestClient, canned: CannedPrometheus) -> None:
    """Each stretch of points is one mark with a title."""
    canned.labels = [{"alertname": "AgentLatencySpike", "agent": "sales_companion"}]
    marks = client.get(f"/annotations/agentgauge-overview{SELECTED}").json()
    alerts_marked = [mark for mark in marks if mark["title"] == "AgentLatencySpike"]
    assert len(alerts_marked) == 2  # before and after the missing point
    assert all(mark["from"] <= mark["to"] for mark in alerts_marked)


def test_an_alert_that_still_fires_is_marked_up_to_now() -> None:
    """The mark does not end at the last point, up to a step ago."""
    annotation = {"name": "Firing alerts", "titleFormat": "{{alertname}}", "iconColor": "red"}
    series = Series({"alertname": "A"}, ((60.0, 1.0), (120.0, 1.0), (180.0, 1.0)))
    assert [(mark["from"], mark["to"]) for mark in marks_of(annotation, [series], 60, 200.0)] == [(60000, 200000)]
    assert [(mark["from"], mark["to"]) for mark in marks_of(annotation, [series], 60, 300.0)] == [(60000, 180000)]


# When Prometheus does not help


def test_without_prometheus_every_panel_says_so(client_without_prometheus: TestClient) -> None:
    """No blank page: the panels stand, each with the reason, and the page says it at the top."""
    page = client_without_prometheus.get("/d/agentgauge-overview?var-agent=a")
    assert page.status_code == 200
    assert " does not answer." in page.text
    assert 'value="a" checked' in page.text
    for panel in DASHBOARDS["agentgauge-overview"]["panels"]:
        if panel["type"] != "row":
            answer = client_without_prometheus.get(f"/panel/agentgauge-overview/{panel['id']}")
            assert answer.status_code == 502
            assert answer.json()["text"].startswith("Prometheus at http://127.0.0.1:")
    assert client_without_prometheus.get("/annotations/agentgauge-overview").status_code == 502


def test_a_query_that_prometheus_refuses_is_shown_with_its_reason(client: TestClient, canned: CannedPrometheus) -> None:
    """For example when it would load too many samples."""
    canned.refusal = "query processing would load too many samples"
    answer = client.get("/panel/agentgauge-overview/3")
    assert answer.status_code == 502
    assert answer.json()["text"] == "Prometheus refused the query: query processing would load too many samples"


def test_something_else_at_prometheus_address_is_named() -> None:
    """A wrong --prometheus is told from an outage."""

    async def hello(request: Request) -> Response:
        return PlainTextResponse("hello")

    with serving(Starlette(routes=[Route("/{path:path}", hello)])) as url:
        answer = TestClient(create_app(GENERATED, Prometheus(url)), base_url=ORIGIN).get("/panel/agentgauge-overview/3")
    assert answer.json()["text"] == f"{url} answered 200 without JSON: not Prometheus?"


def test_a_folder_without_dashboards_is_an_error(tmp_path: Path) -> None:
    """It says what to run."""
    with pytest.raises(LibraryError, match=r"no dashboard in .*; run `make generate`"):
        load(tmp_path)
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(LibraryError, match=r"broken.json is not a dashboard"):
        load(tmp_path)


# Units


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.9823, "percentunit", "98.2 %"),
        (1, "percentunit", "100 %"),
        (0.0412, "s", "41.2 ms"),
        (0.0000885, "s", "88.5 µs"),
        (1.353, "s", "1.35 s"),
        (0.99999, "s", "1 s"),
        (999.999, "short", "1 K"),
        (90, "s", "1.5 min"),
        (0, "s", "0 s"),
        (0.0421, "currencyUSD", "$0.0421"),
        (1234.5, "currencyUSD", "$1,234.50"),
        (0, "currencyUSD", "$0.00"),
        (1234, "short", "1.23 K"),
        (7, "short", "7"),
        (1.5e6, "short", "1.5 M"),
        (12.34, "suffix:/min", "12.3/min"),
        (2.345, "suffix: ×", "2.35 ×"),
        (604_800, "s", "7 d"),
        (960, "s", "16 min"),
        (85_868_544, "decbytes", "85.9 MB"),
        (512, "decbytes", "512 B"),
        (820_000, "dateTimeFromNow", "3 min ago"),
    ],
)
def test_values_are_written_for_people(value: float, unit: str, text: str) -> None:
    """Three digits are enough; units as Grafana has them. Now is 1000 s."""
    assert units.written(value, unit, now=1000.0) == text


@pytest.mark.parametrize(
    ("highest", "ticks"),
    [
        (280.0, ["0 s", "1 min", "2 min", "3 min", "4 min", "5 min"]),
        (0.012, ["0 s", "2 ms", "4 ms", "6 ms", "8 ms", "10 ms", "12 ms", "14 ms"]),
        (12.0, ["0 s", "2 s", "4 s", "6 s", "8 s", "10 s", "12 s", "14 s"]),
        (7200.0, ["0 s", "30 min", "1 h", "1.5 h", "2 h", "2.5 h"]),
    ],
)
def test_an_axis_of_time_has_ticks_that_people_count_in(highest: float, ticks: list[str]) -> None:
    """Five minutes, not 250 s."""
    assert units.axis("s", highest)["ticktext"] == ticks
