// Weights by phase, typed, with a prediction of the schedule that they are.
import { renew, send, tellQueued } from "./page.js";

const root = document.getElementById("phases");
const { url, trials } = root.dataset;
const inputs = [...root.querySelectorAll("[data-phase]")];
const said = document.getElementById("schedule-said");
const predict = document.getElementById("predict-schedule");
const queue = document.getElementById("queue-schedule");
let schedule = [];
let edits = 0;

function typed() {
  const phases = [];
  for (const { dataset, valueAsNumber } of inputs) {
    const percent = Math.min(100, Math.max(0, valueAsNumber || 0));
    phases[dataset.phase] = { ...phases[dataset.phase], [dataset.of]: percent / 100 };
  }
  return phases;
}

function show() {
  for (const input of inputs) {
    const { mixture } = schedule[input.dataset.phase];
    input.value = (100 * mixture[input.dataset.of]).toFixed(1);
  }
}

// What was predicted is no longer what stands there.
for (const input of inputs) {
  input.addEventListener("input", () => {
    edits += 1;
    queue.disabled = true;
    said.textContent = "";
  });
}

predict.addEventListener("click", async () => {
  predict.disabled = true;
  said.textContent = "Fitting…";
  const asked = edits;
  try {
    const found = await send(`${url}/schedule`, { phases: typed() });
    if (asked !== edits) {
      said.textContent = "Weights were changed meanwhile; predict them anew.";
      return;
    }
    schedule = found.schedule;
    show();
    renew(document.getElementById("schedule"), found.html);
    queue.disabled = false;
    said.textContent = "";
  } catch (problem) {
    said.textContent = `No prediction: ${problem.message}`;
  } finally {
    predict.disabled = false;
  }
});

queue.addEventListener("click", async () => {
  queue.disabled = true;
  try {
    const { number } = await send(`${url}/queue-schedule`, { schedule });
    tellQueued(said, trials, number);
  } catch (problem) {
    said.textContent = `Not queued: ${problem.message}`;
    queue.disabled = false;
  }
});
