// The slider: what each law answers at a budget, read off straight lines in log-log, and what the budget costs.

function trimmed(value, digits) {
  return String(Number(value.toPrecision(digits)));
}
function countText(count) {
  for (const [size, letter] of [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "k"]])
    if (Math.abs(count) >= 0.9995 * size) return trimmed(count / size, 3) + letter;
  return trimmed(count, 3);
}
function flopsText(flops) {
  const [mantissa, exponent] = flops.toExponential(2).split("e");
  return Number(mantissa) + "e" + Number(exponent);
}
function amountText(amount) {
  return Math.abs(amount) < 1e15 ? countText(amount) : flopsText(amount);
}
function hoursText(hours) {
  if (hours < 1 / 60) return trimmed(3600 * hours, 3) + " device-seconds";
  if (hours < 1) return trimmed(60 * hours, 3) + " device-minutes";
  return (hours < 1e4 ? trimmed(hours, 3) : amountText(hours)) + " device-hours";
}
function dollarsText(dollars) {
  if (dollars > 0 && dollars < 0.01) return "less than a cent";
  if (dollars < 100) return "$" + dollars.toFixed(2);
  return "$" + (dollars < 1e6 ? Math.round(dollars).toLocaleString("en-US") : amountText(dollars));
}
// What was typed as a positive number, as 1e21, 10^21 or 3.2e18 FLOPs; NaN for anything else.
function positive(text) {
  const plain = text.trim().replace(/flops?(\/s)?$/i, "").replace(/[\s,_$]/g, "").replace(/^10\^/, "1e");
  const value = plain === "" ? NaN : Number(plain);
  return Number.isFinite(value) && value > 0 ? value : NaN;
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}

function between(flops, values, wanted) {
  if (!values) return null;
  const right = Math.max(flops.findIndex((budget) => budget >= wanted), 0);
  if (flops[right] === wanted || right === 0) return values[right];
  const [a, b] = [values[right - 1], values[right]];
  if (a === null || b === null || a <= 0 || b <= 0) return null;
  const share = Math.log(wanted / flops[right - 1]) / Math.log(flops[right] / flops[right - 1]);
  return Math.exp(Math.log(a) + share * Math.log(b / a));
}

function answerCell(name, { value, low, high }, write) {
  const cell = element("td", value === null ? "right unsaid" : "right", "");
  cell.dataset.name = name;
  cell.append(element("b", "", value === null ? "–" : write(value)));
  if (value !== null && low !== null && high !== null)
    cell.append(element("span", "interval", `[${write(low)}, ${write(high)}]`));
  return cell;
}

function answerRow(law, flops, wanted) {
  const row = element("tr", law.ours ? "" : "faint", "");
  const name = element("td", "law", "");
  name.append(element(law.ours ? "b" : "span", "", law.label), element("span", "counts", law.counts));
  const [nParams, tokens, loss] = [law.n_params, law.tokens, law.loss].map((predicted) => {
    const at = (bound) => (predicted ? between(flops, predicted[bound], wanted) : null);
    return { value: at("value"), low: at("low"), high: at("high") };
  });
  const known = nParams.value !== null && tokens.value !== null;
  const ratio = { value: known ? tokens.value / nParams.value : null, low: null, high: null };
  row.append(
    name,
    answerCell("parameters N*", nParams, amountText),
    answerCell("tokens D*", tokens, amountText),
    answerCell("D*/N*", ratio, (value) => trimmed(value, 3)),
    answerCell("loss", loss, (value) => value.toFixed(3)),
  );
  return row;
}

// How far `wanted` lies outside the runs' compute, "" inside.
function extrapolation([low, high], wanted) {
  const decades = wanted > high ? Math.log10(wanted / high) : Math.log10(low / wanted);
  if (decades < 0.005) return "";
  const reach = decades < 0.095 ? decades.toFixed(2) : decades.toFixed(1);
  return `EXTRAPOLATION: ${reach} decades ${wanted > high ? "above" : "below"} the runs.`;
}

