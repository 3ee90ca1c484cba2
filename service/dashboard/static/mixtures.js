// All mixtures: sorted and filtered by the service, drawn here, kept up to date.
import { draw } from "./charts.js";
import { ask, follow, nodes, renew } from "./page.js";

const root = document.getElementById("mixtures");
const url = `${root.dataset.url}/mixtures`;
const wanted = document.getElementById("wanted");
const corners = document.getElementById("corners");
const list = document.getElementById("found");
const more = document.getElementById("more");
const PAGE = 100;
const nFound = document.getElementById("n-found");

/** The filled fields of forms as an address's query; a weight counts only with its domain. */
function query(...forms) {
  const fields = forms.filter(Boolean).flatMap((form) => [...new FormData(form)]);
  return new URLSearchParams(fields.filter(([, value]) => value !== ""));
}

/** Shows a table where a chart does not tell mixtures apart, and folds the chart away. */
function standIn(around, html) {
  const [summary] = around.children;
  renew(around.previousElementSibling, html);
  around.ontoggle = null;
  if (summary.hidden === (html === "")) return; // as before: open if the reader has opened it
  summary.hidden = html === "";
  around.open = summary.hidden;
}

let latestList = 0;
let latestCharts = 0; // what was asked for since then is shown instead

async function showList(offset = 0) {
  const mine = (latestList += 1);
  const asked = query(wanted);
  asked.set("offset", offset);
  const found = await ask(`${url}/found?${asked}`);
  if (mine !== latestList) return;
  if (offset) list.append(nodes(found.html));
  else renew(list, found.html);
  more.hidden = !found.more;
  nFound.textContent = found.said;
}

async function drawAll() {
  const mine = (latestCharts += 1);
  const trouble = document.getElementById("ternary-said");
  const asked = query(wanted, corners);
  const isTriangle = new Set(["a", "b", "c"].map((side) => asked.get(side))).size === 3;
  if (corners && !isTriangle) ["a", "b", "c"].forEach((side) => asked.delete(side));
  if (trouble) trouble.textContent = isTriangle ? "" : "Choose three different domains.";
  const { said, map_said: mapSaid, instead, ...figures } = await ask(`${url}/figures?${asked}`);
  if (mine !== latestCharts) return;
  for (const [id, text] of Object.entries({ "drawn-said": said, "map-said": mapSaid })) {
    const place = document.getElementById(id);
    if (place) place.textContent = text;
  }
  for (const [name, figure] of Object.entries(figures)) {
    const chart = document.getElementById(name);
    if (!chart) continue;
    chart.hidden = figure === null;
    const around = chart.closest("details.around");
    if (around) standIn(around, instead[name] ?? "");
    if (!figure) continue;
    if (!around || around.open) await draw(chart, figure);
    else around.ontoggle = () => around.open && draw(chart, figure);
  }
}

async function refresh() {
  await showList();
  await drawAll();
  root.dataset.drawn = String(Number(root.dataset.drawn ?? 0) + 1);
}

async function change() {
  try {
    if (wanted.reportValidity()) await refresh();
  } catch (problem) {
    nFound.textContent = `The trials could not be loaded (${problem.message}); they are tried again at the next change.`;
  }
}

for (const form of [wanted, corners].filter(Boolean)) {
  form.addEventListener("change", change);
  form.addEventListener("submit", (event) => event.preventDefault());
}
more.addEventListener("click", async () => {
  more.disabled = true;
  try {
    await showList(list.children.length);
  } finally {
    more.disabled = false;
  }
});

change();
// News do not take a list away that somebody is reading further down.
follow(root, async () => {
  const isRead = more.disabled || list.children.length > PAGE || list.contains(document.activeElement);
  if (!isRead) await showList();
  await drawAll();
});
