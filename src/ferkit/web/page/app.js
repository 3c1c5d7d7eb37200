// The page of `ferkit serve`: wires the parts together. No build step, nothing from elsewhere.

import * as camera from "./camera.js";
import { find, make, plural } from "./dom.js";
import * as photos from "./photos.js";
import { showModel } from "./model.js";
import { request } from "./service.js";

const NUMBERS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];

function startConfidence() {
  const slider = find("confidence");
  const update = (least) => {
    find("confidence-value").textContent = `${slider.value} %`;
    slider.setAttribute("aria-valuetext", `${slider.value} percent`);
    photos.setLeast(least);
    camera.setLeast(least);
  };
  slider.addEventListener("input", () => { slider.dataset.chosen = "yes"; update(slider.value / 100); });
  update(0);
  return (least) => { // the service's own, unless a person has chosen already
    if (slider.dataset.chosen) return;
    slider.value = Math.round(100 * least);
    update(least); // as it is, not as the slider shows it
  };
}

async function loadModel(setLeast) {
  const place = find("model");
  try {
    const waiting = (seconds) => place.replaceChildren(`The server is busy. Trying again in ${plural(seconds, "second")}.`);
    const card = await (await request("v1/model", { waiting })).json();
    find("class-count").textContent = NUMBERS[card.classes.length] ?? card.classes.length;
    photos.setLargest((card.limits?.body_bytes ?? Infinity) - 10_000); // the form around the picture takes a little
    camera.setClasses(card.classes);
    setLeast(card.min_confidence ?? 0);
    showModel(place, card);
  } catch (error) {
    const again = make("button", { type: "button", click: () => { place.replaceChildren("Asking the server …"); loadModel(setLeast); } }, "Try again");
    place.replaceChildren(make("p", { class: "notice bad" }, error.message), make("p", {}, again));
  }
}

const setLeast = startConfidence();
photos.startPhotos();
camera.startCamera();
loadModel(setLeast);
