// Draws the service's figures with Plotly in the colours of the light or the dark page.

let library = null;

function plotly() {
  library ??= new Promise((resolve, reject) => {
    const settle = () => {
      if (window.Plotly) return resolve(window.Plotly);
      library = null; // the next drawing tries again
      return reject(new Error("Plotly could not be loaded"));
    };
    if (window.Plotly) return settle();
    // The page's head may have begun it; it has failed if the page is whole and it is not there.
    let script = document.readyState === "complete" ? null : document.getElementById("plotly");
    if (script) {
      addEventListener("load", settle); // of the page: the script may have failed before this
    } else {
      script = document.createElement("script");
      script.src = document.querySelector("[data-plotly]").dataset.plotly;
      document.head.append(script);
    }
    script.onload = script.onerror = settle;
    return undefined;
  });
  return library;
}

/** A copy with every role (`@ink`, `@d3`) replaced by its colour on this page. */
function coloured(value, style) {
  if (typeof value === "string") {
    return value.startsWith("@") ? style.getPropertyValue(`--${value.slice(1)}`).trim() : value;
  }
  if (Array.isArray(value)) return value.map((part) => coloured(part, style));
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, coloured(v, style)]));
  }
  return value;
}

const AXIS = {
  gridcolor: "@grid", linecolor: "@faint", tickcolor: "@faint", zerolinecolor: "@faint",
  ticks: "outside", ticklen: 4, title: { standoff: 12 },
};

function layoutOf(layout, style, family) {
  const rem = parseFloat(style.fontSize);
  const title = { ...AXIS.title, font: { size: 0.82 * rem, color: "@soft" } };
  const axis = (own) => ({ ...AXIS, ...own, title: { ...title, ...own?.title } });
  const whole = {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", hovermode: "closest",
    font: { family, size: 0.78 * rem, color: "@soft" },
    hoverlabel: { bgcolor: "@panel", bordercolor: "@faint", font: { family, color: "@ink" } },
    ...layout, xaxis: axis(layout.xaxis), yaxis: axis(layout.yaxis),
  };
  return coloured({ ...whole, legend: { font: { color: "@soft" }, ...layout.legend } }, style);
}

const drawn = new Map();

/** Whether a row of a heat map is a trial's. */
const isNumber = (name) => /^\d+$/.test(name);

/** A trial's number from the id of a mark. */
const trialOf = (id) => id?.split("/")[0];

/** A click on a mark that stands for a trial leads to its page. */
function lead(place) {
  const { trials } = document.querySelector("[data-plotly]").dataset;
  if (!trials) return; // a file of its own, without a service
  place.on("plotly_click", ({ points }) => {
    const cell = points.find(({ data, y }) => data.meta === "trials" && isNumber(y)); // a heat map's row
    const number = cell?.y ?? trialOf(points.find((point) => point.id)?.id);
    if (number) location.assign(`${trials}/${number}`);
  });
}

const TABLED = 500; // rows of a chart's table at most

/** What a chart shows as rows: whose it is, the trial's number, and what is said of it. */
function* rowsOf({ data, layout }) {
  const put = (value) => (typeof value === "number" ? Number(value.toFixed(2)) : value);
  const title = (axis) => layout[axis]?.title?.text || "";
  const whole = (name) => layout.meta?.names?.[name] ?? name ?? "";
  for (const trace of data) {
    if (trace.type === "heatmap") {
      for (const [i, row] of trace.customdata.entries()) yield* row.map((said) => ["", isNumber(trace.y[i]) ? trace.y[i] : "", said]);
      continue;
    }
    if (trace.hoverinfo === "skip") continue;
    for (const [i, x] of (trace.x ?? trace.a).entries()) {
      const y = (trace.y ?? trace.b)[i];
      if (x === null || y === null) continue;
      const margin = trace.error_y?.array?.[i] ?? trace.error_x?.array?.[i];
      const spread = margin === undefined ? "" : ` \u00b1 ${put(margin)}`;
      const said = trace.text?.[i] || trace.hovertext?.[i];
      yield [whole(trace.name), trialOf(trace.ids?.[i]), said || `${title("xaxis")} ${put(x)}, ${title("yaxis")} ${put(y)}${spread}`];
    }
  }
}

