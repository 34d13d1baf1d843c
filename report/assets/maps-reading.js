// Values under the pointer, the enlarged map, and the start of the page.

// ---- The place under the pointer. ----

const cursor = { input: null, x: 0, y: 0 };

function cellAt(map, x, y) {
  const clamp = (share, size) => Math.max(0, Math.min(size - 1, Math.floor(share * size)));
  return { row: clamp(y, map.height), column: clamp(x, map.width) };
}

function readingAt(map, { row, column }) {
  const i = row * map.width + column;
  const code = map.codes[i];
  const reading = { value: map.values[code], percentile: map.percentiles[Math.abs(code - ZERO)] };
  if (map.errorCodes) {
    reading.error = map.errorOf[map.errorCodes[i]];
    reading.z = reading.error > 0 ? Math.abs(reading.value) / reading.error : reading.value === 0 ? 0 : Infinity;
  }
  return reading;
}

function inWords({ value, error, z, percentile }) {
  const certainty = error === undefined ? "" : ` ± ${short(error)}, z ${z === Infinity ? "∞" : z.toFixed(1)}`;
  return `${value > 0 ? "+" : ""}${short(value)}${certainty}, percentile ${percentile.toFixed(0)}`;
}

/** Moves the crosshair of all maps of an input to a place given as shares of width and height. */
function pointAt(map, x, y) {
  const cell = cellAt(map, x, y);
  if (cursor.input !== map.input) stopPointing();
  Object.assign(cursor, { input: map.input, x: (cell.column + 0.5) / map.width, y: (cell.row + 0.5) / map.height });
  for (const area of document.querySelectorAll(`[data-input="${map.input}"]`)) {
    area.style.setProperty("--x", cursor.x);
    area.style.setProperty("--y", cursor.y);
    area.classList.add("pointing");
  }
  for (const other of data.maps) {
    if (other.input !== map.input || !other.codes) continue;
    const here = other.element.closest("figure").querySelector(".here");
    here.hidden = false;
    here.textContent = inWords(readingAt(other, cellAt(other, cursor.x, cursor.y)));
  }
  const readout = byId("readout");
  readout.classList.add("active");
  readout.textContent = `${map.method}: row ${cell.row}, column ${cell.column}, ${inWords(readingAt(map, cell))}`;
}

function stopPointing() {
  if (cursor.input === null) return;
  for (const area of document.querySelectorAll(`[data-input="${cursor.input}"]`)) area.classList.remove("pointing");
  cursor.input = null;
}

const mapOf = (event) => {
  const stack = event.target.closest?.("[data-map]");
  const map = stack && data.maps[stack.dataset.map];
  return map?.codes ? { stack, map } : null;
};

function onPointer(event) {
  const found = mapOf(event);
  if (!found) return;
  const box = found.stack.getBoundingClientRect();
  pointAt(found.map, (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function onKey(event) {
  const found = mapOf(event);
  if (!found) return;
  const { map } = found;
  if (event.key === "Enter" && !dialog.open) {
    event.preventDefault();
    enlarge(map);
  } else if (ARROWS[event.key]) {
    event.preventDefault();
    const isNew = cursor.input !== map.input;
    const [dx, dy] = isNew ? [0, 0] : ARROWS[event.key].map((step) => step * (event.shiftKey ? 10 : 1));
    const { x, y } = isNew ? { x: 0.5, y: 0.5 } : cursor;
    pointAt(map, x + dx / map.width, y + dy / map.height);
  }
}

// ---- The enlarged map. ----

const dialog = byId("enlarged");
const home = document.createElement("div");
let enlarged = null;
let previousFocus = null;

async function enlarge(map) {
  await decode(map);
  previousFocus = document.activeElement;
  enlarged = map;
  dialog.dataset.input = map.input;
  if (cursor.input === map.input) {
    dialog.style.setProperty("--x", cursor.x);
    dialog.style.setProperty("--y", cursor.y);
    dialog.classList.add("pointing");
  }
  const title = map.element.closest(".target").querySelector("h3").textContent;
  byId("enlarged-title").textContent = `${map.method} – ${title}`;
  const stack = document.createElement("div");
  stack.className = "stack ready";
  stack.dataset.map = data.maps.indexOf(map);
  stack.style.aspectRatio = map.element.style.aspectRatio;
  stack.style.width = `min(100%, ${(72 * map.width) / map.height}vh)`;
  const picture = map.element.querySelector(".picture");
  if (picture) stack.append(picture.cloneNode());
  stack.append(cross());
  makeFocusable(stack, map);
  byId("enlarged-map").replaceChildren(stack);
  // The controls move into the dialog; a box of the same size keeps the page in place.
  home.style.height = `${controls.offsetHeight}px`;
  controls.replaceWith(home);
  byId("enlarged-controls").append(controls);
  addLayer(map, stack);
  dialog.showModal();
  stack.focus();
}

/** Closes the dialog, and moves the controls back. */
function shrink() {
  dialog.close();
  if (!enlarged) return;
  home.replaceWith(controls);
  enlarged.layers.length = 1;
  enlarged = null;
  byId("enlarged-map").replaceChildren();
  dialog.classList.remove("pointing");
  delete dialog.dataset.input;
  previousFocus?.focus();
}

// The browser closes a dialog by itself when Escape is pressed.
dialog.addEventListener("close", shrink);
byId("close").addEventListener("click", shrink);
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) shrink();
});

// ---- Start. ----

function cross() {
  return Object.assign(document.createElement("div"), { className: "cross" });
}

function makeFocusable(stack, map) {
  stack.tabIndex = 0;
  stack.setAttribute("role", "group");
  stack.setAttribute("aria-label", `${map.method}. Arrow keys read values, Enter enlarges.`);
}

for (const stack of document.querySelectorAll(".stack")) {
  stack.append(cross());
  const map = data.maps[stack.dataset.map];
  if (!map) continue;
  prepare(map, stack);
  makeFocusable(stack, map);
  const button = Object.assign(document.createElement("button"), { type: "button", className: "enlarge", textContent: "Enlarge" });
  button.setAttribute("aria-label", `Enlarge ${map.method}`);
  button.addEventListener("click", () => enlarge(map));
  stack.closest("figure").querySelector("h4").append(button);
}
controls.hidden = false;
readState();
update();

const observer = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      const map = data.maps[entry.target.dataset.map];
      map.isVisible = entry.isIntersecting;
      if (!map.isVisible) continue;
      if (!map.codes) decode(map);
      else if (!map.isCurrent) draw(map);
    }
  },
  { rootMargin: "300px" },
);
for (const map of data.maps) observer.observe(map.element);

controls.addEventListener("input", update);
controls.addEventListener("reset", () => setTimeout(update));
controls.addEventListener("submit", (event) => event.preventDefault());
byId("more").addEventListener("click", (event) => {
  const all = controls.classList.toggle("all");
  event.target.setAttribute("aria-expanded", all);
  event.target.textContent = all ? "Fewer" : "More";
});
document.addEventListener("pointermove", onPointer);
document.addEventListener("pointerdown", onPointer);
document.addEventListener("pointerout", (event) => {
  const stack = event.target.closest?.("[data-map]");
  if (event.pointerType === "mouse" && stack && !stack.contains(event.relatedTarget)) stopPointing();
});
document.addEventListener("keydown", onKey);
document.addEventListener("click", (event) => {
  const found = mapOf(event);
  // A touch reads a value; the button enlarges.
  if (found && event.pointerType !== "touch" && !dialog.open) enlarge(found.map);
});
