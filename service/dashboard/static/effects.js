// What more of each domain does to the objective or a benchmark, the greatest effect on top.
import { draw } from "./charts.js";
import { ask, renew } from "./page.js";

/** Offers them below `root`; what is returned shows them anew. */
export function offerEffects(root) {
  const section = document.getElementById("effects");
  if (!section) return async () => {}; // no mixture to start from yet
  const of = document.getElementById("effects-of");
  const chart = document.getElementById("effects-chart");
  const all = document.getElementById("effects-all");
  const callout = section.querySelector(".callout");
  let isWanted = root.dataset.atOnce === "yes";
  let latest = 0;

  /** All scores at once, while somebody looks: each benchmark is fitted for it. */
  async function tell() {
    const place = all.lastElementChild;
    if (!place.childElementCount) place.textContent = "Fitting…";
    try {
      const { html } = await ask(`${root.dataset.url}/effects/all`);
      renew(place, html);
    } catch (problem) {
      place.textContent = `The effects could not be loaded (${problem.message}).`;
    }
  }

  async function show() {
    if (!isWanted) return;
    const mine = (latest += 1);
    section.setAttribute("aria-busy", "true");
    let said = "";
    try {
      const asked = new URLSearchParams({ benchmark: of.value });
      const { trouble, figure } = await ask(`${root.dataset.url}/effects?${asked}`);
      if (mine !== latest) return; // what was asked for since then is shown instead
      said = trouble;
      chart.hidden = all.hidden = figure === null;
      if (figure) await draw(chart, figure);
      if (all.open) await tell();
    } catch (problem) {
      said = `The effects could not be loaded (${problem.message}); they are tried again at the next change.`;
    }
    if (mine !== latest) return;
    callout.textContent = said;
    callout.hidden = said === "";
    section.querySelector(".waiting")?.remove();
    section.setAttribute("aria-busy", "false");
  }

  of.addEventListener("change", show);
  all.addEventListener("toggle", () => all.open && tell());
  section.querySelector(".fit-now")?.addEventListener("click", () => {
    isWanted = true;
    show();
  });
  return show;
}
