// The query box: asks for a range, draws it, lists its series with their values.

import { Graph, drawn, lineClass } from "./graph.js";
import { count, seriesPieces, shown, span, time } from "./text.js";

const MAX_LINES = 50;
const STEPS = 240;
const byId = (id) => document.getElementById(id);

let graph, running = null, lines = [], asked = { start: 0, step: 1 };
/** The last query, and whether it is worth asking again. */
let lastQuery = "", canRefresh = true;

function say(text, isBad) {
  const message = byId("query-message");
  if (message.textContent !== text) message.textContent = text;
  message.classList.toggle("bad", Boolean(isBad));
}

function clear() {
  lines = [];
  byId("legend").replaceChildren();
  graph.show([], 0, 1, 1);
}

/** Runs what is in the box. A newer query ends an older one. */
async function run() {
  running?.abort();
  const own = (running = new AbortController());
  const range = Number(byId("range").value), step = Math.max(1, Math.round(range / STEPS));
  const end = Math.floor(Date.now() / 1000), start = end - Math.floor(range / step) * step;
  lastQuery = byId("query").value;
  const body = new URLSearchParams({ query: lastQuery, start, end, step, limit: MAX_LINES + 1 });
  const began = performance.now();
  try {
    const response = await fetch("api/v1/query_range", { method: "POST", body, signal: own.signal });
    const answer = parsed(await response.text(), response.status);
    canRefresh = response.ok || response.status >= 500;
    if (answer.status === "success") return showAnswer(answer, { start, end, step }, performance.now() - began);
    clear();
    say(`${shown(answer.errorType)}: ${shown(answer.error)}`, true);
  } catch (error) {
    if (own.signal.aborted) return;
    canRefresh = true;
    say(`The server does not answer: ${shown(error.message)}`, true);
  } finally {
    if (running === own) running = null;
  }
}

/** What a proxy in between says is no JSON. */
function parsed(text, status) {
  try {
    return JSON.parse(text);
  } catch {
    return { errorType: `status ${status}`, error: text.slice(0, 500) };
  }
}

function showAnswer(answer, times, tookMs) {
  const result = answer.data.resultType === "matrix" ? answer.data.result : [];
  const numbers = (values) => (values ?? []).map(([t, text]) => [t, Number(text.replace("Inf", "Infinity")), text]);
  asked = times;
  lines = result.slice(0, MAX_LINES).map((s) => ({ metric: s.metric, points: numbers(s.values), isHistogram: Boolean(s.histograms) }));
  graph.show(lines, times.start, times.end, times.step);
  byId("legend").replaceChildren(...lines.map(legendItem));
  showMoment(null);
  say(summary(result, answer, times, tookMs), false);
}

function summary(result, answer, times, tookMs) {
  if (!result.length) return "No data in this range.";
  const many = result.length > MAX_LINES;
  const parts = [`${many ? `more than ${MAX_LINES}` : count(result.length)} series, a point every ${span(times.step * 1000)}, in ${count(Math.ceil(tookMs))} ms.`];
  if (many) parts.push(`The first ${MAX_LINES} are drawn: aggregate with sum by or topk.`);
  if (lines.some((s) => s.isHistogram)) parts.push("Native histograms are not drawn: use histogram_quantile or histogram_count.");
  const notes = (answer.warnings ?? []).filter((note) => !note.includes("truncated due to limit"));
  return [...parts, ...notes.map((note) => `Warning: ${shown(note)}.`)].join(" ");
}

/** A series of the legend. Every piece of its name is isolated, so that text from right to left stays in its place. */
function legendItem(series, i) {
  const item = document.createElement("li"), name = document.createElement("span"), value = document.createElement("span");
  const mark = drawn("svg", { class: "mark", viewBox: "0 0 18 8", "aria-hidden": "true" });
  mark.append(drawn("path", { class: `line ${lineClass(i)}`, d: "M0,4L18,4" }));
  name.className = "series";
  for (const piece of seriesPieces(series.metric)) name.append(Object.assign(document.createElement("bdi"), { textContent: piece }));
  value.className = "value";
  item.append(mark, name, value);
  return item;
}

/** Writes the values of a step, or the newest ones, into the legend. */
function showMoment(moment) {
  const at = moment === null ? null : asked.start + moment * asked.step;
  byId("moment").textContent = !lines.length ? "" : at === null ? "Newest values:" : `At ${time(at * 1000)} UTC:`;
  [...byId("legend").children].forEach((item, i) => {
    const { points, isHistogram } = lines[i];
    const point = at === null ? points[points.length - 1] : points.find(([t]) => t === at);
    item.lastChild.textContent = point ? point[2] : isHistogram ? "histogram" : "–";
  });
}

function readAddress() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  if (wanted.has("query")) byId("query").value = wanted.get("query");
  if ([...byId("range").options].some((o) => o.value === wanted.get("range"))) byId("range").value = wanted.get("range");
}

function submit(event) {
  event.preventDefault();
  history.replaceState(null, "", `#${new URLSearchParams({ query: byId("query").value, range: byId("range").value })}`);
  say("Asking…", false);
  run();
}

/** Asks again, unless there is an answer to come, an error to read, a moment looked at, or a query being typed. */
function refresh() {
  if (canRefresh && !running && graph.moment === null && byId("query").value === lastQuery) run();
}

/** Starts the query box with what the address asks for; gives what asks again. */
export function startQueries() {
  graph = new Graph(byId("graph"), showMoment);
  byId("query-form").addEventListener("submit", submit);
  byId("range").addEventListener("change", () => byId("query-form").requestSubmit());
  addEventListener("hashchange", () => { readAddress(); run(); });
  readAddress();
  run();
  return refresh;
}
