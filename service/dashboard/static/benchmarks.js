// Benchmarks: the heat map and the trade-off, drawn anew with every result.
import { draw } from "./charts.js";
import { refreshFront } from "./front.js";
import { ask, follow, renew } from "./page.js";

const root = document.getElementById("benchmarks");
const axes = document.getElementById("axes");
const steps = document.getElementById("steps");
const trouble = document.getElementById("trouble");

let latest = 0;

async function refresh() {
  const mine = (latest += 1);
  const asked = new URLSearchParams([...new FormData(axes), ...new FormData(steps)]);
  const { heat, trade, paths, front } = await ask(`${root.dataset.url}/benchmarks/figures?${asked}`);
  if (mine !== latest) return; // what was asked for since then is shown instead
  document.getElementById("no-runs").hidden = heat !== null;
  document.getElementById("charts").hidden = heat === null;
  renew(document.getElementById("front"), front);
  for (const [name, figure] of Object.entries({ trade, heat, paths })) {
    const chart = document.getElementById(`${name}-chart`);
    chart.hidden = figure === null;
    if (figure) await draw(chart, figure);
  }
  document.getElementById("no-paths").hidden = paths !== null;
  trouble.textContent = "";
  root.dataset.drawn = String(Number(root.dataset.drawn ?? 0) + 1);
}

async function change() {
  try {
    await refresh();
  } catch (problem) {
    trouble.textContent = `The charts could not be loaded (${problem.message}); they are tried again at the next change.`;
  }
}

for (const form of [axes, steps]) {
  form.addEventListener("change", change);
  form.addEventListener("submit", (event) => event.preventDefault());
}
change();
refreshFront();
follow(root, () => Promise.all([refresh(), refreshFront()]), { resultsOnly: true });
