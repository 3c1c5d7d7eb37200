// Squares over a picture, and a card with bars for each face.

import { make } from "./dom.js";
import { classesOf, named, paint, percent } from "./expressions.js";

/**
 * Lays squares over a picture, as elements, so that they stay sharp and follow its size.
 *
 * @param {HTMLElement} layer lies exactly over the picture
 * @param {object} answer `width`, `height` and `faces` of the picture
 * @param {number} least confidence below which a face is uncertain
 * @param {object} options `titles` before each label; `mirrored` where the picture is shown as in a mirror
 */
export function drawBoxes(layer, { width, height, faces }, least, { titles = [], mirrored = false } = {}) {
  while (layer.children.length > faces.length) layer.lastChild.remove();
  const scale = layer.clientWidth / width || 1; // pixels of the page for one of the picture
  const crowded = faces.some((a) => faces.some((b) => // labels would cover each other
    a !== b && Math.abs(a.box.x - b.box.x) * scale < 120 && Math.abs(a.box.y - b.box.y) * scale < 30));
  faces.forEach((face, index) => {
    const element = layer.children[index] ?? layer.appendChild(make("div", { class: "box" }, make("span")));
    const { x, y, size, angle } = face.box;
    const turn = mirrored ? -angle : angle;
    const left = mirrored ? width - x - size : x;
    const { name, confidence } = named(face, least);
    element.style.left = `${(100 * left) / width}%`;
    element.style.top = `${(100 * y) / height}%`;
    element.style.width = `${(100 * size) / width}%`;
    element.style.height = `${(100 * size) / height}%`;
    element.style.setProperty("--turn", `${turn}deg`);
    element.classList.toggle("low", y * scale < 30);
    element.classList.toggle("right", left > (turn < 0 ? 0.3 : 0.6) * width);
    element.firstChild.textContent = (crowded && titles[index] ? [titles[index]] : [titles[index], name, percent(confidence)]).filter(Boolean).join(" ");
    paint(element, name, classesOf(face));
  });
}

/** A card for one face; `update(face, least)` changes it in place, so that a reader keeps its place. */
export function faceCard(title) {
  const expression = make("strong");
  const confidence = make("span");
  const bars = make("ul", { class: "bars" });
  const element = make("article", { class: "face", "aria-label": title },
    make("div", { class: "face-head" }, make("h4", {}, title), expression, confidence), bars);

  function update(face, least) {
    const { name, likeliest, confidence: value } = named(face, least);
    expression.textContent = name;
    confidence.textContent = percent(value);
    const classes = classesOf(face);
    while (bars.children.length > classes.length) bars.lastChild.remove();
    classes.forEach((each, index) => {
      const row = bars.children[index] ?? bars.appendChild(bar());
      const [label, track, number] = row.children;
      label.textContent = each;
      number.textContent = percent(face.probabilities[each]);
      track.firstChild.style.width = `${100 * face.probabilities[each]}%`;
      paint(track.firstChild, each, classes);
      row.classList.toggle("first", each === likeliest);
    });
  }

  return { element, update };
}

const bar = () => make("li", {}, make("span"),
  make("div", { class: "track", "aria-hidden": "true" }, make("div", { class: "fill" })), make("span", { class: "percent" }));

/** Faces in words: "2 faces: happy 91 %, uncertain". */
export function inWords(faces, least) {
  if (!faces.length) return "no face found";
  const each = faces.map((face) => {
    const { name, confidence } = named(face, least);
    return `${name} ${percent(confidence)}`;
  });
  return `${faces.length === 1 ? "1 face" : `${faces.length} faces`}: ${each.join(", ")}`;
}
