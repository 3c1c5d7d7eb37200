// Photos: chosen, dropped or pasted; read one after another; shown with squares and bars; kept as CSV and PNG.

import { complain, find, make, plural, say } from "./dom.js";
import { drawBoxes, faceCard, inWords } from "./drawing.js";
import { classesOf, named } from "./expressions.js";
import { download, downloadCsv, faceCells, faceHead, stem } from "./files.js";
import { Refused, request } from "./service.js";

const section = find("photos");
const list = find("photo-list");
const photos = [];
let least = 0;
let largest = Infinity; // bytes of a request
let running = false;

class Photo {
  constructor(file, name) {
    this.file = file;
    this.name = name;
    this.url = URL.createObjectURL(file);
    this.answer = null;
    this.state = "waiting"; // then reading, then done or failed
    this.giveUp = new AbortController();
    this._build();
  }

  _build() {
    this.image = make("img", { src: this.url, alt: `${this.name}: not read yet`, decoding: "async" });
    this.layer = make("div", { class: "boxes", "aria-hidden": "true" });
    this.frame = make("div", { class: "frame" }, this.image, this.layer);
    this.image.addEventListener("error", () => {
      if (!this.url) return;
      this.image.remove();
      this.layer.remove();
      this.frame.append(make("p", { class: "none" }, "This browser cannot show this file."));
    });
    this.resized = new ResizeObserver(() => this._draw());
    this.resized.observe(this.layer);
    this.note = make("p", { class: "state quiet" }, "Waiting for its turn.");
    this.faces = make("div", { class: "faces" });
    this.png = make("button", { type: "button", class: "plain", disabled: true, click: () => this.savePng() }, "Annotated PNG");
    this.again = make("button", { type: "button", class: "plain", hidden: true, click: () => this.retry() }, "Try again");
    const remove = make("button", { type: "button", class: "plain", click: () => removePhoto(this) }, "Remove");
    for (const button of [this.png, this.again, remove]) button.setAttribute("aria-label", `${button.textContent}: ${this.name}`);
    this.title = make("h3", { tabindex: "-1" }, this.name);
    this.element = make("li", { class: "card photo" },
      make("div", { class: "photo-head" }, this.title, make("div", { class: "buttons" }, this.again, this.png, remove)),
      make("div", { class: "photo-body" }, this.frame, make("div", { class: "side" }, this.note, this.faces)));
  }

  async read() {
    this.state = "reading";
    this._note("Reading …", "busy");
    try {
      if (this.file.size > largest) throw new Refused(413, tooLarge(this.file.size));
      const answer = await request(`v1/recognize?min_confidence=${least}`, {
        form: await this._form(),
        signal: this.giveUp.signal,
        waiting: (seconds) => this._note(`The server is busy. Trying again in ${plural(seconds, "second")}.`, "busy"),
      });
      [this.answer] = (await answer.json()).images;
      this.state = "done";
      this.png.disabled = false;
      this.cards = this.answer.faces.map((_, index) => faceCard(this._titles()[index] ? `Face ${index + 1}` : "Face"));
      this.faces.replaceChildren(...this.cards.map((card) => card.element));
      this.show();
      this._pairUp();
    } catch (error) {
      if (error.name === "AbortError") return;
      this.state = "failed";
      this._note(error instanceof Refused ? error.message : unexpected(error), "bad");
      this.image.alt = `${this.name}: could not be read`;
      this.again.hidden = [413, 415, 422].includes(error.status); // the same file would be refused again
      this.png.hidden = true;
    }
  }

  retry() {
    this.again.hidden = true;
    this.png.hidden = false;
    this.state = "waiting";
    this._note("Waiting for its turn.");
    this.title.focus();
    run();
  }

  show() {
    if (!this.answer) return;
    const { faces } = this.answer;
    this._draw();
    this.cards.forEach((card, index) => card.update(faces[index], least));
    this.image.alt = `${this.name}: ${inWords(faces, least)}`;
    this._note(faces.length ? "" : "No face found. It has to look about this way, upright, and be some 30 pixels large or more.");
  }

  get words() {
    const words = this.state === "done" ? inWords(this.answer.faces, least) : this.note.textContent;
    return words.startsWith(this.name) ? words : `${this.name}: ${words}`;
  }

  rows(classes) {
    return this.answer.faces.map((face) => {
      const { name, confidence } = named(face, least);
      return [this.name, ...faceCells(face, name, confidence, classes)];
    });
  }

  async savePng() {
    if (this.drawing) return; // not disabled meanwhile: that would take the focus from a keyboard
    this.drawing = true;
    this._note("Drawing …", "busy");
    try {
      const answer = await request(`v1/recognize/annotated?min_confidence=${least}`, {
        form: await this._form(),
        signal: this.giveUp.signal,
        waiting: (seconds) => this._note(`The server is busy. Trying again in ${plural(seconds, "second")}.`, "busy"),
      });
      download(await answer.blob(), `${stem(this.name)}-annotated.png`);
      this.show();
      say("Annotated picture downloaded.");
    } catch (error) {
      if (error.name === "AbortError") return;
      this._note(error instanceof Refused ? error.message : unexpected(error), "bad");
      say(this.note.textContent);
    } finally {
      this.drawing = false;
    }
  }

  letGo() {
    this.giveUp.abort();
    this.resized.disconnect();
    const { url } = this;
    this.url = "";
    URL.revokeObjectURL(url);
    this.element.remove();
  }

  _draw() {
    if (!this.answer) return;
    const { naturalWidth: wide, naturalHeight: high } = this.image;
    this.layer.hidden = (wide - high) * (this.answer.width - this.answer.height) < 0; // this browser shows it lying: WebP with EXIF
    drawBoxes(this.layer, this.answer, least, { titles: this._titles() });
  }

