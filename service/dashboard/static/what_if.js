// Sliders for the weights, with predictions as they move.
import { renew, send, tellQueued } from "./page.js";

const root = document.getElementById("what-if");
const { url, trials } = root.dataset;
const rows = [...root.querySelectorAll("[data-domain]")].map((row) => ({
  domain: row.dataset.domain,
  weight: Number(row.dataset.weight),
  slider: row.querySelector("input[type=range]"),
  typed: row.querySelector("input[type=number]"),
  lock: row.querySelector("input[type=checkbox]"),
}));
const sum = (some) => some.reduce((total, row) => total + row.weight, 0);

function show() {
  for (const { slider, typed, weight } of rows) {
    typed.value = (100 * weight).toFixed(1);
    slider.setAttribute("aria-valuetext", `${typed.value}%`);
    if (Number(slider.value) !== 100 * weight) slider.value = String(100 * weight);
  }
}

/** Gives one row a weight; the rows that are not locked share the rest as they did before. */
function give(row, weight) {
  const others = rows.filter((other) => other !== row);
  const free = others.filter((other) => !other.lock.checked);
  const room = Math.max(0, 1 - sum(others.filter((other) => other.lock.checked)));
  row.weight = free.length ? Math.min(weight, room) : room;
  const before = sum(free);
  const rest = room - row.weight;
  for (const other of free) {
    other.weight = before > 0 ? (other.weight / before) * rest : rest / free.length;
  }
}

const DEBOUNCE_MS = 80;

/** Calls `work` after a pause in the calls, and never twice at once: the last wish wins. */
function unhurried(work) {
  let timer = 0;
  let isBusy = false;
  let isWanted = false;
  async function turn() {
    if (isBusy) {
      isWanted = true;
      return;
    }
    isBusy = true;
    try {
      await work();
    } finally {
      isBusy = false;
      if (isWanted) {
        isWanted = false;
        turn();
      }
    }
  }
  return () => {
    clearTimeout(timer);
    timer = setTimeout(turn, DEBOUNCE_MS);
  };
}

let mixture = Object.fromEntries(rows.map((row) => [row.domain, row.weight]));
let isReleased = false;
let moves = 0;
const queued = document.getElementById("queued");

let checked = Promise.resolve();

/** Adopts the nearest mixture that fits. One question at a time: what is asked already may be all
 * there is to ask, and a late answer would take away what was said since. */
function check() {
  checked = checked.catch(() => {}).then(adopt);
  return checked;
}

async function adopt() {
  const weights = Object.fromEntries(rows.map((row) => [row.domain, Math.min(1, row.weight)]));
  // After it was adopted there is nothing to ask, and what was said of it still holds.
  if (rows.every(({ domain }) => weights[domain] === mixture[domain])) return;
  const answered = moves;
  const found = await send(`${url}/feasible`, { weights });
  mixture = found.mixture;
  renew(document.getElementById("chosen"), found.html);
  queued.textContent = "";
  // Unless a weight was moved on in the meantime.
  if (isReleased && answered === moves) {
    isReleased = false;
    for (const row of rows) row.weight = mixture[row.domain];
    show();
  }
  for (const panel of panels) panel.predict();
}

const move = unhurried(async () => {
  try {
    await check();
  } catch (problem) {
    queued.textContent = `The mixture could not be checked: ${problem.message}`;
  }
});

const panels = [...root.querySelectorAll("[data-surrogate]")].map((section) => {
  const body = section.querySelector(".fit-body");
  async function predict() {
    body.setAttribute("aria-busy", "true");
    try {
      const { html } = await send(`${url}/predictions/${section.dataset.surrogate}`, { mixture });
      renew(body, html);
    } catch (problem) {
      body.textContent = `No prediction: ${problem.message}; move a weight to try again.`;
    } finally {
      body.setAttribute("aria-busy", "false");
    }
  }
  const others = section.querySelector(".by-benchmark");
  async function predictEach() {
    others.setAttribute("aria-busy", "true");
    try {
      const { html } = await send(`${url}/benchmarks/${section.dataset.surrogate}`, { mixture });
      renew(others, html);
    } catch (problem) {
      others.textContent = `No prediction by benchmark: ${problem.message}; move a weight to try again.`;
    } finally {
      others.setAttribute("aria-busy", "false");
    }
  }
  const ask = unhurried(predict);
  const askEach = unhurried(predictEach);
  const panel = {
    isWanted: root.dataset.atOnce === "yes",
    predict: () => panel.isWanted && (ask(), askEach()),
    first: () => panel.isWanted && predict(),
    firstEach: () => panel.isWanted && predictEach(),
  };
  section.querySelector(".fit-now")?.addEventListener("click", (event) => {
    event.target.disabled = true;
    panel.isWanted = true;
    ask();
    askEach();
  });
  return panel;
});

for (const row of rows) {
  row.slider.addEventListener("input", () => {
    moves += 1;
    isReleased = false;
    give(row, Number(row.slider.value) / 100);
    show();
    move();
  });
  row.slider.addEventListener("change", () => {
    isReleased = true;
    move();
  });
  row.typed.addEventListener("input", () => {
    moves += 1;
    isReleased = false; // an answer must not put another number in the place of what is typed
  });
  row.typed.addEventListener("change", () => {
    moves += 1;
    const percent = Math.min(100, Math.max(0, row.typed.valueAsNumber));
    if (!Number.isNaN(percent)) give(row, percent / 100);
    settle();
  });
}

/** Shows the weights as they are now, and adopts the nearest mixture that fits. */
function settle() {
  isReleased = true;
  show();
  move();
}

/** Takes a whole mixture, locked weights and all. */
function take(weights) {
  moves += 1;
  for (const row of rows) row.weight = weights[row.domain] ?? 0;
  settle();
}

const resetSaid = document.getElementById("reset-said");
for (const button of document.querySelectorAll("[data-mixture]")) {
  button.addEventListener("click", () => {
    resetSaid.textContent = "";
    take(JSON.parse(button.dataset.mixture));
  });
}
document.getElementById("predicted-best").addEventListener("click", async (event) => {
  event.target.disabled = true;
  resetSaid.textContent = "Fitting…";
  try {
    take((await send(`${url}/predicted-best`)).mixture);
    resetSaid.textContent = "";
  } catch (problem) {
    resetSaid.textContent = `No prediction: ${problem.message}`;
  } finally {
    event.target.disabled = false;
  }
});

document.getElementById("queue").addEventListener("click", async (event) => {
  event.target.disabled = true;
  try {
    await check(); // the button may be pressed as soon as a number is typed
    const { number } = await send(`${url}/queue`, { mixture });
    tellQueued(queued, trials, number);
  } catch (problem) {
    queued.textContent = `Not queued: ${problem.message}`;
  } finally {
    event.target.disabled = false;
  }
});

show();
// One after the other: the first fits take long, and share the machine.
for (const panel of panels) await panel.first();
for (const panel of panels) await panel.firstEach();
