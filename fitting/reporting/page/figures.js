// The figures: Plotly is unpacked, then draws each graph as it comes near the view; legends, links, ticks and print.

const LETTER = 6.6; // pixels of a letter in a row's name or an axis's label, about
const ROW_ABOVE = 12; // pixels more of a row whose name stands above it
const PAPER = { panel: 0.62, rows: 0.75 }; // of a graph's height, printed
const LETTERS = { screen: [12, 13], paper: [10, 10] }; // pixels of ticks and of axes' labels
const UNKNOWN = 700; // pixels of width, where a window has none yet
const NEAR = "100% 0px"; // drawn before it is seen: a window's height above and below

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
  const label = layout.xaxis.title.text;
  const long = (LETTER * labels * label.length) / LETTERS.screen[0] > width - layout.margin.l - layout.margin.r;
  size["xaxis.title.text"] = long ? label.replace(" (", "<br>(") : label;
  const words = layout.annotations.map((one) => ({ ...one, font: { ...one.font, size: ticks } }));
  if (!layout.meta.rows) return { ...size, height: (printed ? PAPER.panel : 1) * layout.height, annotations: words };
  const names = layout.yaxis.ticktext;
  const longest = Math.max(...names.map((name) => name.replace(/<[^>]*>/g, "").length));
  const above = LETTER * longest > 0.5 * width;
  const place = { xref: "paper", x: 0, xanchor: "left", yanchor: "bottom", showarrow: false, bgcolor: "white", borderpad: 0 };
  const written = names.map((text, y) => ({ ...place, y, text, yshift: layout.meta.strong.includes(y) ? -7 : 3 }));
  return {
    ...size,
    height: (printed ? PAPER.rows : 1) * layout.height + (above ? ROW_ABOVE * names.length : 0),
    "margin.l": above ? 12 : layout.margin.l,
    "yaxis.showticklabels": !above,
    annotations: above ? [...words, ...written] : words,
  };
}

// `layout` with `changes`, whose names are paths, as Plotly.relayout takes them.
function changed(layout, changes) {
  for (const [path, value] of Object.entries(changes)) {
    const names = path.split(".");
    const last = names.pop();
    names.reduce((inside, name) => (inside[name] ??= {}), layout)[last] = value;
  }
  return layout;
}

// Gives a graph the room that it has; before it is drawn its place is kept, so that nothing moves when it is.
function fit(graph, printed = false) {
  const { figure, box } = graph;
  const width = box.clientWidth;
  if (!width || (graph.width === width && graph.printed === printed)) return; // a window may have no width for a moment
  Object.assign(graph, { width, printed });
  const layout = fitted(figure, width, printed);
  box.style.height = layout.height + "px";
  if (box.layout) Plotly.relayout(box, layout);
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

// At once, so that it is there for a print, unless it was begun or Plotly is still being unpacked.
async function draw(graph) {
  const { figure, box } = graph;
  if (graph.begun || !window.Plotly) return;
  graph.begun = true;
  const touch = matchMedia("(pointer: coarse)").matches; // a finger scrolls the page
  const room = { ...fitted(figure, graph.width ?? UNKNOWN, graph.printed), dragmode: touch ? false : "zoom" };
  const layout = changed(structuredClone(figure.layout), room);
  try {
    await Plotly.newPlot(box, figure.data, layout, { ...figure.config, displayModeBar: touch ? false : "hover" });
  } catch (error) {
    failed(graph, error);
    return;
  }
  box.on("plotly_click", (event) => openAddress(event.points[0].customdata));
  box.on("plotly_hover", (event) => box.classList.toggle("pointing", Boolean(event.points[0].customdata)));
  box.on("plotly_unhover", () => box.classList.remove("pointing"));
  box.on("plotly_relayout", () => chooseTicks(graph));
}

function failed({ box }, error) {
  Object.assign(box, { className: "graph failed", textContent: `This browser cannot draw the figure: ${error.message}` });
}

// A click on a line of the legend hides its marks in every panel, another brings them back.
function addLegendButtons(graphs, item) {
  const button = element("button", "", "");
  button.type = "button";
  button.setAttribute("aria-pressed", "true");
  button.append(...item.firstElementChild.childNodes);
  item.firstElementChild.replaceWith(button);
  button.addEventListener("click", () => {
    const visible = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(visible));
    for (const { figure, box } of graphs.filter(({ box }) => item.closest("figure").contains(box))) {
      const traces = [...figure.data.keys()].filter((place) => figure.data[place].legendgroup === item.dataset.group);
      if (!box.layout) traces.forEach((place) => (figure.data[place].visible = visible));
      else if (traces.length) Plotly.restyle(box, { visible }, traces);
    }
  });
}

// Draws each graph as it comes near the view, one in a turn, so that the page answers in between; `drawn` is called
// with each. Where that is not possible a figure says so.
async function drawWhenNear(graphs, drawn) {
  graphs.forEach((graph) => fit(graph));
  try {
    await new Promise((idle) => (window.requestIdleCallback ?? setTimeout)(idle)); // the words are shown first
    await loadPlotly();
  } catch (error) {
    graphs.forEach((graph) => failed(graph, error));
    return;
  }
  document.querySelectorAll(".legend li[data-group]").forEach((item) => addLegendButtons(graphs, item));
  const waiting = [];
  async function next() {
    const graph = waiting.shift();
    if (!graph) return;
    await draw(graph);
    drawn(graph);
    setTimeout(next);
  }
  const watch = new IntersectionObserver(
    (seen) => {
      for (const { target } of seen.filter(({ isIntersecting }) => isIntersecting)) {
        watch.unobserve(target);
        waiting.push(graphs.find(({ box }) => box === target));
      }
      setTimeout(next);
    },
    { rootMargin: NEAR },
  );
  graphs.forEach(({ box }) => watch.observe(box));
}
