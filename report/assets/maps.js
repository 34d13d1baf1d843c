// Decoding and drawing of the maps under the controls.

const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("maps-data").textContent);
const ZERO = 127;

// ---- The bytes of the PNG files: the pixels are the codes of the values. ----

const bytesOf = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));

/** Returns the pixels of an 8-bit PNG without filters, one byte each. */
async function pixels(base64, width, height) {
  const file = bytesOf(base64);
  const view = new DataView(file.buffer);
  const parts = [];
  for (let at = 8; at < file.length; ) {
    const length = view.getUint32(at);
    if (String.fromCharCode(...file.subarray(at + 4, at + 8)) === "IDAT") {
      parts.push(file.subarray(at + 8, at + 8 + length));
    }
    at += length + 12;
  }
  const stream = new Blob(parts).stream().pipeThrough(new DecompressionStream("deflate"));
  const rows = new Uint8Array(await new Response(stream).arrayBuffer());
  const result = new Uint8Array(width * height);
  for (let row = 0; row < height; row++) {
    const start = row * (width + 1) + 1;
    result.set(rows.subarray(start, start + width), row * width);
  }
  return result;
}

// ---- Maps. ----

const colours = (hex) => hex.match(/../g).map((byte) => parseInt(byte, 16));
const palettes = data.palettes.map((p) => ({ signed: colours(p.signed), unsigned: colours(p.unsigned) }));

/** Adds the tables of a map that do not depend on the controls. */
function prepare(map, element) {
  map.values = Float64Array.from({ length: 255 }, (_, index) => {
    const steps = (index - ZERO) / ZERO;
    return map.limit * steps * Math.abs(steps);
  });
  map.errorOf = Float64Array.from({ length: 256 }, (_, code) => {
    if (!map.errors || code === 0) return 0;
    const [low, high] = map.errors;
    return low * Math.pow(high / low, (code - 1) / 254);
  });
  map.element = element;
  map.layers = [];
}

/** Decodes a map once. */
function decode(map) {
  map.decoding ??= (async () => {
    const image = map.element.querySelector("img");
    const base64 = image.getAttribute("src").split(",")[1];
    const errorBase64 = map.element.dataset.error;
    const [codes, errors] = await Promise.all([
      pixels(base64, map.width, map.height),
      errorBase64 ? pixels(errorBase64, map.width, map.height) : null,
    ]);
    const counts = new Array(128).fill(0);
    for (const code of codes) counts[Math.abs(code - ZERO)]++;
    // The percentile of a magnitude: the share of the map's values with a smaller one.
    let below = 0;
    map.percentiles = counts.map((count) => {
      const percentile = (100 * below) / codes.length;
      below += count;
      return percentile;
    });
    map.strongest = counts.findLastIndex((count) => count > 0);
    map.codes = codes;
    map.errorCodes = errors;
    addLayer(map, map.element);
    image.remove();
    map.element.classList.add("ready");
  })().catch((error) => {
    map.element.title = `This browser cannot decode the map: ${error.message}`;
  });
  return map.decoding;
}

/** Adds a canvas to a stack, where the picture of the map was. */
function addLayer(map, stack) {
  const canvas = document.createElement("canvas");
  canvas.width = map.width;
  canvas.height = map.height;
  canvas.className = stack.querySelector(".picture") ? "layer over" : "layer";
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `Attribution map of ${map.method}`);
  stack.insertBefore(canvas, stack.querySelector(".cross"));
  map.layers.push(canvas);
  draw(map);
}

// ---- Drawing. ----

const controls = byId("controls");
const control = (id) => byId(id);
const state = {};

function readState() {
  for (const id of ["opacity", "wipe", "percentile", "certainty"]) state[id] = Number(control(id).value);
  for (const id of ["scale", "view", "mode"]) state[id] = control(id).value;
}

/** The clip limit of a map under the chosen scale. */
function clipOf(map) {
  const isNear = (other) => state.scale === "shared" || (other.input === map.input && other.row === map.row);
  const shared = data.maps.filter((other) => other.unit === map.unit && isNear(other));
  return state.scale === "own" ? map.clip : Math.max(...shared.map((other) => other.clip));
}

const usesSign = (map) => map.signed && state.view === "signed";

/** A value relative to the clip limit, as the chosen view shows it. */
function strength(map, value, clip) {
  if (map.signed && state.view === "positive") value = Math.max(value, 0);
  else if (map.signed && state.view === "negative") value = Math.max(-value, 0);
  else if (!usesSign(map)) value = Math.abs(value);
  if (value === 0) return 0;
  return clip > 0 ? Math.max(-1, Math.min(1, value / clip)) : Math.sign(value);
}

