// The page: its status, its tables, its snippets. All data go into text nodes.

import { startQueries } from "./query.js";
import { drawn } from "./graph.js";
import { bytes, count, shown, span, time } from "./text.js";

const REFRESH_MS = 15000;
const byId = (id) => document.getElementById(id);
let seenAt = null;

/** An element with a text, or with children. */
function made(tag, content, kind) {
  const element = document.createElement(tag);
  if (Array.isArray(content)) element.append(...content); else element.textContent = content;
  if (kind) element.className = kind;
  return element;
}

/** Rows under the headings of their table; the headings are repeated as the names of cells, for narrow screens. */
function fill(id, rows) {
  const body = byId(id), headings = [...body.parentElement.querySelectorAll("th[role=columnheader]")];
  body.replaceChildren(...rows.map((cells) => {
    const row = made("tr", cells.map((content, i) => {
      const cell = made(i ? "td" : "th", content, headings[i].className);
      cell.setAttribute("role", i ? "cell" : "rowheader");
      cell.dataset.label = headings[i].textContent;
      return cell;
    }));
    row.setAttribute("role", "row");
    return row;
  }));
  body.parentElement.hidden = rows.length === 0;
}

/** A name over its external labels. */
const named = (name, labels, kind) => [made("span", shown(name), kind), made("span", shown(labels), "labels")];

const moment = (ms) => [made("span", time(ms), "time")];

function showTenants({ total, rows }) {
  fill("tenants", rows.map((t) => [named(t.tenant, t.labels, "name"), count(t.series), count(t.appended), count(t.localBlocks), moment(t.minTime), moment(t.maxTime)]));
  byId("total-tenants").textContent = count(total);
  const cut = total > rows.length ? ` These are the ${count(rows.length)} of ${count(total)} tenants with the most series.` : "";
  byId("tenants-note").textContent = `Samples taken are counted from the start of the program, series are those in the head.${cut}`;
}

/** Where a block lies between the first and the last time of all that are shown. */
function bar(block, first, last) {
  const whole = Math.max(1, last - first);
  const width = Math.max(1.5, (100 * (block.maxTime - block.minTime)) / whole);
  const svg = drawn("svg", { class: "bar", "aria-hidden": "true" });
  svg.append(drawn("rect", { x: `${Math.min(100 - width, (100 * (block.minTime - first)) / whole)}%`, width: `${width}%`, height: "100%" }));
  return svg;
}

function showBlocks({ total, rows }, blockDuration) {
  const first = Math.min(...rows.map((b) => b.minTime)), last = Math.max(...rows.map((b) => b.maxTime));
  const range = (b) => [made("span", b.resolution ? `${span(b.maxTime - b.minTime)}, each ${span(b.resolution)}` : span(b.maxTime - b.minTime), "time"), bar(b, first, last)];
  fill("blocks", rows.map((b) => [
    named(b.ulid, b.labels, "ulid"), count(b.series), count(b.samples), b.bytes === null ? "–" : bytes(b.bytes), moment(b.minTime), moment(b.maxTime), range(b),
  ]));
  byId("total-blocks").textContent = count(total);
  byId("blocks-note").textContent = total === 0
    ? `None yet. A tenant's block is cut and uploaded when its head holds ${span(blockDuration * 1.5)} of samples, or has got none for ${span(blockDuration / 2)}; until then they are in the log on the local disk.`
    : total > rows.length ? `The newest ${count(rows.length)} of ${count(total)}.` : "";
}

/** An address that others can use: a listener on all interfaces is where this page came from. */
const reachable = (address) => address.replace(/^(0\.0\.0\.0|\[::\])(?=:\d+$)/, () => location.hostname);

function showParts(status) {
  const { write, query, grpc } = status.addresses, code = (text) => made("code", shown(text));
  const parts = [
    ["Router", ["takes remote write at ", code(`http://${write}/api/v1/receive`)]],
    ["Ingester", ["keeps what comes in ", code(status.dataDir), `, cuts blocks of ${span(status.blockDuration)}`]],
    ["Shipper", ["uploads blocks to the bucket ", code(status.bucket)]],
    ["Store gateway", ["serves the blocks of the bucket"]],
    ["Query", ["answers PromQL at ", code(`http://${query}/api/v1/query`)]],
    ["StoreAPI", ["gives other queriers all series over gRPC at ", code(grpc)]],
  ];
  byId("parts").replaceChildren(...parts.flatMap(([name, text]) => [made("dt", name), made("dd", text)]));
}

function showSnippets(status) {
  const write = reachable(status.addresses.write), query = reachable(status.addresses.query);
  setText("write-snippet", `remote_write:\n  - url: http://${write}/api/v1/receive\n`);
  setText("grafana-snippet", "apiVersion: 1\ndatasources:\n  - name: Thanoxide\n    type: prometheus\n    access: proxy\n" +
    `    url: http://${query}\n    jsonData:\n      httpMethod: POST\n      prometheusType: Thanos\n`);
  byId("default-tenant").textContent = shown(status.defaultTenant);
  byId("tenant-header").textContent = shown(status.tenantHeader);
}

/** Leaves a text that is the same alone, so that a selection in it stays. */
function setText(id, text) {
  if (byId(id).textContent !== text) byId(id).textContent = text;
}

async function loadStatus() {
  try {
    const answer = await fetch("page/status", { signal: AbortSignal.timeout(10000) });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    showStatus(await answer.json());
    seenAt = Date.now();
    setText("away", "");
  } catch (error) {
    const old = seenAt === null ? "" : ` What is shown is of ${time(seenAt)} UTC.`;
    setText("away", `The server does not answer (${shown(error.message)}).${old} Trying again every ${REFRESH_MS / 1000} s.`);
  }
}

function showStatus(status) {
  byId("version").textContent = status.version;
  byId("total-series").textContent = count(status.series);
  byId("uptime").textContent = span(Math.max(1000, status.now - status.started));
  showTenants(status.tenants);
  showBlocks(status.blocks, status.blockDuration);
  showParts(status);
  showSnippets(status);
}

/** Copies a snippet; without access to the clipboard (a page that is not local and not https) it is selected instead. */
async function copy(event) {
  const snippet = byId(event.currentTarget.dataset.of);
  try {
    await navigator.clipboard.writeText(snippet.textContent);
    setText("copy-message", "Copied.");
  } catch {
    getSelection().selectAllChildren(snippet);
    setText("copy-message", "Selected: copy it with the keyboard.");
  }
}

for (const button of document.querySelectorAll(".copy")) button.addEventListener("click", copy);
const refreshQuery = startQueries();
loadStatus();
setInterval(() => {
  if (document.hidden) return;
  loadStatus();
  if (byId("live").checked) refreshQuery();
}, REFRESH_MS);
