// The form of a study, new or changed: rows without a reload, and what a choice means.

for (const list of document.querySelectorAll("[data-rows]")) {
  const kind = list.dataset.rows;
  const template = document.querySelector(`template[data-of=${kind}]`);
  let next = list.children.length;

  function equip(row) {
    const button = row.querySelector(".remove");
    button.hidden = false;
    button.addEventListener("click", () => {
      const neighbour = row.nextElementSibling ?? row.previousElementSibling;
      row.remove();
      (neighbour?.querySelector("input") ?? adder).focus();
    });
  }

  /** The template is of the first row; its looks and words are made those of the next. */
  function add() {
    const place = next;
    next += 1;
    const row = template.content.firstElementChild.cloneNode(true);
    for (const part of [row, ...row.querySelectorAll("*")]) {
      for (const { name, value } of [...part.attributes]) {
        const said = value
          .replaceAll(`${kind}.0`, `${kind}.${place}`)
          .replace(/^((?:Remove )?(?:domain|benchmark|limit)) 1$/, `$1 ${place + 1}`);
        if (said !== value) part.setAttribute(name, said);
      }
    }
    for (const words of row.querySelectorAll("label .unseen")) {
      words.textContent = words.textContent.replace(/1$/, String(place + 1));
    }
    const chip = row.querySelector(".chip");
    if (chip) chip.className = `chip d${place % 8} h${Math.floor(place / 8) % 4}`;
    list.append(row);
    equip(row);
    row.querySelector("input").focus();
  }

  const adder = document.querySelector(`.add[value=${kind}]`);
  adder.type = "button";
  adder.addEventListener("click", add);
  for (const row of list.children) equip(row);
}

/** Says what the chosen option means; a recipe's values stand in its empty fields. */
function tell(select) {
  const { about, keys } = select.selectedOptions[0].dataset;
  document.querySelector(`[data-about-of="${select.name}"]`).textContent = about;
  if (!keys) return;
  const values = JSON.parse(keys);
  for (const field of document.querySelectorAll("input[name^='recipe.']")) {
    field.placeholder = values[field.name.replace("recipe.", "")] ?? "";
  }
}

for (const name of ["recipe.base", "strategy"]) {
  const select = document.getElementById(`f-${name}`);
  select?.addEventListener("change", () => tell(select));
}
document.getElementById("wrong")?.focus();
