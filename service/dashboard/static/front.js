// The panel of floors and fronts: a slider that moves along the front and names the mixture.
import { draw } from "./charts.js";
import { ask, renew } from "./page.js";

const root = document.getElementById("goal");
const chart = document.getElementById("goal-chart");
const panel = document.getElementById("goal-panel");

let figure = null;

/** Shows one point of the front: its mixture below, its mark in the chart. */
async function show(slider) {
  const at = Number(slider.value);
  const points = [...panel.querySelectorAll("[data-point]")];
  for (const [i, point] of points.entries()) point.hidden = i !== at;
  slider.setAttribute("aria-valuetext", `${at + 1} of ${points.length}: ${points[at].dataset.said}`);
  const [front, chosen] = ["front", "chosen"].map((name) => figure.data.find((one) => one.name === name));
  for (const key of ["x", "y", "text"]) chosen[key] = [front[key][at]];
  for (const key of ["error_x", "error_y"]) chosen[key].array = [front[key].array[at]];
  await draw(chart, figure);
}

async function refresh() {
  const { html, figure: found } = await ask(root.dataset.front);
  figure = found;
  const moved = panel.querySelector(":focus")?.value; // somebody is looking along the front
  renew(panel, html);
  chart.hidden = figure === null;
  const slider = document.getElementById("front-at");
  if (!slider || !figure) return;
  slider.value = moved ?? slider.value;
  slider.addEventListener("input", () => show(slider));
  await show(slider);
}

/** Asks for the panel anew; nothing on pages of studies without one. */
export async function refreshFront() {
  if (!root) return;
  try {
    await refresh();
  } catch (problem) {
    panel.textContent = `It could not be loaded (${problem.message}); it is tried again with the next result.`;
  }
}
