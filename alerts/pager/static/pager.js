// Renews what is shown without reloading the page: where the reader is, what is open and what is typed stays.
"use strict";
const list = document.getElementById("list");
const renewed = document.getElementById("renewed");
const said = document.getElementById("said");
const you = document.querySelector("#who input");

if (you) {
  you.value = localStorage.getItem("you") || "";
  you.addEventListener("input", () => { localStorage.setItem("you", you.value); sign(); });
  document.getElementById("who").addEventListener("submit", (event) => event.preventDefault());
}

function sign() {
  if (you) for (const field of list.querySelectorAll("input.you")) if (!field.matches(":focus")) field.value = you.value;
}

function isInUse() {
  const within = list.contains(document.activeElement) && document.activeElement.matches("input, select");
  return within || [...list.querySelectorAll("input[name=why], input.typed")].some((field) => field.value);
}

function opened() {
  return [...list.querySelectorAll("article")].flatMap((article) =>
    [...article.querySelectorAll("details[open] > summary")].map((summary) => article.ariaLabel + summary.className + summary.parentElement.className));
}

function show(text) {
  const before = opened(), focused = list.contains(document.activeElement) && document.activeElement.id;
  list.innerHTML = text;
  for (const article of list.querySelectorAll("article"))
    for (const details of article.querySelectorAll("details"))
      if (before.includes(article.ariaLabel + details.firstElementChild.className + details.className)) details.open = true;
  if (focused) document.getElementById(focused)?.focus();
  const now = list.querySelector(".said")?.value;
  if (said && now && said.textContent !== now) said.textContent = now; // only what is new is read out
  sign();
}

async function renew() {
  try {
    const answer = await fetch(list.dataset.src, { headers: { "if-none-match": list.dataset.tag }, cache: "no-store" });
    if (answer.status === 200 && !isInUse()) {
      const first = !list.dataset.tag;
      show(await answer.text());
      if (first && location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView(); // it was not there before
      list.dataset.tag = answer.headers.get("etag");
    }
    if (renewed.textContent) renewed.textContent = "";
  } catch {
    renewed.textContent = "The pager does not answer: what is shown may be old.";
  }
  setTimeout(renew, Number(list.dataset.every));
}

sign();
if (said) renew(); else setTimeout(renew, Number(list.dataset.every));
