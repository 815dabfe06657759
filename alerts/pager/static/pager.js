// Renews the list without reloading the page: where the reader is, what is open and what is typed stays.
"use strict";
const list = document.getElementById("list");
const renewed = document.getElementById("renewed");
const you = document.querySelector("#who input");

you.value = localStorage.getItem("you") || "";
you.addEventListener("input", () => { localStorage.setItem("you", you.value); sign(); });
document.getElementById("who").addEventListener("submit", (event) => event.preventDefault());

function sign() {
  for (const field of list.querySelectorAll("input.you")) if (!field.matches(":focus")) field.value = you.value;
}

function isInUse() {
  const within = list.contains(document.activeElement) && document.activeElement.matches("input, select");
  return within || [...list.querySelectorAll("input[name=why]")].some((field) => field.value);
}

function opened() {
  return [...list.querySelectorAll("article")].flatMap((article) =>
    [...article.querySelectorAll("details[open] > summary")].map((summary) => article.ariaLabel + summary.className + summary.parentElement.className));
}

async function renew() {
  try {
    const answer = await fetch("open", { headers: { "if-none-match": list.dataset.tag }, cache: "no-store" });
    if (answer.status === 200 && !isInUse()) {
      const before = opened();
      list.innerHTML = await answer.text();
      list.dataset.tag = answer.headers.get("etag");
      for (const article of list.querySelectorAll("article"))
        for (const details of article.querySelectorAll("details"))
          if (before.includes(article.ariaLabel + details.firstElementChild.className + details.className)) details.open = true;
      sign();
    }
    if (renewed.textContent) renewed.textContent = "";
  } catch {
    renewed.textContent = "The pager does not answer: this list may be old.";
  }
}

sign();
setInterval(renew, 3000);
