// A page that is one list, kept up to date.
import { ask, keepUp, nodes, tellTimes } from "./page.js";

const list = document.querySelector("[data-list]");
let shown = null;

keepUp(async () => {
  const { html } = await ask(list.dataset.list);
  if (html !== shown && !list.contains(document.activeElement)) {
    list.replaceChildren(nodes(html));
    tellTimes(list);
    shown = html;
  }
});
