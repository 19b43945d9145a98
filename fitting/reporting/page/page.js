// Brings the page to life: figures, calculator, buttons that copy, and print.

const data = JSON.parse(document.getElementById("page-data").textContent);
const graphs = Object.entries(data.figures).map(([id, figure]) => ({ figure, box: document.getElementById(id) }));
let budget = null; // FLOPs that the slider was moved to
let due = false;

if (data.slider)
  startCalculator(data.slider, (flops) => {
    budget = flops;
    if (!due) requestAnimationFrame(() => ((due = false), graphs.forEach((graph) => markBudget(graph, budget))));
    due = true;
  });

for (const box of document.querySelectorAll(".box")) {
  const code = box.querySelector("code");
  const button = element("button", "", "Copy");
  button.type = "button";
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch {
      getSelection().selectAllChildren(code);
      document.execCommand("copy");
    }
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
  box.append(button);
}

let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details:not([open])")];
  opened.forEach((details) => (details.open = true));
  document.documentElement.classList.add("printing");
  graphs.forEach((graph) => {
    fit(graph, true);
    draw(graph).then(() => markBudget(graph, budget));
  });
});
addEventListener("afterprint", () => {
  opened.forEach((details) => (details.open = false));
  document.documentElement.classList.remove("printing");
  graphs.forEach((graph) => fit(graph));
});
addEventListener("resize", () => graphs.forEach((graph) => fit(graph)));

if (graphs.length) drawWhenNear(graphs, (graph) => markBudget(graph, budget));
