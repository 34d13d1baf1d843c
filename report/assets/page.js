// What the scripts of both pages share.

/** Formats a number with 3 significant digits. */
function short(value) {
  if (value === 0) return "0";
  const magnitude = Math.abs(value);
  const decimals = Math.max(0, 2 - Math.floor(Math.log10(magnitude)));
  const text = magnitude < 1e-4 || magnitude >= 1e6 ? value.toExponential(2) : value.toFixed(decimals);
  return text.replaceAll("-", "−").replace("e+", "e");
}
