// What the camera's faces expressed over time: a ribbon for each face, and the same in words.

import { make } from "./dom.js";
import { colourOf, named, paint, percent } from "./expressions.js";

const SPAN = 30; // seconds that are drawn
const LANES = 4; // faces that are drawn, those seen last
const LANE = 44; // pixels
const TOP = 10;
const AXIS = 22;
const HELD = 0.6; // seconds after which a face counts as gone

export class Timeline {
  constructor(canvas, legend, text) {
    this.canvas = canvas;
    this.legend = legend;
    this.text = text;
    this.clear();
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  clear() {
    this.tracks = new Map(); // number to what is known of a face: its last points, drawn, and the shares of all its time, for the words
    this.seconds = 0;
    this.classes = [];
    this.least = 0;
    this.drawn = 0;
  }

  setClasses(classes) {
    this.classes = classes;
    this.legend.replaceChildren(...classes.map((name) => {
      const mark = make("i", { "aria-hidden": "true" });
      paint(mark, name, classes);
      return make("li", {}, mark, name);
    }));
  }

  add(seconds, faces) {
    this.seconds = seconds;
    for (const face of faces) {
      if (!this.tracks.has(face.track)) this.tracks.set(face.track, { points: [], shares: new Map(), seconds: 0, last: seconds, shown: 0 });
      const track = this.tracks.get(face.track);
      const { name, confidence } = named(face, this.least);
      const passed = Math.min(HELD, seconds - track.last);
      track.seconds += passed;
      track.shares.set(name, (track.shares.get(name) ?? 0) + passed);
      track.last = seconds;
      track.points.push({ seconds, name, confidence });
      while (track.points[0].seconds < seconds - SPAN - 1) track.points.shift();
    }
    if (performance.now() - this.drawn > 100) this.draw();
  }

  draw() {
    this.drawn = performance.now();
    const { canvas } = this;
    const start = Math.max(0, this.seconds - SPAN);
    const lanes = [...this.tracks].filter(([, track]) => track.last > start && track.points.length > 2).sort((a, b) => b[1].last - a[1].last || a[0] - b[0])
      .slice(0, LANES).sort((a, b) => a[0] - b[0]);
    const height = TOP + Math.max(1, lanes.length) * LANE + AXIS;
    const ratio = devicePixelRatio || 1;
    const width = canvas.clientWidth;
    if (!width) return;
    canvas.style.height = `${height + canvas.offsetHeight - canvas.clientHeight}px`; // and its borders
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const style = getComputedStyle(canvas);
    const [ink, line] = ["--quiet", "--line"].map((name) => style.getPropertyValue(name));
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = `12px ${style.fontFamily}`;
    const left = 52;
    const scale = (width - left - 22) / SPAN;
    const x = (seconds) => left + (seconds - start) * scale;
    this._axis(pen, { start, x, bottom: height - AXIS, ink, line, width });
    lanes.forEach(([number, track], place) => this._lane(pen, number, track, TOP + place * LANE, { start, x, ink, line, style }));
  }

  _axis(pen, { start, x, bottom, ink, line, width }) {
    pen.textAlign = "center";
    pen.textBaseline = "top";
    for (let seconds = Math.ceil(start / 5) * 5; seconds <= start + SPAN; seconds += 5) {
      pen.fillStyle = line;
      pen.fillRect(Math.round(x(seconds)), TOP, 1, bottom - TOP);
      pen.fillStyle = ink;
      if (x(seconds) < width - 16) pen.fillText(`${seconds} s`, x(seconds), bottom + 5);
    }
  }

  _lane(pen, number, track, top, { start, x, ink, line }) {
    const floor = top + LANE - 8;
    const tall = LANE - 12;
    pen.textAlign = "left";
    pen.textBaseline = "middle";
    pen.fillStyle = ink;
    pen.fillText(`Face ${number}`, 6, floor - tall / 2);
    const points = track.points.filter((point) => point.seconds >= start);
    points.forEach((point, index) => {
      const until = Math.min(points[index + 1]?.seconds ?? this.seconds, point.seconds + HELD);
      const [from, wide] = [x(point.seconds), x(until) - x(point.seconds)];
      const high = Math.max(3, tall * point.confidence);
      pen.fillStyle = colourOf(point.name, this.classes);
      pen.fillRect(from, floor - high, wide + 0.5, high);
      pen.fillStyle = ink; // an edge, so that pale colours are seen too
      pen.fillRect(from, floor - high - 1, wide + 0.5, 1);
    });
    pen.fillStyle = line;
    pen.fillRect(x(start), floor, x(start + SPAN) - x(start), 1);
  }

  /** The timeline in words, a sentence a face. */
  sentences() {
    const seen = [...this.tracks].filter(([, track]) => track.seconds >= 0.5);
    return seen.slice(-LANES).map(([number, track]) => {
      const shares = [...track.shares].sort((a, b) => b[1] - a[1]).map(([name, seconds]) => [name, seconds / track.seconds]);
      const words = shares.filter(([, share]) => share >= 0.05).slice(0, 3).map(([name, share]) => `${name} ${percent(share)}`);
      return `Face ${number}, seen for ${track.seconds.toFixed(0)} s: ${words.join(", ")} of the time.`;
    });
  }

  describe() {
    const sentences = this.sentences();
    const lines = sentences.length ? sentences : ["No face for half a second yet."];
    this.text.replaceChildren(...lines.map((each) => make("p", {}, each)));
    this.canvas.setAttribute("aria-label", `Timeline of the last ${SPAN} seconds, height is confidence. ${lines.join(" ")}`);
  }
}