function tableOf(figure) {
  const { trials } = document.querySelector("[data-plotly]").dataset;
  const rows = [...rowsOf(figure)];
  const table = Object.assign(document.createElement("table"), { className: "plain" });
  for (const [name, number, said] of rows.slice(0, TABLED)) {
    const row = table.insertRow();
    row.insertCell().textContent = name;
    const trial = row.insertCell();
    if (number && trials) {
      const href = `${trials}/${number}`;
      trial.append(Object.assign(document.createElement("a"), { href, textContent: `trial ${number}` }));
    }
    row.insertCell().textContent = String(said).replaceAll("<br>", ", ");
  }
  if (rows.length > TABLED) {
    table.createCaption().textContent = `The first ${TABLED} of ${rows.length.toLocaleString("en")} rows.`;
  }
  return table;
}

/** The same in words below the chart, for those who do not see it or use no mouse. */
function tell(place, figure) {
  let details = place.nextElementSibling;
  if (!details?.matches("details.data")) {
    details = Object.assign(document.createElement("details"), { className: "data" });
    details.append(Object.assign(document.createElement("summary"), { textContent: "As a table" }));
    details.addEventListener("toggle", () => fill(details));
    place.after(details);
  }
  details.hidden = false;
  details.figure = figure;
  fill(details);
}

function fill(details) {
  details.querySelector(".wide")?.remove();
  if (!details.open) return;
  const around = Object.assign(document.createElement("div"), { className: "wide", tabIndex: 0 });
  around.append(tableOf(details.figure));
  details.append(around);
}

const NARROW_PX = 480; // a legend of what is not drawn would fill such a chart

function show(place, figure, size = {}) {
  const isNarrow = place.clientWidth < NARROW_PX;
  const data = figure.data.filter((trace) => !(isNarrow && trace.visible === "legendonly"));
  const style = getComputedStyle(document.documentElement);
  const family = getComputedStyle(document.body).fontFamily;
  // A height of its own is the element's: from a layout Plotly drops it when the window changes.
  const { height, ...own } = figure.layout;
  place.style.height = height ? `${height}px` : "";
  const layout = { ...layoutOf(own, style, family), ...size };
  return window.Plotly.react(place, coloured(data, style), layout, {
    displayModeBar: false, responsive: true, scrollZoom: false, doubleClick: "reset",
  });
}

/** Makes the marks of a surface over a triangle the cells of a honeycomb that fills it. */
function tile(place) {
  const { layout } = drawn.get(place) ?? {};
  const side = place.querySelector(".ternarylayer .plotbg path")?.getBBox().width;
  if (!layout?.meta?.tile || !side) return;
  const size = (1.2 * side) / layout.meta.tile; // 2/\u221a3 of their distance, and a little over
  if (Math.abs(place.data[0].marker.size - size) > 0.5) {
    window.Plotly.restyle(place, { "marker.size": size }, [0]);
  }
}

const SVG = "http://www.w3.org/2000/svg";

/** Says the whole of names that are shown without their middle to who points at them. */
function tellNames(place) {
  const names = drawn.get(place)?.layout.meta?.names ?? {};
  if (!Object.keys(names).length) return;
  for (const text of place.querySelectorAll("svg text")) {
    const whole = names[text.textContent];
    if (whole === undefined) continue;
    // In a legend something lies over the text that is clicked on.
    const pointed = text.closest(".traces") ?? text;
    text.style.pointerEvents = "all";
    const title = pointed.querySelector(":scope > title") ?? document.createElementNS(SVG, "title");
    title.textContent = whole;
    pointed.prepend(title);
  }
}

/** Draws a figure, or changes the one that is there. */
export async function draw(place, figure) {
  const isNew = !drawn.has(place);
  drawn.set(place, figure);
  await plotly();
  await show(place, figure);
  if (isNew) {
    lead(place);
    place.on("plotly_afterplot", () => {
      tile(place);
      tellNames(place);
    });
    tile(place);
    tellNames(place);
  }
  tell(place, figure);
}

/** Frees the charts inside an element that is about to go. */
export function forget(root) {
  for (const place of [...drawn.keys()].filter((one) => root.contains(one))) {
    drawn.delete(place);
    window.Plotly?.purge(place);
  }
}

addEventListener("theme", () => {
  for (const [place, figure] of drawn) draw(place, figure);
});

// On paper charts have its light colours and its width, which no style sheet can give them.
addEventListener("beforeprint", () => {
  document.documentElement.classList.add("printing");
  for (const [place, figure] of drawn) {
    if (place.clientWidth) show(place, figure, { width: place.clientWidth, height: place.clientHeight });
  }
});
addEventListener("afterprint", () => {
  document.documentElement.classList.remove("printing");
  for (const [place, figure] of drawn) show(place, figure).then(() => window.Plotly.Plots.resize(place));
});
