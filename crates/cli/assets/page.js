"use strict";

const byId = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const COLOURS = ["#0b6bcb", "#d9480f", "#2b8a3e", "#9c36b5", "#c2255c", "#087f5b", "#e67700", "#5f3dc4", "#495057", "#1098ad"];
const GRAPH = { width: 960, height: 300, left: 70, right: 10, top: 10, bottom: 26 };
const MAX_LINES = 60;

const count = (n) => Number(n).toLocaleString("en");
const time = (ms) => (ms === null || ms === undefined ? "–" : new Date(ms).toISOString().replace("T", " ").slice(0, 19));

// All data go into text nodes: nothing that comes from a metric is ever markup.
function row(cells) {
  const tr = document.createElement("tr");
  for (const [text, isNumber] of cells) {
    const td = document.createElement("td");
    td.textContent = text;
    if (isNumber) td.className = "number";
    tr.append(td);
  }
  return tr;
}

function drawn(name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

async function loadStatus() {
  const status = await (await fetch("/page/status")).json();
  byId("version").textContent = status.version;
  const series = status.tenants.reduce((sum, t) => sum + t.series, 0);
  const uptime = Math.max(0, Math.round((status.now - status.started) / 1000));
  byId("summary").textContent =
    `Router, ingester, store gateway and query in one process, up ${count(uptime)} s over ${status.dataDir}. ` +
    `${count(status.tenants.length)} tenants, ${count(series)} series in heads, ${count(status.blocks.length)} blocks in the bucket.`;
  byId("tenants").replaceChildren(...status.tenants.map((t) => row([
    [t.tenant], [t.labels], [count(t.series), true], [count(t.appended), true], [count(t.localBlocks), true], [time(t.minTime)], [time(t.maxTime)],
  ])));
  byId("blocks").replaceChildren(...status.blocks.map((b) => row([
    [b.ulid], [b.labels], [count(b.series), true], [count(b.samples), true], [time(b.minTime)], [time(b.maxTime)],
  ])));
  byId("no-blocks").hidden = status.blocks.length > 0;
  byId("write-snippet").textContent = `remote_write:\n  - url: ${status.writeUrl}\n`;
  byId("grafana-snippet").textContent =
    "apiVersion: 1\ndatasources:\n  - name: Thanoxide\n    type: prometheus\n    access: proxy\n" +
    `    url: ${status.queryUrl}\n    jsonData:\n      prometheusType: Thanos\n      httpMethod: POST\n`;
}

function say(text, isBad) {
  const message = byId("query-message");
  message.textContent = text;
  message.className = isBad ? "bad" : "";
}

function labelText(metric) {
  const name = metric.__name__ ?? "";
  const rest = Object.entries(metric).filter(([key]) => key !== "__name__").map(([key, value]) => `${key}="${value}"`);
  return `${name}{${rest.join(", ")}}`;
}

async function runQuery(event) {
  event?.preventDefault();
  const end = Math.floor(Date.now() / 1000);
  const range = Number(byId("range").value);
  const step = Math.max(1, Math.round(range / 240));
  const params = new URLSearchParams({ query: byId("query").value, start: end - range, end, step });
  say("…", false);
  try {
    const answer = await (await fetch("/api/v1/query_range", { method: "POST", body: params })).json();
    if (answer.status !== "success") {
      drawGraph([], 0, 1);
      say(`${answer.errorType}: ${answer.error}`, true);
      return;
    }
    const result = answer.data.resultType === "matrix" ? answer.data.result : [];
    drawGraph(result.slice(0, MAX_LINES), end - range, end);
    const cut = result.length > MAX_LINES ? `, the first ${MAX_LINES} drawn` : "";
    say(result.length ? `${count(result.length)} series${cut}` : "No data in this range.", false);
  } catch (error) {
    say(`The server does not answer: ${error.message}`, true);
  }
}

function bounds(series) {
  let low = Infinity, high = -Infinity;
  for (const s of series) for (const [, text] of s.values ?? []) {
    const value = Number(text);
    if (Number.isFinite(value)) { low = Math.min(low, value); high = Math.max(high, value); }
  }
  if (low > high) return [0, 1];
  return low === high ? [low - 0.5, high + 0.5] : [low, high];
}

function drawGraph(series, start, end) {
  const graph = byId("graph"), [low, high] = bounds(series);
  const x = (t) => GRAPH.left + ((t - start) / (end - start)) * (GRAPH.width - GRAPH.left - GRAPH.right);
  const y = (v) => GRAPH.height - GRAPH.bottom - ((v - low) / (high - low)) * (GRAPH.height - GRAPH.top - GRAPH.bottom);
  const parts = [];
  for (let i = 0; i <= 4; i++) {
    const value = low + ((high - low) * i) / 4;
    parts.push(drawn("line", { class: "grid", x1: GRAPH.left, x2: GRAPH.width - GRAPH.right, y1: y(value), y2: y(value) }));
    parts.push(drawn("text", { x: GRAPH.left - 8, y: y(value) + 4, "text-anchor": "end" }, Number(value.toPrecision(4)).toString()));
  }
  for (let i = 0; i <= 4 && series.length; i++) {
    const t = start + ((end - start) * i) / 4;
    const text = new Date(t * 1000).toISOString().slice(11, 19);
    parts.push(drawn("text", { x: x(t), y: GRAPH.height - 8, "text-anchor": i === 0 ? "start" : i === 4 ? "end" : "middle" }, text));
  }
  series.forEach((s, i) => parts.push(drawn("path", { d: path(s.values ?? [], x, y), stroke: COLOURS[i % COLOURS.length] })));
  graph.replaceChildren(...parts);
  byId("legend").replaceChildren(...series.map((s, i) => legendItem(labelText(s.metric), COLOURS[i % COLOURS.length])));
}

function path(values, x, y) {
  let d = "", pen = false, last = 0;
  const gap = values.length > 1 ? (values[1][0] - values[0][0]) * 3 : Infinity;
  for (const [t, text] of values) {
    const value = Number(text);
    if (!Number.isFinite(value)) { pen = false; continue; }
    d += `${pen && t - last <= gap ? "L" : "M"}${x(t).toFixed(1)},${y(value).toFixed(1)}`;
    pen = true;
    last = t;
  }
  return d;
}

function legendItem(text, colour) {
  const item = document.createElement("li"), mark = drawn("svg", { viewBox: "0 0 12 12" });
  mark.append(drawn("rect", { width: 12, height: 12, fill: colour }));
  item.append(mark, text);
  return item;
}

byId("query-form").addEventListener("submit", runQuery);
loadStatus().catch((error) => { byId("summary").textContent = `The server does not answer: ${error.message}`; });
setInterval(() => loadStatus().catch(() => {}), 15000);
runQuery();
