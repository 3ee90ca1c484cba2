// One trial, live: its story is told again when it changes; cancel, retry and note.
import { draw, forget } from "./charts.js";
import { ask, keepUp, renew, send, tellTimes } from "./page.js";

const trial = document.getElementById("trial");
const story = document.getElementById("story");
const note = document.getElementById("note");
const { url } = trial.dataset;
let revision = 0;

async function look() {
  const told = await ask(`${url}/story?after=${revision}`);
  if (told.html !== null) {
    await show(told);
    await showCurves();
  }
  revision = told.revision;
}

const rest = document.getElementById("rest");

/** Puts new HTML in an element's place; what was open stays open. */
function put(place, html) {
  const details = () => [...place.querySelectorAll("details:not(.data)")];
  const isOpen = details().map((part) => part.open);
  forget(place);
  renew(place, html);
  details().forEach((part, i) => (part.open = isOpen[i] ?? false));
  tellTimes(place);
}

async function show(told) {
  const hadFocus = story.contains(document.activeElement) && document.activeElement.dataset.act;
  put(story, told.html);
  put(rest, told.rest);
  if (hadFocus) story.querySelector("[data-act]")?.focus({ preventScroll: true });
  document.getElementById("learning").hidden = told.figure === null;
  if (told.figure) await draw(document.getElementById("learning-chart"), told.figure);
}

const training = document.getElementById("training");
let drawn = ""; // which charts are there: the same ones are only changed

async function showCurves() {
  const { html, titles, figures } = await ask(`${url}/curves`);
  const place = training.querySelector(".multiples");
  training.hidden = !figures.length;
  if (titles.join() !== drawn) {
    forget(place);
    renew(place, html);
    drawn = titles.join();
  }
  const charts = [...place.querySelectorAll(".chart")];
  for (const [i, figure] of figures.entries()) await draw(charts[i], figure);
}

story.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-act]");
  if (!button) return;
  button.disabled = true;
  try {
    const { state } = await send(`${url}/${button.dataset.act}`);
    document.getElementById("announce").textContent = `The trial is ${state} now.`;
    await look();
  } catch (problem) {
    button.disabled = false;
    story.querySelector(".actions [role=alert]").textContent = problem.message;
  }
});

document.getElementById("note-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const said = document.getElementById("note-said");
  try {
    const tags = document.getElementById("tags").value.split(";").map((tag) => tag.trim());
    await send(`${url}/note`, { note: note.value, tags: tags.filter((tag) => tag) });
    said.textContent = "Saved.";
    await look();
  } catch (problem) {
    said.textContent = `Not saved: ${problem.message}`;
  }
});

look().then(() => (trial.dataset.drawn = "yes")).finally(() => keepUp(look));
