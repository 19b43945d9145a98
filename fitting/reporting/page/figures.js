// The figures: Plotly is unpacked, then draws one graph after the other; legends, links, ticks and print.

const LETTER = 6.6; // pixels of a letter in a row's name, about
const ROW_ABOVE = 12; // pixels more of a row whose name stands above it
const PAPER = 0.62; // of a graph's height, printed
const LETTERS = { screen: [12, 13], paper: [10, 10] }; // pixels of ticks and of axes' labels

async function loadPlotly() {
  const packed = Uint8Array.from(atob(document.getElementById("plotly").textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.head.append(script);
}

// The layout that depends on the room: where a graph is narrow, rows' names stand above their rows, not beside them.
function fitted({ layout }, width, printed) {
  const [ticks, labels] = printed ? LETTERS.paper : LETTERS.screen;
  const title = layout.title ? { "title.font.size": labels } : {};
  const size = { ...title, width, "font.size": ticks, "xaxis.title.font.size": labels, "yaxis.title.font.size": labels };
  if (!layout.meta.rows) return { ...size, height: (printed ? PAPER : 1) * layout.height };
  const names = layout.yaxis.ticktext;
  const longest = Math.max(...names.map((name) => name.replace(/<[^>]*>/g, "").length));
  const above = LETTER * longest > 0.5 * width;
  const place = { xref: "paper", x: 0, xanchor: "left", yanchor: "bottom", showarrow: false };
  const written = names.map((text, y) => ({ ...place, y, text, yshift: layout.meta.strong.includes(y) ? -7 : 3 }));
  return {
    ...size,
    height: layout.height + (above ? ROW_ABOVE * names.length : 0),
    "margin.l": above ? 12 : layout.margin.l,
    "yaxis.showticklabels": !above,
    annotations: above ? [...layout.annotations, ...written] : layout.annotations,
  };
}

function fit(graph, printed = false) {
  const { figure, box } = graph;
  const same = graph.width === box.clientWidth && graph.printed === printed;
  if (!box.layout || !box.clientWidth || same) return; // a window may have no width for a moment
  Object.assign(graph, { width: box.clientWidth, printed });
  const layout = fitted(figure, graph.width, printed);
  box.style.height = layout.height + "px";
  Plotly.relayout(box, layout);
}

function openAddress(address) {
  if (/^https?:\/\//.test(address || "")) window.open(address, "_blank", "noopener,noreferrer");
}

// The ticks are for the whole panel: zoomed in, Plotly chooses others, until the axes are reset.
function chooseTicks({ figure, box }) {
  const wanted = {};
  for (const name of ["xaxis", "yaxis"]) {
    const [axis, now] = [figure.layout[name], box.layout[name]];
    if (axis.tickmode !== "array") continue;
    const mode = axis.range.every((end, place) => Math.abs(end - now.range[place]) < 1e-9) ? "array" : "auto";
    if (mode !== now.tickmode) wanted[`${name}.tickmode`] = mode;
  }
  if (Object.keys(wanted).length) Plotly.relayout(box, wanted);
}

// A line at the slider's budget, on axes of compute that reach it; null: the slider was not moved.
function markBudget(graph, budget) {
  const { figure, box } = graph;
  if (!figure.layout.meta.compute || budget === null || !box.layout) return;
  const [low, high] = figure.layout.xaxis.range.map((end) => 10 ** end);
  const side = budget > Math.sqrt(low * high) ? "right" : "left"; // words end at the line in the right half
  const place = { textposition: "end", textangle: 0, xanchor: side, yanchor: "top", padding: 4 };
  const label = { text: `C = ${flopsText(budget)}`, font: { size: 12 }, ...place };
  const across = { type: "line", x0: budget, x1: budget, yref: "paper", y0: 0, y1: 1 };
  const line = { ...across, line: { color: "#1a1a1a", width: 1 }, label };
  Plotly.relayout(box, { shapes: [...figure.layout.shapes, ...(low <= budget && budget <= high ? [line] : [])] });
}

async function draw(graph) {
  const { figure, box } = graph;
  const touch = matchMedia("(pointer: coarse)").matches; // a finger scrolls the page
  const layout = { ...structuredClone(figure.layout), width: box.clientWidth, dragmode: touch ? false : "zoom" };
  await Plotly.newPlot(box, figure.data, layout, { ...figure.config, displayModeBar: touch ? false : "hover" });
  if (layout.meta.rows) fit(graph);
  else Object.assign(graph, { width: layout.width, printed: false });
  box.on("plotly_click", (event) => openAddress(event.points[0].customdata));
  box.on("plotly_hover", (event) => box.classList.toggle("pointing", Boolean(event.points[0].customdata)));
  box.on("plotly_unhover", () => box.classList.remove("pointing"));
  box.on("plotly_relayout", () => chooseTicks(graph));
}

// A click on a line of the legend hides its marks in every panel, another brings them back.
function addLegendButtons(item) {
  const button = element("button", "", "");
  button.type = "button";
  button.setAttribute("aria-pressed", "true");
  button.append(...item.firstElementChild.childNodes);
  item.firstElementChild.replaceWith(button);
  button.addEventListener("click", () => {
    const shown = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(shown));
    for (const box of item.closest("figure").querySelectorAll(".graph")) {
      const traces = box.data.flatMap((trace, place) => (trace.legendgroup === item.dataset.group ? [place] : []));
      if (traces.length) Plotly.restyle(box, { visible: shown }, traces);
    }
  });
}

// Draws all, `drawn` being called with each; where that is not possible a figure says so.
async function drawAll(graphs, drawn) {
  try {
    await loadPlotly();
    for (const graph of graphs) {
      await draw(graph);
      drawn(graph);
      await new Promise((done) => setTimeout(done)); // the page stays alive in between
    }
    document.querySelectorAll(".legend li[data-group]").forEach(addLegendButtons);
  } catch (error) {
    for (const { box } of graphs)
      if (!box.layout)
        Object.assign(box, { className: "graph failed", textContent: `This browser cannot draw the figure: ${error.message}` });
  }
}
