"use strict";
(async () => {
  const lines = [];
  const byId = (id) => document.getElementById(id);
  const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const check = (name, is, seen) => lines.push(`${is ? "pass" : "FAIL"} ${name}: ${seen ?? is}`);
  const equal = (name, seen, expected) => check(name, seen === expected, `${seen}, expected ${expected}`);
  window.addEventListener("error", (event) => lines.push(`ERROR ${event.message}`));
  window.addEventListener("unhandledrejection", (event) => lines.push(`ERROR ${event.reason}`));
  try {
    await wait(1500);
    // Chromium's virtual time can run ahead of the decoding of maps.
    for (let turn = 0; turn < 300 && document.querySelector("[data-map]:not(.ready)"); turn++) await wait(100);
    /* TESTS */
  } catch (error) {
    lines.push(`ERROR ${error.stack}`);
  }
  document.body.append(Object.assign(document.createElement("pre"), { id: "test-results", textContent: lines.join("\n") }));
})();
