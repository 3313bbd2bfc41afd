// The page: what is wanted stands in its address, what comes is drawn.
import "./main.css";

import { follow } from "./follow.js";
import { plot } from "./plot.js";

// Relative to the page, not to the origin: the server may live below a base path.
const socket = new URL("graphql", document.baseURI);
socket.protocol = socket.protocol === "https:" ? "wss:" : "ws:";

const COLOURS = ["#2f6fde", "#e07b00", "#1a9850", "#c2307f", "#7b52d3", "#0a9fb3", "#a6761d", "#d73027"];

const form = document.getElementById("wanted");
const field = form.elements;
const canvas = document.getElementById("plot");
const state = document.getElementById("state");
const table = document.getElementById("runs");

let runs = [];
let end = () => {};
let isDue = false;
const colours = new Map();

// A run keeps its colour when newer ones push it down the list; one that is pushed out gives its colour back.
function paint() {
  const here = new Set(runs.map((run) => run.id));
  for (const id of colours.keys()) if (!here.has(id)) colours.delete(id);
  const free = COLOURS.filter((each) => ![...colours.values()].includes(each));
  for (const { id } of runs) if (!colours.has(id)) colours.set(id, free.shift());
}

const number = (value) => (value == null ? "" : String(typeof value === "number" ? Number(value.toPrecision(4)) : value));

function cell(text, css) {
  const made = document.createElement("td");
  made.textContent = text;
  made.className = css ?? "";
  return made;
}

function row(run) {
  const made = document.createElement("tr");
  const mark = cell("●");
  mark.style.color = colours.get(run.id);
  const numbers = [run.lastStep, run.last, run.min, run.max].map((value) => cell(number(value), "number"));
  made.append(mark, cell(run.name), cell(run.status, run.status.toLowerCase()), ...numbers);
  return made;
}

function draw() {
  isDue = false;
  paint();
  const style = getComputedStyle(document.body);
  const curves = runs.map((run) => ({ colour: colours.get(run.id), points: [...run.points].sort(([a], [b]) => a - b) }));
  plot(canvas, curves.reverse(), {
    logarithmic: field.logarithmic.checked,
    ink: style.color,
    faint: style.getPropertyValue("--faint"),
  });
  table.replaceChildren(...runs.map(row));
}

function due() {
  if (!isDue) requestAnimationFrame(draw);
  isDue = true;
}

function reason(error) {
  if (error[0]?.message) return error[0].message;
  return error.reason || "The server cannot be reached.";
}

function watch() {
  end();
  runs = [];
  colours.clear();
  due();
  end = follow({
    url: socket.href,
    token: field.token.value,
    namespace: field.namespace.value,
    key: field.key.value,
    state: (word) => (state.value = word),
    changed(found) {
      runs = found;
      due();
    },
    failed: (error) => (state.value = reason(error)),
  });
}

function remember() {
  const wanted = new URLSearchParams({ namespace: field.namespace.value, key: field.key.value });
  if (field.logarithmic.checked) wanted.set("log", "1");
  history.replaceState(null, "", `?${wanted}`);
}

const asked = new URLSearchParams(location.search);
field.namespace.value = asked.get("namespace") ?? "demo";
field.key.value = asked.get("key") ?? "train/loss";
field.logarithmic.checked = asked.has("log");
form.addEventListener("submit", (event) => {
  event.preventDefault();
  remember();
  watch();
});
field.logarithmic.addEventListener("change", () => {
  remember();
  due();
});
new ResizeObserver(due).observe(canvas);
watch();
