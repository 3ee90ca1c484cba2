// The list of studies, kept up to date.
import { ask, nodes, poll, tellTimes } from "./page.js";

const list = document.getElementById("studies");
let shown = null;

poll(async () => {
  const { html } = await ask(list.dataset.url);
  if (html !== shown && !list.contains(document.activeElement)) {
    list.replaceChildren(nodes(html));
    tellTimes(list);
    shown = html;
  }
  return false;
});
