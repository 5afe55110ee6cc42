// The graph: lines of a range query over time, an axis each way, and a cursor for pointer and arrow keys.

import { axisTexts, time } from "./text.js";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 260, TOP = 10, RIGHT = 14, BOTTOM = 24;
const COLOURS = 8;
const TIME_STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800];

/** The classes of the n-th line: a colour, and a dash once the colours are used up. */
export const lineClass = (i) => `c${i % COLOURS} d${Math.floor(i / COLOURS) % 3}`;

/** An SVG element. */
export function drawn(name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

/** Least and greatest finite value, with some air; null where there is none. */
function bounds(series) {
  let low = Infinity, high = -Infinity;
  for (const s of series) for (const [, value] of s.points) {
    if (Number.isFinite(value)) { low = Math.min(low, value); high = Math.max(high, value); }
  }
  if (low > high) return null;
  const air = low === high ? Math.abs(low) / 10 || 1 : (high / 2 - low / 2) / 10;
  return [Math.max(low - air, -Number.MAX_VALUE), Math.min(high + air, Number.MAX_VALUE)];
}

/** Round values between two bounds, and how far they are apart. */
function valueTicks(low, high) {
  const rough = (high / 2 - low / 2) / 3, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((n) => n * power >= rough) ?? 10);
  const first = Math.ceil(low / step), ticks = [];
  for (let i = 0; i < 12 && (first + i) * step <= high; i++) ticks.push((first + i) * step);
  return ticks.length && step > 0 && Number.isFinite(step) ? [ticks, step] : [[low, high], Math.abs(high / 2 - low / 2) || 1];
}

function timeTicks(start, end, most) {
  const step = TIME_STEPS_S.find((s) => (end - start) / s <= most) ?? 604800, ticks = [];
  for (let t = Math.ceil(start / step) * step; t <= end; t += step) ticks.push(t);
  const text = (t) => (step >= 86400 || t % 86400 === 0 ? time(t * 1000).slice(5, 10) : time(t * 1000).slice(11, step < 60 ? 19 : 16));
  return ticks.map((t) => [t, text(t)]);
}

export class Graph {
  /** `onMoment` is told the index of the step under the cursor, or null. */
  constructor(svg, onMoment) {
    this.svg = svg;
    this.onMoment = onMoment;
    this.data = { series: [], start: 0, end: 1, step: 1 };
    this.moment = null;
    this.cursor = drawn("line", { class: "cursor" });
    svg.addEventListener("pointermove", (event) => this.point(this.stepAt(event)));
    svg.addEventListener("pointerleave", () => this.point(null));
    svg.addEventListener("blur", () => this.point(null));
    svg.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(svg);
  }

  /** Shows series, each with `points` of [seconds, number], `step` apart. */
  show(series, start, end, step) {
    this.data = { series, start, end, step };
    this.moment = null;
    this.svg.toggleAttribute("hidden", series.length === 0);
    this.draw();
  }

  draw() {
    const { series, start, end } = this.data, width = this.svg.clientWidth || 900;
    if (width === this.drawnWidth && this.data === this.drawnData) return;
    [this.drawnWidth, this.drawnData] = [width, this.data];
    const range = bounds(series), [low, high] = range ?? [0, 1];
    const [ticks, step] = valueTicks(low, high), texts = range ? axisTexts(ticks, step) : ticks.map(() => "");
    const left = 14 + 7 * Math.max(3, ...texts.map((text) => text.length));
    const half = high / 2 - low / 2, right = width - RIGHT, bottom = HEIGHT - BOTTOM;
    this.x = (t) => left + ((t - start) / (end - start)) * (right - left);
    this.y = (v) => bottom - ((v / 2 - low / 2) / half) * (bottom - TOP);
    this.edges = [left, right];
    const parts = ticks.flatMap((tick, i) => [
      drawn("line", { class: "grid", x1: left, x2: right, y1: this.y(tick), y2: this.y(tick) }),
      drawn("text", { x: left - 8, y: this.y(tick) + 4, "text-anchor": "end" }, texts[i]),
    ]);
    for (const [t, text] of range ? timeTicks(start, end, Math.max(2, (right - left) / 90)) : []) {
      parts.push(drawn("line", { class: "tick", x1: this.x(t), x2: this.x(t), y1: bottom, y2: bottom + 4 }));
      parts.push(drawn("text", { x: this.x(t), y: HEIGHT - 6, "text-anchor": this.x(t) > right - 24 ? "end" : "middle" }, text));
    }
    series.forEach((s, i) => parts.push(...this.line(s.points, lineClass(i))));
    this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.svg.setAttribute("aria-label", range ? describe(series.length, start, end, texts) : "Empty graph");
    this.svg.replaceChildren(...parts, this.cursor);
    this.point(this.moment);
  }

  /** A line is broken where steps are missing; a point without neighbours is a dot. */
  line(points, kind) {
    const dots = [];
    let d = "", run = [];
    const endRun = () => {
      const place = ([t, value]) => `${this.x(t).toFixed(1)},${this.y(value).toFixed(1)}`;
      if (run.length > 1) d += `M${run.map(place).join("L")}`;
      if (run.length === 1) dots.push(drawn("circle", { class: `dot ${kind}`, cx: this.x(run[0][0]), cy: this.y(run[0][1]), r: 2.5 }));
      run = [];
    };
    for (const point of points) {
      if (run.length && point[0] - run[run.length - 1][0] > this.data.step * 1.5) endRun();
      if (Number.isFinite(point[1])) run.push(point); else endRun();
    }
    endRun();
    return d ? [drawn("path", { class: `line ${kind}`, d }), ...dots] : dots;
  }

  stepAt(event) {
    const { start, end, step } = this.data, [left, right] = this.edges;
    const place = (event.clientX - this.svg.getBoundingClientRect().left - left) / (right - left);
    return Math.round((Math.min(1, Math.max(0, place)) * (end - start)) / step);
  }

  key(event) {
    const last = Math.floor((this.data.end - this.data.start) / this.data.step), now = this.moment ?? last;
    const to = { ArrowLeft: Math.max(0, now - 1), ArrowRight: Math.min(last, now + 1), Home: 0, End: last, Escape: null }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.point(to);
  }

  /** Puts the cursor on a step. */
  point(moment) {
    this.moment = this.data.series.length ? moment : null;
    this.cursor.classList.toggle("off", this.moment === null);
    if (this.moment !== null) {
      const x = this.x(this.data.start + this.moment * this.data.step);
      for (const [key, value] of [["x1", x], ["x2", x], ["y1", TOP], ["y2", HEIGHT - BOTTOM]]) this.cursor.setAttribute(key, value);
    }
    this.onMoment(this.moment);
  }
}

function describe(lines, start, end, texts) {
  const values = texts.length > 1 ? `, values about ${texts[0]} to ${texts[texts.length - 1]}` : "";
  return `Graph of ${lines} series from ${time(start * 1000)} to ${time(end * 1000)} UTC${values}`;
}
