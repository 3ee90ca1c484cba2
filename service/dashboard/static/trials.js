// The table of trials: its links and its form work without this, only slower; and it is kept up to
// date. What is shown is always what the address says.
import { offerChoice } from "./choice.js";
import { offerImport } from "./import.js";
import { ask, follow, renew, tellTimes } from "./page.js";

const root = document.getElementById("trials");
const form = document.getElementById("view");
const found = document.getElementById("found");
const address = `${root.dataset.url}/trials`;
const TYPING_MS = 250;
const TYPED = ["search", "number"];

let latest = 0; // what was asked for since then is shown instead
let asked = null; // what the address does not say yet

/** Shows the table of an address's query. */
async function show(query) {
  const mine = (latest += 1);
  const answer = await ask(`${address}/found?${query}`);
  if (mine !== latest) return null;
  const left = found.querySelector(".wide")?.scrollLeft ?? 0;
  renew(found, answer.html);
  const table = found.querySelector(".wide");
  if (table) table.scrollLeft = left;
  chosen.restore();
  tellTimes(found);
  return answer.query;
}

/** Shows what was asked for last, and the address then says so: also where news of the study came
 * while its answer was on the way. */
async function again() {
  const said = await show(asked?.query ?? location.search.slice(1));
  if (said === null || asked === null) return;
  history.pushState(null, "", said ? `?${said}` : address);
  if (asked.isByLink) fill();
  asked = null;
}

/** The table of a query; where it cannot be had alone, the whole page is asked for, which says why.
 * What a link asks for, the form is filled with. */
function go(query, isByLink = false) {
  const mine = (asked = { query, isByLink });
  again().catch(() => asked === mine && location.assign(`${address}?${query}`));
}

/** What the form asks for: the first page of it. */
const ofForm = () => new URLSearchParams(new FormData(form));

/** Lets the form say what the address does. */
function fill() {
  const wanted = new URLSearchParams(location.search);
  for (const name of ["state", "origin", "channel", "tag", "text", "same_as"]) {
    form.elements[name].value = wanted.get(name) ?? "";
  }
  const columns = wanted.getAll("column");
  for (const box of form.querySelectorAll("[name=column]")) {
    box.checked = columns.length ? columns.includes(box.value) : box.dataset.usual === "yes";
  }
}

found.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-key]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  go(link.search.slice(1), true);
});

let typing = 0;
form.addEventListener("input", (event) => {
  clearTimeout(typing);
  typing = setTimeout(() => go(ofForm()), TYPED.includes(event.target.type) ? TYPING_MS : 0);
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(typing);
  go(ofForm());
});
document.getElementById("usual").addEventListener("click", () => {
  for (const box of form.querySelectorAll("[name=column]")) box.checked = box.dataset.usual === "yes";
  go(ofForm());
});
addEventListener("popstate", () => {
  asked = null;
  fill();
  again().catch(() => location.reload());
});

const chosen = offerChoice(found, root.dataset.url, form.elements.tag, again);
offerImport(root, address, again);
follow(root, again);
root.dataset.drawn = "yes";