  async _form() {
    let content;
    try {
      content = await this.file.arrayBuffer(); // a request that finds no file fails as one does whose server is gone
    } catch {
      throw new Refused(0, "This browser cannot open the file: it is a folder, or was moved or changed after it was chosen. Add it again.");
    }
    const form = new FormData();
    form.append("images", new Blob([content], { type: this.file.type }), this.name);
    return form;
  }

  _note(text, kind = "") {
    this.note.className = kind === "bad" ? "state notice bad" : "state quiet";
    this.note.replaceChildren(...(kind === "busy" ? [make("span", { class: "spinner", "aria-hidden": "true" })] : []), text);
  }

  _titles() {
    return this.answer.faces.length > 1 ? this.answer.faces.map((_, index) => String(index + 1)) : [];
  }

  /** Pointing at a card makes its square stand out, and the other way round. */
  _pairUp() {
    if (this.cards.length < 2) return;
    this.cards.forEach(({ element }, index) => {
      const both = (strong) => {
        element.classList.toggle("strong", strong);
        this.layer.children[index]?.classList.toggle("strong", strong);
      };
      for (const each of [element, this.layer.children[index]]) {
        each.addEventListener("pointerenter", () => both(true));
        each.addEventListener("pointerleave", () => both(false));
      }
    });
  }
}

const tooLarge = (size) => `Expected a file of at most ${megabytes(largest)}, got ${megabytes(size)}.`;
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
const unexpected = (error) => `Something went wrong in this page (${error.message}). Reload it and try again.`;

/** Takes files and reads them when their turn comes. */
export function addPhotos(files, pasted = false) {
  if (!files.length) return;
  complain("");
  const before = photos.length;
  for (const file of files) {
    const photo = new Photo(file, pasted ? pastedName(file) : file.name);
    photos.push(photo);
    list.append(photo.element);
  }
  section.hidden = false;
  (before ? photos[before].element : section).scrollIntoView({ block: "start" });
  run();
}

let pastes = 0;
function pastedName(file) {
  if (file.name && !/^image\.\w+$/.test(file.name)) return file.name;
  pastes += 1;
  return `pasted-${pastes}.${file.type.split("/")[1] ?? "png"}`;
}

async function run() {
  if (running) return;
  running = true;
  for (let photo = next(); photo; photo = next()) {
    progress();
    await photo.read();
    const place = photos.indexOf(photo) + 1;
    if (place) say(`Photo ${place} of ${photos.length}. ${photo.words}`);
  }
  running = false;
  progress();
}

const next = () => photos.find((photo) => photo.state === "waiting");

function progress() {
  const done = photos.filter((photo) => photo.state === "done");
  const failed = photos.filter((photo) => photo.state === "failed").length;
  const faces = done.reduce((sum, photo) => sum + photo.answer.faces.length, 0);
  const left = photos.length - done.length - failed;
  const parts = left ? [`${done.length + failed} of ${photos.length} read`] : [plural(photos.length, "photo"), plural(faces, "face")];
  if (failed) parts.push(`${failed} could not be read`);
  find("photos-progress").textContent = parts.join(", ");
  find("photos-csv").disabled = !faces;
  section.hidden = !photos.length;
}

function removePhoto(photo) {
  const place = photos.indexOf(photo);
  photos.splice(place, 1);
  photo.letGo();
  progress();
  say(`${photo.name} removed.`);
  (photos[Math.min(place, photos.length - 1)]?.title ?? find("choose")).focus();
}

function removeAll() {
  for (const photo of photos.splice(0)) photo.letGo();
  progress();
  complain("");
  say("All photos removed.");
  find("choose").focus();
}

function saveCsv() {
  const done = photos.filter((photo) => photo.answer);
  const classes = [...new Set(done.flatMap((photo) => photo.answer.faces.flatMap(classesOf)))];
  downloadCsv([["file", ...faceHead(classes)], ...done.flatMap((photo) => photo.rows(classes))], "ferkit-photos.csv");
  say("CSV downloaded.");
}

/** From here on answers below `value` are uncertain; those on the page too. */
export function setLeast(value) {
  least = value;
  for (const photo of photos) photo.show();
}

export function setLargest(bytes) {
  largest = bytes;
}

/** Connects the ways in: button, drop, paste. */
export function startPhotos() {
  const input = find("files");
  const zone = find("drop");
  find("choose").addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    addPhotos([...input.files]);
    input.value = ""; // so that the same file can be chosen again
  });
  find("photos-csv").addEventListener("click", saveCsv);
  find("photos-clear").addEventListener("click", removeAll);

  const holdsFiles = (event) => event.dataTransfer?.types.includes("Files");
  let depth = 0; // of elements that the pointer has entered and not left
  const over = (entered) => {
    depth = entered === 0 ? 0 : Math.max(0, depth + entered);
    zone.classList.toggle("over", depth > 0);
  };
  addEventListener("dragenter", (event) => { if (holdsFiles(event)) over(1); });
  addEventListener("dragleave", (event) => { if (holdsFiles(event)) over(-1); });
  addEventListener("dragover", (event) => { // anywhere: a photo dropped beside the box must not replace the page
    if (!holdsFiles(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
  });
  addEventListener("drop", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    over(0);
    addPhotos([...event.dataTransfer.files]);
  });
  addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length) {
      event.preventDefault();
      addPhotos(files, true);
    } else if (!event.target.closest?.("input")) {
      complain("There is no picture in what was pasted. Copy a picture, not its address, and paste again.");
    }
  });
}
