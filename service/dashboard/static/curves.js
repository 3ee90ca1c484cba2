// Learning curves of chosen trials over each other, live.
import { draw } from "./charts.js";
import { ask, follow, renew } from "./page.js";

const overlay = document.getElementById("overlay");
const table = document.getElementById("table");
const of = document.getElementById("of");

async function show() {
  const { metric, scores, html } = await ask(`${overlay.dataset.url}/curves/drawn${location.search}`);
  const chart = document.getElementById("metric-chart");
  chart.hidden = metric === null;
  document.getElementById("metric-none").hidden = metric !== null;
  document.getElementById("scored").hidden = scores === null;
  if (!table.contains(document.activeElement)) renew(table, html);
  if (metric) await draw(chart, metric);
  if (scores) await draw(document.getElementById("scores-chart"), scores);
}

of?.addEventListener("change", () => of.requestSubmit());
if (table) {
  await show();
  follow(overlay, show);
}
overlay.dataset.drawn = "yes";
