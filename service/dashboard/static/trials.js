// The table of trials: its links and its form work without this, only slower; and it is kept up to
// date. What is shown is always what the address says.
import { offerChoice } from "./choice.js";
import { offerImport } from "./import.js";
import { ask, follow, nodes, tellTimes } from "./page.js";

const root = document.getElementById("trials");
const form = document.getElementById("view");
const found = document.getElementById("found");
const address = `${root.dataset.url}/trials`;
const TYPING_MS = 250;
const TYPED = ["search", "number"];

let latest = 0; // what was asked for since then is shown instead

/** Shows the table of an address's query; what had the focus in it has it again. */
async function show(query) {
  const mine = (latest += 1);
  const answer = await ask(`${address}/found?${query}`);
  if (mine !== latest) return null;
  const key = document.activeElement?.closest("#found [data-key]")?.dataset.key;
  const left = found.querySelector(".wide")?.scrollLeft ?? 0;
  found.replaceChildren(nodes(answer.html));
  const table = found.querySelector(".wide");
  if (table) table.scrollLeft = left;
  chosen.restore();
  if (key) found.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
  tellTimes(found);
  return answer.query;
}

/** The same, and the address then says so; where the table cannot be had alone, the whole page is
 * asked for, which says why. */
async function go(query) {
  const said = await show(query).catch(() => location.assign(`${address}?${query}`) ?? null);
  if (said !== null) history.pushState(null, "", said ? `?${said}` : address);
}

/** What the form asks for: the first page of it. */
const asked = () => new URLSearchParams(new FormData(form));

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
  go(link.search.slice(1)).then(fill);
});

let typing = 0;
form.addEventListener("input", (event) => {
  clearTimeout(typing);
  typing = setTimeout(() => go(asked()), TYPED.includes(event.target.type) ? TYPING_MS : 0);
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(typing);
  go(asked());
});
document.getElementById("usual").addEventListener("click", () => {
  for (const box of form.querySelectorAll("[name=column]")) box.checked = box.dataset.usual === "yes";
  go(asked());
});
addEventListener("popstate", () => {
  fill();
  show(location.search.slice(1)).catch(() => location.reload());
});

const again = () => show(location.search.slice(1));
const chosen = offerChoice(found, root.dataset.url, form.elements.tag, again);
offerImport(root, address, again);
follow(root, again);
root.dataset.drawn = "yes";