function colour(map, strength) {
  const palette = palettes[map.palette];
  const [table, index] = usesSign(map)
    ? [palette.signed, ZERO + Math.round(ZERO * strength)]
    : [palette.unsigned, Math.round(254 * Math.abs(strength))];
  return table.slice(3 * index, 3 * index + 3);
}

/** The colours of all codes, in the byte order of image data. */
function codeColours(map, clip) {
  const rgba = new Uint8ClampedArray(4 * 256);
  const masks = state.mode === "mask";
  // The strongest value stays visible at any percentile.
  const threshold = Math.min(state.percentile, map.percentiles[Math.max(map.strongest, 0)]);
  for (let code = 0; code < 255; code++) {
    const share = strength(map, map.values[code], clip);
    const shown = map.percentiles[Math.abs(code - ZERO)] >= threshold;
    if (masks) rgba.set([0, 0, 0, shown ? 255 * (1 - Math.abs(share)) : 255], 4 * code);
    else rgba.set([...colour(map, share), shown ? 255 : 0], 4 * code);
  }
  return new Uint32Array(rgba.buffer);
}

/** For each code, the largest error code with which the value is certain; -1 if there is none. */
function certainErrors(map) {
  const largest = new Int16Array(256).fill(-1);
  for (let code = 0; code < 255; code++) {
    const magnitude = Math.abs(map.values[code]);
    for (let error = 0; error < 256; error++) {
      if (magnitude > 0 && magnitude >= state.certainty * map.errorOf[error]) largest[code] = error;
    }
  }
  return largest;
}

function draw(map) {
  const clip = clipOf(map);
  const table = codeColours(map, clip);
  const image = new ImageData(map.width, map.height);
  const target = new Uint32Array(image.data.buffer);
  const { codes, errorCodes } = map;
  if (errorCodes && state.certainty > 0) {
    const certain = certainErrors(map);
    const uncertain = state.mode === "mask" ? new Uint32Array(new Uint8Array([0, 0, 0, 255]).buffer)[0] : 0;
    for (let i = 0; i < codes.length; i++) {
      target[i] = errorCodes[i] <= certain[codes[i]] ? table[codes[i]] : uncertain;
    }
  } else {
    for (let i = 0; i < codes.length; i++) target[i] = table[codes[i]];
  }
  for (const canvas of map.layers) canvas.getContext("2d").putImageData(image, 0, 0);
  drawBar(map, clip);
  map.isCurrent = true;
}

function drawBar(map, clip) {
  const figure = map.element.closest("figure");
  const masks = state.mode === "mask";
  const signed = usesSign(map) && !masks;
  const stops = Array.from({ length: 17 }, (_, i) => {
    const share = signed ? i / 8 - 1 : i / 16;
    return masks ? `rgb(0 0 0 / ${1 - share})` : `rgb(${colour(map, share).join(" ")})`;
  });
  figure.querySelector(".bar").style.background = `linear-gradient(90deg, ${stops.join(", ")})`;
  const end = map.signed && state.view === "negative" ? -clip : clip;
  const labels = signed ? [short(-clip), "0", `+${short(clip)}`] : ["0", short(end)];
  figure.querySelector(".ticks").replaceChildren(
    ...labels.map((label) => Object.assign(document.createElement("span"), { textContent: label })),
  );
}

let scheduled = false;
function update() {
  readState();
  byId("opacity-value").textContent = `${state.opacity} %`;
  byId("wipe-value").textContent = `${state.wipe} %`;
  const kept = 100 - state.percentile;
  byId("percentile-value").textContent = kept === 100 ? "all" : kept === 0 ? "maximum" : `top ${kept} %`;
  byId("certainty-value").textContent = state.certainty > 0 ? `≥ ${state.certainty}` : "all";
  const root = document.documentElement;
  root.style.setProperty("--opacity", state.opacity / 100);
  root.style.setProperty("--wipe", `${state.wipe}%`);
  root.classList.toggle("wiping", state.mode === "wipe");
  for (const map of data.maps) map.isCurrent = false;
  if (scheduled) return;
  scheduled = true;
  // Several events in a row are drawn once.
  setTimeout(() => {
    scheduled = false;
    for (const map of data.maps) if (map.codes && (map.isVisible || map.layers.length > 1)) draw(map);
  });
}
