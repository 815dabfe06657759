// Draws each panel from /panel/<uid>/<id> and draws it again every few seconds, without reloading the page.
"use strict";

const main = document.querySelector("main");
const state = document.getElementById("state");
const bar = document.getElementById("bar");
function mark(shown, shade) {
  shown.classList.add("marked");
  shown.style.setProperty("--mark", shade);
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
// Plotly writes times in UTC; people read their own clock.
const local = (milliseconds) => milliseconds - new Date(milliseconds).getTimezoneOffset() * 60000;

bar.addEventListener("change", (event) => {
  if (event.target.dataset.mark) return refresh();
  if (event.target.name === "from") bar.elements.to.value = "now";
  bar.submit();
});
document.getElementById("theme").addEventListener("click", () => {
  const url = new URL(location.href);
  url.searchParams.set("theme", document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  location.assign(url);
});
document.addEventListener("click", (event) => {
  for (const open of document.querySelectorAll("details[open]")) if (!open.contains(event.target)) open.open = false;
});

// What is chosen in the bar, for a link to another dashboard.
function chosen() {
  const query = new URLSearchParams(location.search);
  query.delete("viewPanel");
  return query;
}

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

const draw = {
  message(content, figure) {
    content.replaceChildren(element("p", figure.bad ? "message bad" : "message", figure.text));
  },

  stat(content, figure) {
    content.classList.toggle("several", figure.values.length > 1 || figure.values[0].name !== "");
    content.replaceChildren(...figure.values.map((value) => {
      const shown = element(value.link ? "a" : "div", "value");
      if (value.name) shown.append(element("span", "name", value.name));
      shown.append(element("span", "number", value.text));
      if (value.link) shown.href = `${value.link}?${chosen()}`;
      mark(shown, value.colour);
      shown.style.setProperty("--length", Math.max(4, value.text.length));
      return shown;
    }));
    if (figure.values[0].points.length) content.prepend(sparkline(figure.values[0]));
  },

  table(content, figure) {
    const table = element("table");
    table.createTHead().insertRow().append(...figure.columns.map((name) => element("th", "", name)));
    const body = table.createTBody();
    for (const row of figure.rows) body.insertRow().append(...row.map(cell));
    const scroll = element("div", "scroll");
    scroll.tabIndex = 0; // so that the keys can scroll it
    scroll.append(table);
    content.replaceChildren(scroll);
  },

  chart(content, figure, marks) {
    if (!content.querySelector(".plot")) {
      const plot = element("div", "plot");
      content.replaceChildren(plot, element("div", "legend"));
      new ResizeObserver(() => plot.data && Plotly.Plots.resize(plot)).observe(plot);
    }
    content.hiddenNames ??= new Set();
    for (const trace of figure.data) trace.x = trace.x.map(local);
    return plotAndLegend(content, figure, marks);
  },
};

function plotAndLegend(content, figure, marks) {
  const hidden = content.hiddenNames;
  for (const trace of figure.data) trace.visible = hidden.has(trace.name) ? "legendonly" : true;
  legend(content.querySelector(".legend"), figure, hidden, () => plotAndLegend(content, figure, marks));
  return Plotly.react(content.querySelector(".plot"), figure.data, layout(figure, marks), { displayModeBar: false });
}

function layout(figure, marks) {
  const line = { gridcolor: colour("--grid"), linecolor: colour("--grid"), zeroline: false, automargin: true,
    ticks: "", ticklabelstandoff: 4 };
  const given = figure.layout;
  const stretches = united(marks).map((mark) => (
    { type: "rect", yref: "paper", y0: 0, y1: 1, x0: local(mark.from), x1: local(mark.to), fillcolor: mark.colour,
      opacity: 0.07, line: { width: 0 }, layer: "below" }));
  const starts = marks.map((mark) => (
    { type: "line", yref: "paper", y0: 0, y1: 1, x0: local(mark.from), x1: local(mark.from),
      line: { color: mark.colour, width: 1, dash: "dot" } }));
  // Shapes have no tooltip: an invisible point at the foot of each mark carries its title.
  const titles = marks.map((mark) => ({ x: local(mark.from), yref: "paper", y: 0, text: "▲", showarrow: false,
    yanchor: "top", hovertext: mark.title, font: { color: mark.colour, size: 9 } }));
  return {
    ...given,
    xaxis: { ...line, ...given.xaxis, range: given.xaxis.range.map(local), nticks: 8, ticklabelstandoff: 7, hoverformat: "%H:%M:%S",
      tickformat: given.xaxis.range[1] - given.xaxis.range[0] > 86400000 ? "%b %d" : "%H:%M" },
    yaxis: { ...line, nticks: 6, ...given.yaxis },
    ...(given.yaxis2 && { yaxis2: { ...line, nticks: 4, ...given.yaxis2 } }),
    shapes: [...(given.shapes ?? []), ...stretches, ...starts],
    annotations: [...(given.annotations ?? []), ...titles],
    showlegend: false,
    hovermode: given.yaxis.type === "category" ? "closest" : "x unified",
    hoverlabel: { bgcolor: colour("--panel"), bordercolor: colour("--edge"), font: { color: colour("--text") } },
    margin: { l: 44, r: 14, t: 10, b: 30 },
    paper_bgcolor: "transparent",
    plot_bgcolor: "transparent",
    font: { color: colour("--dim"), size: 11, family: getComputedStyle(document.body).fontFamily },
  };
}

// One band where several marks of a kind overlap: ten alerts at once must not hide what they are about.
function united(marks) {
  const bands = [];
  for (const mark of [...marks].sort((a, b) => a.from - b.from)) {
    const last = bands.findLast((band) => band.name === mark.name && mark.from <= band.to);
    if (last) last.to = Math.max(last.to, mark.to);
    else bands.push({ ...mark });
  }
  return bands;
}

function legend(box, figure, hidden, changed) {
  const entries = figure.data.filter((trace) => trace.meta).map((trace) => {
    const entry = element("button", hidden.has(trace.name) ? "off" : "", trace.name);
    const dot = element("i");
    dot.style.background = trace.meta.colour;
    entry.prepend(dot);
    entry.append(element("b", "", trace.meta.last));
    entry.onclick = () => {
      if (!hidden.delete(trace.name)) hidden.add(trace.name);
      changed();
    };
    return entry;
  });
  box.replaceChildren(...entries);
}

function cell(value) {
  const made = element("td");
  if (value.colour) mark(made, value.colour);
  if (value.link) {
    const link = element("a", "", value.text);
    link.href = value.link;
    link.target = "_blank";
    made.append(link);
  } else {
    made.textContent = value.text;
  }
  return made;
}

function sparkline(value) {
  const xs = value.points.map((point) => point[0]), ys = value.points.map((point) => point[1]);
  const [left, right, low, high] = [Math.min(...xs), Math.max(...xs), Math.min(0, ...ys), Math.max(...ys)];
  const at = ([x, y]) => `${(100 * (x - left)) / (right - left)},${38 - (34 * (y - low)) / (high - low || 1)}`;
  const line = value.points.map(at).join(" ");
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 100 40");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("class", "spark");
  for (const [name, points, style] of [
    ["polygon", `0,40 ${line} 100,40`, `fill:${value.colour};opacity:.13`],
    ["polyline", line, `fill:none;stroke:${value.colour};stroke-width:1.5;vector-effect:non-scaling-stroke;opacity:.7`],
  ]) {
    const shape = document.createElementNS("http://www.w3.org/2000/svg", name);
    shape.setAttribute("points", points);
    shape.setAttribute("style", style);
    svg.append(shape);
  }
  return svg;
}

async function refresh() {
  const answer = await fetch(`/annotations/${main.dataset.uid}${location.search}`).catch(() => null);
  const shown = new Set([...document.querySelectorAll("[data-mark]:checked")].map((box) => box.dataset.mark));
  const marks = answer?.ok ? (await answer.json()).filter((mark) => shown.has(mark.name)) : [];
  const answers = [...document.querySelectorAll(".panel")].map((panel) => load(panel, marks));
  const reached = (await Promise.all(answers)).every(Boolean);
  main.dataset.drawn = "";
  state.textContent = reached ? `Updated ${new Date().toLocaleTimeString()}` : "The preview does not answer.";
}

async function load(panel, marks) {
  const content = panel.querySelector(".content");
  try {
    const answer = await fetch(`/panel/${main.dataset.uid}/${panel.dataset.panel}${location.search}`);
    const figure = await answer.json();
    if (!answer.ok) figure.bad = true;
    panel.querySelector(".query").href = figure.query ?? "#";
    await draw[figure.kind](content, figure, marks);
    return true;
  } catch (error) {
    console.error(error);
    return false;
  }
}

async function keepFresh() {
  if (!document.hidden) await refresh();
  setTimeout(keepFresh, 1000 * main.dataset.refresh);
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => location.reload());
keepFresh();
