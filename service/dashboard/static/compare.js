// Studies side by side: the best so far along runs or GPU-hours, and what surrogates have learned.
import { draw } from "./charts.js";
import { ask, renew, tellTimes } from "./page.js";

const compared = document.getElementById("compared");
const by = document.getElementById("by");

async function drawBest() {
  const chart = document.getElementById("best-chart");
  const none = document.getElementById("best-none");
  try {
    const { figure } = await ask(`/ui/compare/progress?${compared.dataset.query}by=${by.value}`);
    chart.hidden = figure === null;
    none.hidden = figure !== null;
    if (figure) await draw(chart, figure);
  } catch (problem) {
    none.hidden = false;
    none.textContent = `The chart could not be loaded (${problem.message}); reload the page to try again.`;
  }
}

async function showFits() {
  const place = document.getElementById("fits");
  const chart = document.getElementById("effects-chart");
  place.setAttribute("aria-busy", "true");
  try {
    const { figure, html } = await ask(`/ui/compare/fits?${compared.dataset.query}`);
    renew(place, html);
    chart.hidden = figure === null;
    if (figure) await draw(chart, figure);
  } catch (problem) {
    place.textContent = `The fits could not be loaded (${problem.message}); reload the page to try again.`;
  } finally {
    place.setAttribute("aria-busy", "false");
  }
}

if (compared) {
  by.addEventListener("change", () => {
    const address = new URL(location);
    address.searchParams.set("by", by.value);
    history.replaceState(null, "", address);
    drawBest();
  });
  const now = document.querySelector(".fit-now");
  now?.addEventListener("click", () => {
    now.disabled = true;
    showFits();
  });
  tellTimes();
  await drawBest();
  compared.dataset.drawn = "yes";
  if (!now) showFits();
}
