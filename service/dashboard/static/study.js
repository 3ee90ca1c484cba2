// One study, live: the head, the newest trials, and the charts when a trial is completed.
import { draw, forget } from "./charts.js";
import { ask, keepUp, nodes, tellTimes } from "./page.js";

const study = document.getElementById("study");
const head = document.getElementById("head");
const rows = document.getElementById("rows");
const more = document.getElementById("more");
const url = study.dataset.url;
let after = Number(study.dataset.after);
let results = Number(study.dataset.results);

const ENDS = { completed: "is completed", failed: "has failed", cancelled: "was cancelled" };

const rowOf = (number) => document.getElementById(`trial-${number}`);
const lowest = () => (more.hidden ? 1 : Number(rows.lastElementChild?.dataset.number ?? 1));
const only = document.getElementById("only"); // the one state that is shown; empty for all
const noneSuch = document.getElementById("none-such");
const ofState = () => (only.value ? `&state=${only.value}` : "");

/** Puts a trial's row in its place: newest first. One of a state that is not shown goes. */
function place({ number, state, html }) {
  const fresh = nodes(html).firstElementChild;
  const old = rowOf(number);
  if (only.value && only.value !== state) {
    old?.remove();
    return;
  }
  if (old) {
    const wasOpen = old.querySelector("details")?.open;
    const details = fresh.querySelector("details");
    if (details && wasOpen) details.open = true;
    if (old.className.split(" ")[0] !== state && ENDS[state]) tell(number, state, fresh);
    const hadFocus = old.contains(document.activeElement);
    old.replaceWith(fresh);
    if (hadFocus) fresh.focus({ preventScroll: true });
    return;
  }
  const next = [...rows.children].find((row) => Number(row.dataset.number) < number);
  rows.insertBefore(fresh, next ?? null);
}

/** Marks a row whose trial has just ended, and says so to screen readers. */
function tell(number, state, row) {
  row.classList.add("fresh");
  setTimeout(() => row.classList.remove("fresh"), 4000);
  document.getElementById("announce").textContent = `Trial ${number} ${ENDS[state]}.`;
}

async function look() {
  const news = await ask(`${url}/changes?after=${after}&lowest=${lowest()}`);
  if (news.after < after || news.results < results || String(news.edits) !== study.dataset.edits) {
    location.reload(); // the study is another, or another database than the page came from
    return undefined;
  }
  after = news.after;
  for (const row of news.rows) place(row);
  noneSuch.hidden = !only.value || rows.children.length > 0;
  if (news.rows.length) document.getElementById("no-trials").hidden = true;
  if (news.head !== null && !head.contains(document.activeElement)) {
    head.replaceChildren(nodes(news.head));
    showBelief();
    document.getElementById("n-trials").textContent =
      head.querySelector("[data-trials]").dataset.trials;
  }
  tellTimes();
  if (news.results !== results || hasMissed) {
    results = news.results;
    refresh();
  }
  return news.more ? 0 : undefined;
}

more.addEventListener("click", async () => {
  more.disabled = true;
  try {
    const older = await ask(`${url}/rows?before=${lowest()}${ofState()}`);
    const first = older.rows[0]?.number;
    rows.append(...older.rows.map((row) => nodes(row.html)));
    more.hidden = !older.more;
    tellTimes(rows);
    if (more.hidden && first) rowOf(first).focus({ preventScroll: true });
  } finally {
    more.disabled = false;
  }
});

const channel = document.getElementById("channel");
channel?.addEventListener("change", () => {
  rows.dataset.only = channel.value;
});

only.addEventListener("change", async () => {
  const chosen = only.value;
  const found = await ask(`${url}/rows?${ofState().slice(1)}`);
  if (chosen !== only.value) return; // another was chosen since
  rows.replaceChildren(...found.rows.map((row) => nodes(row.html)));
  more.hidden = !found.more;
  noneSuch.hidden = !chosen || found.rows.length > 0;
  tellTimes(rows);
});

const along = document.getElementById("progress-by");
along.addEventListener("change", drawProgress);

async function drawProgress() {
  const { figure, changes } = await ask(`${url}/progress?by=${along.value}`);
  const told = document.getElementById("changes");
  told.hidden = !changes;
  told.lastElementChild.replaceChildren(nodes(changes));
  tellTimes(told);
  const chart = document.getElementById("progress-chart");
  chart.hidden = figure === null;
  document.getElementById("progress-none").hidden = figure !== null;
  if (figure) await draw(chart, figure);
}

let belief = "";

/** What is predicted of the mixture to train; the head that it stands in is made anew with every change. */
function showBelief() {
  head.querySelector("#belief")?.replaceChildren(nodes(belief));
}

async function judge() {
  const told = await ask(`${url}/trust`);
  belief = told.belief;
  showBelief();
  document.getElementById("trust").replaceChildren(nodes(told.trust));
}

async function showFit(panel) {
  const body = panel.querySelector(".fit-body");
  body.setAttribute("aria-busy", "true");
  try {
    const { html, figures } = await ask(`${url}/fits/${panel.dataset.surrogate}`);
    forget(body);
    body.replaceChildren(nodes(html));
    for (const chart of body.querySelectorAll("[data-figure]")) {
      await draw(chart, figures[chart.dataset.figure]);
    }
  } catch (problem) {
    hasMissed = problem.status === undefined || problem.status === 503;
    if (!body.querySelector(".chart")) {
      body.textContent = `This fit could not be loaded (${problem.message}); it is tried again at the next result.`;
    }
  } finally {
    body.setAttribute("aria-busy", "false");
  }
}

const panels = [...document.querySelectorAll("[data-surrogate]")];
const wanted = new Set(document.getElementById("fits").dataset.atOnce === "yes" ? panels : []);
for (const panel of panels) {
  panel.querySelector(".fit-now")?.addEventListener("click", (event) => {
    event.target.disabled = true;
    wanted.add(panel);
    showFit(panel);
  });
}

let isRefreshing = false;
let isStale = false;
let hasMissed = false; // a chart could not be fetched just now: again with the next look

/** Draws everything anew: the curve first, then one fit after the other. */
async function refresh() {
  isStale = true;
  if (isRefreshing) return;
  isRefreshing = true;
  try {
    while (isStale) {
      isStale = false;
      hasMissed = false;
      await drawProgress().catch(() => (hasMissed = true));
      for (const panel of panels) {
        if (wanted.has(panel)) await showFit(panel);
      }
      if (wanted.size) await judge().catch(() => (hasMissed = true));
    }
  } finally {
    isRefreshing = false;
    study.dataset.drawn = String(results);
  }
}

refresh();
keepUp(look);
