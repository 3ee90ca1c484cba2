// Trials that are chosen in the table, on whichever page of it, and what is done to all of them.
import { send } from "./page.js";

const MOST = 1000; // that one call takes
const DONE = { cancel: "cancelled", retry: "queued", tag: "tagged", untag: "without the tag" };

const words = (n) => `${n.toLocaleString("en")} ${n === 1 ? "trial" : "trials"}`;

/** Lets trials of a study be chosen; `restore` marks in a new table those that are. */
export function offerChoice(found, study, filter, refresh) {
  const address = `${study}/trials`;
  const bar = document.getElementById("choice");
  const undo = document.getElementById("undo");
  const curves = document.getElementById("curves");
  const said = document.getElementById("changed");
  const known = document.getElementById("known-tags");
  const chosen = new Set();
  let cancelled = []; // that an undo would queue again

  const boxes = () => [...found.querySelectorAll(".pick input[value]:not([data-key=every])")];

  function tell() {
    const n = chosen.size;
    document.getElementById("n-chosen").textContent = n ? `${words(n)} chosen` : "No trial chosen";
    for (const button of bar.querySelectorAll("[data-action]")) button.disabled = n === 0;
    curves.disabled = n === 0 || n > Number(curves.dataset.most);
    const every = found.querySelector("[data-key=every]");
    if (!every) return;
    const marked = boxes().filter((box) => box.checked).length;
    every.checked = marked > 0 && marked === boxes().length;
    every.indeterminate = marked > 0 && !every.checked;
  }

  function restore() {
    for (const box of boxes()) box.checked = chosen.has(Number(box.value));
    tell();
  }

  found.addEventListener("change", (event) => {
    const box = event.target;
    if (!box.closest(".pick")) return;
    const meant = box.dataset.key === "every" ? boxes() : [box];
    for (const one of meant) {
      one.checked = box.checked;
      if (box.checked) chosen.add(Number(one.value));
      else chosen.delete(Number(one.value));
    }
    tell();
  });

  async function change(action, numbers, tags = []) {
    const changed = [];
    const refused = [];
    try {
      for (let start = 0; start < numbers.length; start += MOST) {
        const body = { action, numbers: numbers.slice(start, start + MOST), tags };
        const answer = await send(`${address}/bulk`, body);
        for (const trial of answer.trials) {
          if (trial.changed) changed.push(trial.number);
          if (!trial.done) refused.push(trial.why);
        }
      }
      said.textContent = `${words(changed.length)} ${DONE[action]}.`;
    } catch (problem) {
      said.textContent = `Not done: ${problem.message}`;
    }
    if (refused.length) {
      const more = refused.length > 1 ? `, and ${refused.length - 1} more` : "";
      said.textContent += ` Not done: ${refused[0]}${more}.`;
    }
    cancelled = action === "cancel" ? changed : [];
    undo.hidden = cancelled.length === 0;
    await refresh();
  }

  bar.addEventListener("click", (event) => {
    const { action } = event.target.dataset;
    if (!action) return;
    const tag = bar.elements.tag.value.trim();
    const isTag = action === "tag" || action === "untag";
    if (isTag && !tag) {
      said.textContent = "Type a tag first.";
      bar.elements.tag.focus();
      return;
    }
    if (isTag) name(tag);
    change(action, [...chosen], isTag ? [tag] : []);
  });
  curves.addEventListener("click", () => {
    const numbers = [...chosen].sort((a, b) => a - b).map((number) => ["trial", number]);
    location.assign(`${study}/curves?${new URLSearchParams(numbers)}`);
  });
  bar.addEventListener("submit", (event) => {
    event.preventDefault(); // Enter in the tag's field adds it
    if (chosen.size) bar.querySelector("[data-action=tag]").click();
  });
  undo.addEventListener("click", () => change("retry", cancelled));

  /** Offers a tag wherever tags are. */
  function name(tag) {
    for (const list of [known, filter]) {
      if ([...list.children].some((option) => option.value === tag)) continue;
      list.append(Object.assign(document.createElement("option"), { value: tag, textContent: tag }));
    }
  }

  bar.hidden = false;
  restore();
  return { restore };
}
