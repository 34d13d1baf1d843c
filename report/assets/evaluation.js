// Sortable tables, and the values of curves.

// ---- Sortable tables. ----

function cellKey(row, column, kind) {
  const cell = row.cells[column];
  if (kind === "text") return cell.textContent.trim();
  return cell.dataset.value === undefined ? NaN : Number(cell.dataset.value);
}

/** Sorts the rows of a table. Missing numbers come last. */
function sort(table, column, kind, descending) {
  const body = table.tBodies[0];
  const rows = Array.from(body.rows, (row) => ({ row, key: cellKey(row, column, kind) }));
  rows.sort((a, b) => {
    if (kind === "text") return (descending ? -1 : 1) * a.key.localeCompare(b.key, "en", { numeric: true });
    if (Number.isNaN(a.key) || Number.isNaN(b.key)) return Number.isNaN(a.key) - Number.isNaN(b.key);
    return (descending ? -1 : 1) * (a.key - b.key);
  });
  body.append(...rows.map(({ row }) => row));
}

for (const table of document.querySelectorAll("table[data-sortable]")) {
  const heads = Array.from(table.tHead.rows[0].cells);
  heads.forEach((head, column) => {
    const kind = head.dataset.sort;
    if (!kind) return;
    const button = Object.assign(document.createElement("button"), { type: "button", className: "sort" });
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const descending = head.ariaSort === "ascending" || (head.ariaSort === null && kind === "number");
      const order = head.ariaSort === "descending" ? "ascending" : descending ? "descending" : "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", order);
      sort(table, column, kind, order === "descending");
    });
  });
}

// ---- Curves. ----

const charts = JSON.parse(document.getElementById("charts-data").textContent);

/** The height of a line at `x`, between its points; null outside them. */
function heightAt(points, x) {
  const next = points.findIndex((point) => point[0] >= x);
  if (next < 0) return null;
  const [x1, y1] = points[next];
  if (x1 === x) return y1;
  if (next === 0) return null;
  const [x0, y0] = points[next - 1];
  return y0 + ((y1 - y0) * (x - x0)) / (x1 - x0);
}

function shape(parent, name, attributes) {
  const element = document.createElementNS(parent.namespaceURI, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

function enhance(figure, chart) {
  const svg = figure.querySelector(".scroll > svg");
  const probe = figure.querySelector(".probe");
  const text = figure.querySelector(".probe-text");
  const items = Array.from(figure.querySelectorAll(".legend li"));
  const lines = Array.from(svg.querySelectorAll("polyline"));
  const place = (value, [low, high], from, to) => from + ((to - from) * (value - low)) / (high - low);
  let current = null;

  function show(x) {
    current = Math.max(chart.x[0], Math.min(chart.x[1], x));
    const across = place(current, chart.x, chart.left, chart.right);
    probe.replaceChildren(shape(probe, "line", { x1: across, x2: across, y1: chart.top, y2: chart.bottom }));
    chart.lines.forEach((line, index) => {
      const height = heightAt(line.points, current);
      const isShown = height !== null && !lines[index].classList.contains("off");
      items[index].querySelector(".value").textContent = isShown ? short(height) : "";
      if (!isShown) return;
      const down = place(height, chart.y, chart.bottom, chart.top);
      const colour = Array.from(lines[index].classList).find((name) => /^c\d+$/.test(name));
      probe.append(shape(probe, "circle", { cx: across, cy: down, r: 4, class: colour }));
    });
    text.textContent = `${figure.querySelector("text.title").textContent} = ${short(current)}`;
  }

  function clear() {
    current = null;
    probe.replaceChildren();
    text.textContent = "Point at the chart to read the curves.";
    for (const item of items) item.querySelector(".value").textContent = "";
  }

  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const across = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
    show(chart.x[0] + ((chart.x[1] - chart.x[0]) * (across - chart.left)) / (chart.right - chart.left));
  });
  svg.addEventListener("pointerleave", clear);
  svg.addEventListener("blur", clear);
  svg.tabIndex = 0;
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const middle = (chart.x[0] + chart.x[1]) / 2;
    show(current === null ? middle : current + (step * (chart.x[1] - chart.x[0])) / 50);
  });
  for (const [index, item] of items.entries()) {
    const button = Object.assign(document.createElement("button"), { type: "button", title: "Hide or show this line" });
    button.setAttribute("aria-pressed", "true");
    button.append(...item.childNodes);
    item.append(button);
    button.addEventListener("click", () => {
      const isHidden = lines[index].classList.toggle("off");
      button.setAttribute("aria-pressed", String(!isHidden));
      if (current !== null) show(current);
    });
  }
  clear();
}

for (const figure of document.querySelectorAll("[data-chart]")) enhance(figure, charts[figure.dataset.chart]);
