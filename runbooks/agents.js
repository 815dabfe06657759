/* Where several agents share these pages: show the queries and commands of the agent that `?agent=NAME` asks for, or
   that is chosen at the top. Only names that the pages were rendered for are taken from the address. */
(() => {
  "use strict";
  document.querySelector(".md-search")?.setAttribute("aria-label", "Search"); // the theme gives its dialog no name
  addEventListener("load", () => {
    for (const wrap of document.querySelectorAll(".md-typeset__scrollwrap")) wrap.tabIndex = 0; // so that the keys scroll it
  });
  const place = document.querySelector(".which-agent");
  if (!place) return;
  const commands = JSON.parse(place.dataset.agents);
  const names = Object.keys(commands);
  const asked = new URLSearchParams(location.search).get("agent");

  const choice = document.createElement("select");
  choice.setAttribute("aria-label", "Agent");
  for (const name of names) choice.add(new Option(name, name));
  place.replaceChildren("Queries and commands of ", choice);
  if (asked !== null && !names.includes(asked)) {
    const warning = document.createElement("strong");
    warning.textContent = " The alert is of another agent, which these pages do not know: put its name in place of this one.";
    place.append(warning);
  }

  function show(agent) {
    choice.value = agent;
    for (const element of document.querySelectorAll("[data-agent]")) element.textContent = agent;
    for (const element of document.querySelectorAll("[data-command]")) element.textContent = commands[agent];
    for (const link of document.querySelectorAll("a[href]")) {
      const url = new URL(link.href, location.href);
      if (url.origin === location.origin && (url.pathname.endsWith("/") || url.pathname.endsWith(".html"))) {
        if (link.getAttribute("href").startsWith("#")) continue;
        url.searchParams.set("agent", agent);
        link.href = url.href;
      }
    }
  }

  choice.addEventListener("change", () => {
    const url = new URL(location.href);
    url.searchParams.set("agent", choice.value);
    history.replaceState(null, "", url);
    show(choice.value);
  });
  show(names.includes(asked) ? asked : names[0]);
})();
