// One study, live: the head, the newest trials, and the charts when a trial is completed.
import { draw, forget } from "./charts.js";
import { ask, keepUp, nodes, recall, remember, renew, tellTimes } from "./page.js";

const study = document.getElementById("study");
const head = document.getElementById("head");
const rows = document.getElementById("rows");
const url = study.dataset.url;
let after = Number(study.dataset.after);
let results = Number(study.dataset.results);

const ENDS = { completed: "is completed", failed: "has failed", cancelled: "was cancelled" };

const rowOf = (number) => document.getElementById(`trial-${number}`);
const most = Number(rows.dataset.most);
const isFull = () => rows.children.length >= most;
const lowest = () => (isFull() ? Number(rows.lastElementChild.dataset.number) : 1);

/** Puts a trial's row in its place: newest first, and no more than the page had at first. */
function place({ number, state, html }) {
  const fresh = nodes(html).firstElementChild;
  const old = rowOf(number);
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
  if (!next && isFull()) return;
  rows.insertBefore(fresh, next ?? null);
  if (rows.children.length > most) rows.lastElementChild.remove();
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
  if (news.rows.length) document.getElementById("no-trials").hidden = true;
  if (news.head !== null && !head.contains(document.activeElement)) {
    renew(head, news.head);
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

// What progress is drawn along: as the address says, else as it was chosen last.
const along = document.getElementById("progress-by");
const BY = "progress-by";
const asked = new URLSearchParams(location.search).get("by") ?? recall(BY);
if ([...along.options].some((option) => option.value === asked)) along.value = asked;
along.addEventListener("change", () => {
  remember(BY, along.value);
  const address = new URL(location);
  address.searchParams.set("by", along.value);
  history.replaceState(null, "", address);
  drawProgress();
});

async function drawProgress() {
  const { figure, changes } = await ask(`${url}/progress?by=${along.value}`);
  const told = document.getElementById("changes");
  told.hidden = !changes;
  renew(told.lastElementChild, changes);
  tellTimes(told);
  const chart = document.getElementById("progress-chart");
  chart.hidden = figure === null;
  document.getElementById("progress-none").hidden = figure !== null;
  if (figure) await draw(chart, figure);
}

const spent = document.getElementById("spent");

/** Where the GPU-hours went, while somebody looks. */
async function showSpent() {
  if (!spent.open) return;
  const { html } = await ask(`${url}/cost`);
  renew(spent.lastElementChild, html);
}

spent.addEventListener("toggle", () => {
  showSpent().catch((problem) => (spent.lastElementChild.textContent = problem.message));
});

let belief = "";

/** What is predicted of the mixture to train; the head that it stands in is made anew with every change. */
function showBelief() {
  const place = head.querySelector("#belief");
  if (place) renew(place, belief);
}

async function judge() {
  const told = await ask(`${url}/trust${wanted.size ? "" : "?only_made=true"}`);
  belief = told.belief;
  showBelief();
  renew(document.getElementById("trust"), told.trust);
}

/** Puts a fit into its panel; of the one that is there already only its age. */
async function put(panel, { mark, age, html, figures }) {
  const told = panel.querySelector(".fit-age").firstElementChild;
  renew(told, age);
  tellTimes(told);
  panel.dataset.mark = mark;
  if (html === undefined) return;
  const body = panel.querySelector(".fit-body");
  forget(body);
  renew(body, html);
  for (const chart of body.querySelectorAll("[data-figure]")) {
    await draw(chart, figures[chart.dataset.figure]);
  }
}

const fitOf = (panel) => `${url}/fits/${panel.dataset.surrogate}`;
const shown = (panel) => `shown=${panel.dataset.mark ?? ""}`;

const begun = new Map(); // when the service began the fit of a panel that is being made

/** Shows the newest fit that is kept, at once. */
async function showNewest(panel) {
  const found = await ask(`${fitOf(panel)}/newest?${shown(panel)}`);
  if (found.mark) await put(panel, found);
  if (found.so_far_s === null) begun.delete(panel);
  else begun.set(panel, performance.now() - 1000 * found.so_far_s);
}

/** Counts the seconds of a fit that is being made; returns what ends that. */
function count(panel) {
  const place = panel.querySelector(".fit-waiting");
  const from = begun.get(panel) ?? performance.now();
  const tick = () => {
    const seconds = Math.floor((performance.now() - from) / 1000);
    const what = panel.dataset.mark ? "A new fit is being made" : "It is being made";
    if (seconds > 0) place.textContent = `${what}, ${seconds} s so far.`;
  };
  const timer = setInterval(tick, 500);
  tick();
  return () => {
    clearInterval(timer);
    place.textContent = "";
  };
}

async function showFit(panel) {
  const body = panel.querySelector(".fit-body");
  body.setAttribute("aria-busy", "true");
  const end = count(panel);
  try {
    await put(panel, await ask(`${fitOf(panel)}?${shown(panel)}`));
    const now = panel.querySelector(".fit-now");
    if (now) now.hidden = true;
  } catch (problem) {
    hasMissed = problem.status === undefined || problem.status === 503;
    if (!body.querySelector(".chart")) {
      body.textContent = `This fit could not be loaded (${problem.message}); it is tried again at the next result.`;
    }
  } finally {
    end();
    body.setAttribute("aria-busy", "false");
  }
}

const folded = new Set(); // panels whose fits nobody sees, so that none is asked for

/** Asks for a fit once its panel is unfolded. On a phone all are folded at first: they would be many
    screens. */
function fold(panel) {
  const around = panel.querySelector("details");
  if (matchMedia("(max-width: 40rem)").matches) {
    around.open = false;
    folded.add(panel);
    panel.querySelector(".fit-body").setAttribute("aria-busy", "false");
  }
  around.addEventListener("toggle", async () => {
    if (!around.open) folded.add(panel);
    else if (folded.delete(panel)) {
      await showNewest(panel).catch(() => (hasMissed = true));
      if (wanted.has(panel)) await showFit(panel);
    }
  });
}

const panels = [...document.querySelectorAll("[data-surrogate]")];
const wanted = new Set(document.getElementById("fits").dataset.atOnce === "yes" ? panels : []);
for (const panel of panels) {
  fold(panel);
  panel.querySelector(".fit-now")?.addEventListener("click", (event) => {
    event.target.disabled = true;
    wanted.add(panel);
    showFit(panel);
  });
}

let isRefreshing = false;
let isStale = false;
let hasMissed = false; // a chart could not be fetched just now: again with the next look

/** Draws everything anew: the curve first, then the fits that are kept, then those that are made. */
async function refresh() {
  isStale = true;
  if (isRefreshing) return;
  isRefreshing = true;
  try {
    while (isStale) {
      isStale = false;
      hasMissed = false;
      await drawProgress().catch(() => (hasMissed = true));
      await showSpent().catch(() => (hasMissed = true));
      const seen = panels.filter((panel) => !folded.has(panel));
      for (const panel of seen) await showNewest(panel).catch(() => (hasMissed = true));
      for (const panel of seen) {
        if (wanted.has(panel)) await showFit(panel);
      }
      await judge().catch(() => (hasMissed = true));
    }
  } finally {
    isRefreshing = false;
    study.dataset.drawn = String(results);
  }
}

refresh();
keepUp(look);
