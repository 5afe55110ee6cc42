// How values become text. Nothing here makes markup; what comes from a metric is shown, never read.

/** The longest label value that is written out. */
const MAX_VALUE_LENGTH = 200;
/** What does not print, or moves the text around it: controls, formats, lone surrogates, odd spaces. */
const HIDDEN = /[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu;
const NAMED = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function escapeHidden(char) {
  const code = char.codePointAt(0);
  return NAMED[char] ?? (code < 0x10000 ? `\\u${code.toString(16).padStart(4, "0")}` : `\\U${code.toString(16).padStart(8, "0")}`);
}

/** Text in which everything can be seen; lines stay lines. */
export function shown(text) {
  return String(text).replace(HIDDEN, (char) => (char === "\n" ? char : escapeHidden(char)));
}

/** A string as PromQL writes it, cut where it is very long. */
function quoted(text) {
  const kept = text.length > MAX_VALUE_LENGTH ? text.slice(0, MAX_VALUE_LENGTH).replace(/[\uD800-\uDBFF]$/, "") : text;
  const escaped = kept.replace(/["\\]/g, "\\$&").replace(HIDDEN, escapeHidden);
  return `"${escaped}"${kept === text ? "" : `… (${count(text.length)} characters)`}`;
}

/** The pieces of a series' name: `name{`, `label="value"`, `, `, `}`. Each is isolated where it is shown. */
export function seriesPieces(metric) {
  const { __name__: name, ...labels } = metric;
  const isPlain = name === undefined || /^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(name);
  const pairs = Object.entries(labels).map(([key, value]) => `${/^[a-zA-Z_][a-zA-Z0-9_]*$/.test(key) ? key : quoted(key)}=${quoted(value)}`);
  if (!isPlain) pairs.unshift(quoted(name));
  const inner = pairs.flatMap((pair, i) => (i ? [", ", pair] : [pair]));
  const head = isPlain ? name ?? "" : "";
  return inner.length || !head ? [`${head}{`, ...inner, "}"] : [head];
}

/** 1234567 as 1,234,567. */
export const count = (n) => Number(n).toLocaleString("en");

/** A time in ms as `2026-01-02 03:04:05`, UTC. */
export function time(ms) {
  if (ms === null || ms === undefined) return "–";
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? `${ms} ms` : date.toISOString().replace("T", " ").replace(/\.\d+Z$/, "");
}

const SPANS = [["d", 86400000], ["h", 3600000], ["m", 60000], ["s", 1000], ["ms", 1]];

/** A span in ms by its two largest units: `2h`, `1d 4h`. */
export function span(ms) {
  const first = SPANS.findIndex(([, size]) => ms >= size);
  if (first < 0) return "0s";
  let rest = ms;
  const parts = SPANS.slice(first, first + (first < 3 ? 2 : 1)).map(([unit, size]) => {
    const whole = Math.floor(rest / size);
    rest -= whole * size;
    return whole ? `${whole}${unit}` : "";
  });
  return parts.filter(Boolean).join(" ");
}

/** A size in bytes: `1.5 MiB`. */
export function bytes(n) {
  const power = n < 1024 ? 0 : Math.min(4, Math.floor(Math.log2(n) / 10));
  const scaled = n / 1024 ** power;
  return `${power ? scaled.toFixed(scaled < 10 ? 1 : 0) : scaled} ${["B", "KiB", "MiB", "GiB", "TiB"][power]}`;
}

const PREFIXES = [[1e18, "E"], [1e15, "P"], [1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""], [1e-3, "m"], [1e-6, "µ"], [1e-9, "n"]];

/** The labels of an axis whose ticks are `step` apart. */
export function axisTexts(ticks, step) {
  const largest = Math.max(...ticks.map(Math.abs));
  const [scale, prefix] = largest >= 0.01 && largest < 1 ? [1, ""] : PREFIXES.find(([size]) => largest >= size) ?? [1, ""];
  const decimals = Math.max(0, Math.ceil(-Math.log10(step / scale) - 1e-9));
  const isFar = decimals > 6 || largest >= 1e21;
  return ticks.map((tick) => (tick === 0 ? "0" : isFar ? tick.toPrecision(6).replace(/\.?0+(e|$)/, "$1") : `${(tick / scale).toFixed(decimals)}${prefix}`));
}
