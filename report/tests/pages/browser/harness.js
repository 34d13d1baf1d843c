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
    // Waiting takes no real time here, but the thread that decodes maps needs some, so this one is kept busy.
    for (let turn = 0; turn < 300 && document.querySelector("[data-map]:not(.ready)"); turn++) {
      for (let sum = 0, i = 0; i < 3e7; i++) sum += i;
      await wait(50);
    }
    /* TESTS */
  } catch (error) {
    lines.push(`ERROR ${error.stack}`);
  }
  document.body.append(Object.assign(document.createElement("pre"), { id: "test-results", textContent: lines.join("\n") }));
})();
