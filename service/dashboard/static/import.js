// Finished runs from a file: dropped or chosen, looked at first, then imported.
import { renew, sendText } from "./page.js";

const MOST_BYTES = 8 * 2 ** 20;

/** Offers the import; `refresh` shows the trials anew. */
export function offerImport(root, address, refresh) {
  const section = document.getElementById("import");
  const form = section.querySelector("form");
  const said = document.getElementById("import-said");
  const button = form.querySelector("button");
  let file = null;

  function say(text) {
    said.replaceChildren(Object.assign(document.createElement("p"), { textContent: text }));
  }

  async function ask(isDry) {
    button.disabled = true;
    if (!file) return;
    if (file.size > MOST_BYTES) {
      say(`${file.name} is larger than 8 MB; split it.`);
      return;
    }
    say(isDry ? `Looking at ${file.name} …` : `Importing ${file.name} …`);
    const about = new URLSearchParams({ name: file.name.slice(0, 200), dry_run: String(isDry) });
    about.set("tag", form.elements.tag.value.trim());
    try {
      const answer = await sendText(`${address}/import?${about}`, file);
      renew(said, answer.html);
      const canImport = isDry && answer.new > 0;
      button.disabled = !canImport;
      button.textContent = canImport ? `Import ${answer.new.toLocaleString("en")}` : "Import";
      if (answer.added) {
        form.reset();
        file = null;
        await refresh();
      }
    } catch (problem) {
      say(`Not imported: ${problem.message}`);
    }
  }

  function take(files) {
    [file] = files;
    ask(true);
  }

  form.elements.file.addEventListener("change", () => take(form.elements.file.files));
  form.elements.tag.addEventListener("change", () => ask(true));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    ask(false);
  });

  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  root.addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    root.classList.add("dropping");
  });
  for (const over of ["dragleave", "drop"]) {
    root.addEventListener(over, () => root.classList.remove("dropping"));
  }
  root.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    section.scrollIntoView({ block: "nearest" });
    take(event.dataTransfer.files);
  });
  section.hidden = false;
}
