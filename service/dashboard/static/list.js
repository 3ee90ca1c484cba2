// A page that is one list, kept up to date; what is chosen in it stays so.
import { ask, keepUp, renew, tellTimes } from "./page.js";

const list = document.querySelector("[data-list]");
let shown = null;

/** Makes the list anew. */
function fill(html) {
  const chosen = [...list.querySelectorAll("input:checked")].map((box) => box.value);
  renew(list, html);
  for (const box of list.querySelectorAll("input[type=checkbox]")) {
    box.checked = chosen.includes(box.value);
  }
  tellTimes(list);
}

keepUp(async () => {
  const { html } = await ask(list.dataset.list);
  if (html !== shown && !list.contains(document.activeElement)) {
    fill(html);
    shown = html;
  }
});

document.querySelector("[data-search] select")?.addEventListener("change", (event) => {
  event.target.form.requestSubmit();
});