// Decades under the range, and the stretch of it that was measured.
function drawScale(slider, box) {
  const [lowest, highest] = [slider.flops[0], slider.flops.at(-1)];
  const place = (flops) => Math.min(Math.max(Math.log(flops / lowest) / Math.log(highest / lowest), 0), 1);
  const [first, last] = [Math.ceil(Math.log10(lowest) - 1e-9), Math.floor(Math.log10(highest) + 1e-9)];
  const step = Math.max(1, Math.ceil((last - first) / (box.clientWidth / 56)));
  for (let power = first; power <= last; power += step) {
    const tick = element("span", "", "1e" + power);
    tick.style.left = 100 * place(10 ** power) + "%";
    box.append(tick);
  }
  if (!slider.measured) return;
  const [from, to] = slider.measured.map((flops) => `calc(10px + (100% - 20px) * ${place(flops)})`);
  const stops = `#d9d9d9 ${from}, var(--accent) ${from}, var(--accent) ${to}, #d9d9d9 ${to}`;
  box.previousElementSibling.style.setProperty("--measured", `linear-gradient(to right, ${stops})`);
}

// Starts the calculator; `moved` is called with each budget that the reader chooses.
function startCalculator(slider, moved) {
  const ids = ["calculator", "budget-range", "budget-text", "budget-says", "cost-says", "rate", "price", "answers"];
  const [form, range, text, says, costSays, rate, price, answers] = ids.map((id) => document.getElementById(id));
  const [lowest, highest] = [slider.flops[0], slider.flops.at(-1)];
  let current = slider.start;

  function showCost() {
    const perSecond = positive(rate.value);
    const free = price.value.trim() === ""; // no price is known: the cost goes unsaid
    const perHour = Number(price.value) === 0 ? 0 : positive(price.value);
    rate.setAttribute("aria-invalid", String(!(perSecond > 0)));
    price.setAttribute("aria-invalid", String(!(perHour >= 0)));
    const hours = current / perSecond / 3600;
    const said = [`Training for ${flopsText(current)} FLOPs takes `, element("b", "", hoursText(hours))];
    if (!free) said.push(" and costs ", element("b", "", dollarsText(hours * perHour)));
    const known = perSecond > 0 && perHour >= 0 && Number.isFinite(hours);
    costSays.replaceChildren(...(known ? [...said, "."] : ["Time and cost need a positive number in each field below."]));
  }
  function show() {
    answers.replaceChildren(...slider.laws.map((law) => answerRow(law, slider.flops, current)));
    const warning = slider.measured ? extrapolation(slider.measured, current) : "";
    says.replaceChildren(warning ? element("strong", "", warning) : slider.measured ? "Within the compute of the runs." : "");
    range.setAttribute("aria-valuetext", `${flopsText(current)} FLOPs${warning && ", extrapolated"}`);
    text.setAttribute("aria-invalid", "false");
    showCost();
  }
  function choose(flops) {
    current = flops;
    show();
    moved(current);
  }

  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  Object.assign(range, { min: Math.log10(lowest), max: Math.log10(highest), step: 0.02, value: Math.log10(current) });
  text.value = flopsText(current);
  range.addEventListener("input", () => {
    text.value = flopsText(10 ** Number(range.value));
    choose(Math.min(Math.max(Number(text.value), lowest), highest));
  });
  text.addEventListener("input", () => {
    const wanted = positive(text.value);
    if (wanted >= lowest && wanted <= highest) {
      range.value = Math.log10(wanted);
      choose(wanted);
      return;
    }
    text.setAttribute("aria-invalid", "true");
    const bounds = `from ${flopsText(lowest)} to ${flopsText(highest)}`;
    says.replaceChildren(`Give FLOPs ${bounds}, such as ${flopsText(slider.start)}; below are the answers for ${flopsText(current)}.`);
  });
  addEventListener("beforeprint", () => {
    if (text.getAttribute("aria-invalid") !== "true") return;
    text.value = flopsText(current); // what the answers are for
    show();
  });
  for (const input of [rate, price]) input.addEventListener("input", showCost);
  drawScale(slider, form.querySelector(".scale"));
  show();
}
