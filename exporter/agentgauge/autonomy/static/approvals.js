// Two comforts: the list shows what comes up, and the edit form shows what it changes, without a click.
"use strict";

const EVERY = 5000;
const AFTER_TYPING = 250;

async function page(url, options) {
  const answer = await fetch(url, options);
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

function swap(old, fresh) {
  if (old.innerHTML !== fresh.innerHTML) old.replaceChildren(...fresh.childNodes);
}

const live = document.getElementById("live");
if (live) {
  setInterval(async () => {
    // Nobody's place in the list is lost, and a tab in the background asks for nothing.
    if (document.hidden || live.contains(document.activeElement)) return;
    const now = await page(location.href).catch(() => null); // null: the agent does not answer; the next try is soon
    const fresh = now?.getElementById("live");
    if (fresh) {
      swap(live, fresh);
      document.title = now.title;
    } else if (now) {
      location.reload(); // logged out, or the ledger is down: the page itself says it best
    }
  }, EVERY);
}

const edit = document.getElementById("edit");
if (edit) {
  const preview = edit.querySelector("button[formaction]");
  const shown = document.getElementById("changes");
  let typing, latest = 0;
  preview.hidden = true;
  edit.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(async () => {
      const mine = ++latest;
      const body = new URLSearchParams(new FormData(edit));
      const now = await page(preview.formAction, { method: "POST", body }).catch(() => null);
      const fresh = now?.getElementById("changes");
      if (fresh && mine === latest) swap(shown, fresh);
      preview.hidden = Boolean(fresh); // if something is wrong, the button leads to a page that says what
    }, AFTER_TYPING);
  });
}
