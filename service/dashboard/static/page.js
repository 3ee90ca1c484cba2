// What all pages share: asking the service, times in words, and whether the page is up to date.

/** JSON of an address of this service; throws with `status` set where there is an answer at all. */
export async function ask(url) {
  const answer = await fetch(url, { headers: { Accept: "application/json" }, cache: "no-store" });
  if (!answer.ok) {
    throw Object.assign(new Error(`${url}: ${answer.status}`), { status: answer.status });
  }
  return answer.json();
}

const token = document.querySelector('meta[name="csrf-token"]')?.content ?? "";

/** Changes something by a call that only a page of this service can make; throws what was wrong. */
export function send(url, body = {}) {
  return post(url, "application/json", JSON.stringify(body));
}

/** The same with a file as it is. */
export function sendText(url, file) {
  return post(url, "text/plain", file);
}

async function post(url, type, body) {
  const headers = { "Content-Type": type, "X-CSRF-Token": token };
  const answer = await fetch(url, { method: "POST", headers, body });
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    throw Object.assign(new Error(said.detail ?? `${url}: ${answer.status}`), { status: answer.status });
  }
  return said;
}

/** Nodes of HTML that the service's templates made, where everything from outside is escaped. */
export function nodes(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
}

/** What tells a link, button or field from the others around it, also where it was made anew. */
const identity = (part) =>
  part.dataset.key || part.id || part.getAttribute("href") || part.getAttribute("aria-label") || part.textContent;

/** Puts such HTML in an element's place. What has the focus keeps it, where it is there again. */
export function renew(place, html) {
  const focused = place.contains(document.activeElement) ? identity(document.activeElement) : null;
  place.replaceChildren(nodes(html));
  if (focused === null) return;
  const parts = [...place.querySelectorAll("a, button, input, select, summary, [tabindex]")];
  parts.find((part) => identity(part) === focused)?.focus({ preventScroll: true });
}

/** Says in an element that a trial was queued, with a link; `trials` is the address of all. */
export function tellQueued(where, trials, number) {
  const link = Object.assign(document.createElement("a"), {
    href: `${trials}/${number}`,
    textContent: `trial ${number}`,
  });
  where.replaceChildren("Queued as ", link, ".");
}

/** What the reader of this browser has chosen before; null where nothing is kept. */
export function recall(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null; // a browser that keeps nothing
  }
}

/** Keeps a choice for the next page. */
export function remember(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // as above: then it holds for this page
  }
}

const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
const ago = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "long" });

/** Puts every time of the page into words, with the exact one as its title. */
export function tellTimes(root = document) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.dateTime);
    const past = Math.max(0, (Date.now() - moment) / 1000);
    const [unit, length] = UNITS.find(([, size]) => past >= size) ?? UNITS.at(-1);
    time.title = moment.toLocaleString();
    time.textContent = past < 5 ? "just now" : ago.format(-Math.floor(past / length), unit);
  }
}

/** Says at the top of the page whether it is up to date. */
export function showLive(isLive, text) {
  const sign = document.getElementById("live");
  const words = document.getElementById("live-text");
  sign.hidden = false;
  sign.classList.toggle("away", !isLive);
  if (words.textContent !== text) words.textContent = text;
}

const EVERY_MS = 2000; // without a stream
const CALM_MS = 20000; // with one, which says when to look
const LONGEST_MS = 10000; // while the service does not answer
const LEAST_MS = 700; // between two looks, however much happens
const SILENT_MS = 25000; // a stream beats every ten seconds

/**
 * Calls `look` when the service says that something changed, while the page can be seen. Until its
 * stream of events speaks, or where none comes through, it looks every two seconds. A service that
 * does not answer is asked again, less and less often up to every ten seconds. `look` returns after
 * how many milliseconds there is more to do, whatever is heard; nothing where it has done all.
 */
export function keepUp(look) {
  let pause = EVERY_MS;
  let timer = 0;
  let isLooking = false;
  let isWanted = false;
  let looked = 0;
  let source = null;
  let isHeldUp = false;
  let heard = -Infinity;
  const isStreaming = () => performance.now() - heard < SILENT_MS;

  function soon(ms) {
    clearTimeout(timer);
    if (!document.hidden) timer = setTimeout(turn, ms);
  }

  async function turn() {
    if (isLooking) {
      isWanted = true;
      return;
    }
    isLooking = true;
    isWanted = false;
    looked = performance.now();
    try {
      const more = (await look()) ?? Infinity;
      const next = isWanted ? LEAST_MS : isStreaming() ? CALM_MS : EVERY_MS;
      pause = Math.min(more, next);
      showLive(true, "live");
      listen();
    } catch (problem) {
      pause = Math.min(Math.max(pause, EVERY_MS) * 1.5, LONGEST_MS);
      showLive(false, reason(problem));
    } finally {
      isLooking = false;
    }
    document.getElementById("live").dataset.by = isStreaming() ? "events" : "polls";
    soon(pause);
  }

  function hear() {
    heard = performance.now();
    if (isLooking) isWanted = true;
    else soon(Math.max(0, looked + LEAST_MS - performance.now()));
  }

  /** Opens the stream. One that stays silent is given up: something on the way holds it up. */
  function listen() {
    const isOld = source && performance.now() - source.opened > SILENT_MS;
    if (source && (isHeldUp || !isOld)) return;
    if (source && source.readyState !== EventSource.CLOSED) {
      isHeldUp = !isStreaming();
      if (isHeldUp) source.close();
      return;
    }
    source = new EventSource(document.getElementById("live").dataset.events);
    source.opened = performance.now();
    source.addEventListener("message", hear);
    source.addEventListener("beat", () => (heard = performance.now()));
    source.addEventListener("error", () => {
      if (!isStreaming()) return;
      heard = -Infinity;
      pause = EVERY_MS;
      soon(0);
    });
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      source?.close();
      source = null;
      heard = -Infinity;
      clearTimeout(timer);
    } else turn();
  });
  showLive(true, "live");
  tellTimes();
  setInterval(tellTimes, EVERY_MS);
  listen();
  soon(EVERY_MS);
}

function reason(problem) {
  if (problem.status === 404) return "this study was deleted";
  if (problem.status === 401) return "you are no longer signed in; reload the page";
  return "service not reachable, trying again";
}

const NO_ROWS = Number.MAX_SAFE_INTEGER;

/** Calls `refresh` whenever trials of the study have changed, or only when there are new results. */
export function follow(root, refresh, { resultsOnly = false } = {}) {
  let after = Number(root.dataset.after);
  let results = Number(root.dataset.results);
  let rest = 0; // what takes long is done less often
  keepUp(async () => {
    const news = await ask(`${root.dataset.url}/changes?after=${after}&lowest=${NO_ROWS}`);
    if (news.after < after) location.reload(); // another database than the page came from
    const isNew = resultsOnly ? news.results !== results : news.after !== after;
    const start = performance.now();
    if (!isNew) return undefined;
    if (start < rest) return rest - start; // what is new is told only once
    await refresh();
    ({ after, results } = news);
    rest = performance.now() + 5 * (performance.now() - start);
    return undefined;
  });
}
