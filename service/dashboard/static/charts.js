// Draws the service's figures with Plotly in the colours of the light or the dark page.

let library = null;

function plotly() {
  library ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = document.querySelector("[data-plotly]").dataset.plotly;
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => {
      library = null; // the next drawing tries again
      reject(new Error("Plotly could not be loaded"));
    };
    document.head.append(script);
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

/** A click on a mark that stands for a trial leads to its page. */
function lead(place) {
  const { trials } = document.querySelector("[data-plotly]").dataset;
  if (!trials) return; // a file of its own, without a service
  place.on("plotly_click", ({ points }) => {
    const cell = points.find(({ data }) => data.meta === "trials"); // rows of a heat map
    const number = cell?.y ?? points.find((point) => point.id)?.id;
    if (number) location.assign(`${trials}/${number}`);
  });
}

/** Draws a figure, or changes the one that is there. */
export async function draw(place, figure) {
  const isNew = !drawn.has(place);
  drawn.set(place, figure);
  const Plotly = await plotly();
  const style = getComputedStyle(document.documentElement);
  const family = getComputedStyle(document.body).fontFamily;
  await Plotly.react(place, coloured(figure.data, style), layoutOf(figure.layout, style, family), {
    displayModeBar: false, responsive: true, scrollZoom: false, doubleClick: "reset",
  });
  if (isNew) lead(place);
}

/** Frees the charts inside an element that is about to go. */
export function forget(root) {
  for (const place of [...drawn.keys()].filter((one) => root.contains(one))) {
    drawn.delete(place);
    window.Plotly?.purge(place);
  }
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const [place, figure] of drawn) draw(place, figure);
});
