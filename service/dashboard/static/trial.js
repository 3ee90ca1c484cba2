// One trial, live: its story is told again when it changes; cancel, retry and note.
import { draw, forget } from "./charts.js";
import { ask, keepUp, nodes, send, tellTimes } from "./page.js";

const trial = document.getElementById("trial");
const story = document.getElementById("story");
const note = document.getElementById("note");
const { url } = trial.dataset;
let revision = 0;

async function look() {
  const told = await ask(`${url}/story?after=${revision}`);
  if (told.html !== null) await show(told);
  revision = told.revision;
  return false;
}

async function show({ html, figure }) {
  const hadFocus = story.contains(document.activeElement) && document.activeElement.dataset.act;
  const isOpen = [...story.querySelectorAll("details")].map((part) => part.open);
  forget(story);
  story.replaceChildren(nodes(html));
  story.querySelectorAll("details").forEach((part, place) => (part.open = isOpen[place] ?? false));
  if (hadFocus) story.querySelector("[data-act]")?.focus({ preventScroll: true });
  tellTimes(story);
  document.getElementById("learning").hidden = figure === null;
  if (figure) await draw(document.getElementById("learning-chart"), figure);
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
    await send(`${url}/note`, { note: note.value });
    said.textContent = "Saved.";
    await look();
  } catch (problem) {
    said.textContent = `Not saved: ${problem.message}`;
  }
});

look().then(() => (trial.dataset.drawn = "yes")).finally(() => keepUp(look));
