// What both surrogates predict around the mixture to train, drawn anew with every result.
import { draw } from "./charts.js";
import { offerEffects } from "./effects.js";
import { ask, follow } from "./page.js";

const root = document.getElementById("surfaces");
const corners = document.getElementById("corners");
const panels = [...root.querySelectorAll("[data-surrogate]")];
const wanted = new Set(root.dataset.atOnce === "yes" ? panels : []);

function query() {
  const chosen = corners ? new FormData(corners).getAll("corner") : [];
  const isTriangle = new Set(chosen).size === 3;
  const said = document.getElementById("corners-said");
  if (said) said.textContent = isTriangle ? "" : "Choose three different domains.";
  return new URLSearchParams(isTriangle ? chosen.map((name) => ["corner", name]) : []);
}

const showEffects = offerEffects(root);
let latest = 0;

async function show(panel, asked, isCurrent = () => true) {
  const callout = panel.querySelector(".callout");
  panel.setAttribute("aria-busy", "true");
  try {
    const url = `${root.dataset.url}/surfaces/${panel.dataset.surrogate}?${asked}`;
    const { trouble, figures } = await ask(url);
    if (!isCurrent()) return; // what was asked for since then is shown instead
    callout.textContent = trouble;
    for (const chart of panel.querySelectorAll("[data-figure]")) {
      const figure = figures[chart.dataset.figure];
      chart.parentElement.hidden = !figure;
      if (figure) await draw(chart, figure);
    }
  } catch (problem) {
    callout.textContent = `This fit could not be loaded (${problem.message}); it is tried again at the next change.`;
  } finally {
    callout.hidden = callout.textContent === "";
    panel.querySelector(".waiting")?.remove();
    panel.setAttribute("aria-busy", "false");
  }
}

async function refresh() {
  const asked = query();
  const mine = (latest += 1);
  await showEffects();
  for (const panel of panels) {
    if (wanted.has(panel)) await show(panel, asked, () => mine === latest);
    if (mine !== latest) return;
  }
  root.dataset.drawn = String(Number(root.dataset.drawn ?? 0) + 1);
}

for (const panel of panels) {
  panel.querySelector(".fit-now")?.addEventListener("click", (event) => {
    event.target.disabled = true;
    wanted.add(panel);
    show(panel, query());
  });
}
corners?.addEventListener("change", refresh);
corners?.addEventListener("submit", (event) => event.preventDefault());
refresh();
follow(root, refresh, { resultsOnly: true });
