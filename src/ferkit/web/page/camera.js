// The camera: asked for, sent frame by frame over a WebSocket, shown live, and let go at once when stopped.
// One frame is under way at a time, so nothing queues up however slow the server or the line is.

import { complain, find, make, plural, say } from "./dom.js";
import { drawBoxes, faceCard } from "./drawing.js";
import { UNCERTAIN, classesOf, named } from "./expressions.js";
import { downloadCsv, faceCells, faceHead } from "./files.js";
import { askForKey, currentKey, refusalNow } from "./service.js";
import { Timeline } from "./timeline.js";

const WIDTH = 640; // of a frame that is sent
const QUALITY = 0.8;
const PACE = 66; // milliseconds between frames at least
const PATIENCE = 10_000; // milliseconds for an answer
const SURE = 3; // times a face is seen before it is shown; false alarms seldom come that far
const MOST_ROWS = 100_000;
const CONNECTS = 5; // times in a row that a broken stream is opened again

const video = find("video");
const timeline = new Timeline(find("timeline"), find("legend"), find("timeline-text"));
const canvas = document.createElement("canvas");
const cards = new Map();

let least = 0;
let session = null; // the camera that runs, or null
let asked = 0; // times that a camera was asked for or stopped; only the last one counts
let rows = []; // [seconds, track, ...] of everything since the start
let unkept = 0; // rows before them
let classes = [];

export function setLeast(value) {
  least = value;
  timeline.least = value;
  for (const { face, update } of cards.values()) update(face, least);
}

export function setClasses(names) {
  classes = names;
  timeline.setClasses([...names, UNCERTAIN]);
}

/** Connects the buttons. */
export function startCamera() {
  find("camera-start").addEventListener("click", () => open());
  find("camera-stop").addEventListener("click", () => stop("Camera stopped. It is switched off."));
  find("camera-csv").addEventListener("click", saveCsv);
  find("camera-clear").addEventListener("click", close);
  find("device").addEventListener("change", (event) => open(event.target.value));
  addEventListener("pagehide", () => stop());
  document.addEventListener("visibilitychange", () => {
    if (!session) return;
    if (document.hidden) state("Paused while this tab is hidden.");
    else session.wake();
  });
}

async function open(device) {
  complain("");
  const button = find("camera-start");
  if (!navigator.mediaDevices?.getUserMedia) {
    complain("Browsers give the camera only to pages on https or on localhost. Open this page at such an address, or choose photos instead.");
    return;
  }
  const had = document.activeElement === button;
  button.disabled = true;
  const mine = (asked += 1);
  session?.end();
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({
      audio: false,
      video: { width: { ideal: WIDTH }, height: { ideal: 480 }, ...(device ? { deviceId: { exact: device } } : { facingMode: "user" }) },
    });
  } catch (error) {
    if (mine !== asked) return;
    if (session) stop();
    complain(refusal(error));
    return;
  } finally {
    button.disabled = session !== null;
    if (had && !button.disabled && document.activeElement === document.body) button.focus({ preventScroll: true });
  }
  if (mine === asked) begin(stream);
  else for (const track of stream.getTracks()) track.stop(); // stopped, or another one chosen, while the browser asked
}

function refusal(error) {
  switch (error.name) {
    case "NotAllowedError":
    case "SecurityError":
      return "The camera was not allowed. Allow it for this address in the browser’s settings, beside the address bar, then start it again; or choose photos instead.";
    case "NotFoundError":
    case "OverconstrainedError":
      return "No camera was found. Connect one and start again, or choose photos instead.";
    case "NotReadableError":
    case "AbortError":
      return "The camera does not answer; another program may be using it. Close that one, then start again.";
    default:
      return `The camera could not be started (${error.message}). Start it again, or choose photos instead.`;
  }
}

async function begin(stream) {
  const changed = session !== null; // from one device to another
  if (!changed || !rows.length) forget();
  video.srcObject = stream;
  const [track] = stream.getVideoTracks();
  const mirrored = track.getSettings().facingMode !== "environment";
  find("camera-frame").classList.toggle("mirrored", mirrored);
  find("camera").hidden = false;
  find("camera-frame").hidden = false;
  find("camera-start").disabled = true;
  find("camera-stop").hidden = false;
  find("camera-clear").hidden = true;
  session = new Session(stream, mirrored);
  const mine = session;
  track.addEventListener("ended", () => { if (session === mine) stop("The camera was taken away. Connect it and start again."); });
  listDevices(track.getSettings().deviceId);
  if (!changed) {
    find("camera").scrollIntoView({ block: "start" });
    find("camera-stop").focus();
  }
  say("Camera started.");
  try {
    await video.play();
  } catch { /* stopped again before it began */ }
  if (session === mine) mine.connect();
}

async function listDevices(current) {
  const devices = (await navigator.mediaDevices.enumerateDevices()).filter((each) => each.kind === "videoinput" && each.deviceId);
  find("device-label").hidden = devices.length < 2 || !session;
  find("device").replaceChildren(...devices.map((each, index) =>
    make("option", { value: each.deviceId, selected: each.deviceId === current }, each.label || `Camera ${index + 1}`)));
}

function stop(sentence = "") {
  asked += 1;
  if (!session) return;
  session.end();
  session = null;
  video.srcObject = null;
  const had = [find("camera-stop"), find("device")].includes(document.activeElement); // they are hidden now
  find("camera-boxes").replaceChildren();
  find("camera-frame").hidden = true;
  find("camera-stop").hidden = true;
  find("camera-clear").hidden = false;
  find("device-label").hidden = true;
  find("camera-start").disabled = false;
  if (had) find("camera-start").focus({ preventScroll: true });
  state(sentence);
  timeline.describe();
  timeline.draw();
  if (sentence) say(sentence);
}

function close() {
  find("camera").hidden = true;
  forget();
  find("camera-start").focus();
}

function forget() {
  rows = [];
  unkept = 0;
  timeline.clear();
  timeline.least = least;
  timeline.setClasses([...classes, UNCERTAIN]);
  timeline.describe();
  cards.clear();
  find("camera-faces").replaceChildren();
  find("camera-csv").disabled = true;
}

function state(text) {
  find("camera-state").textContent = text;
}

/** One camera from start to stop: its stream, its socket, and what is under way. */
class Session {
  constructor(stream, mirrored) {
    this.stream = stream;
    this.mirrored = mirrored;
    this.began = performance.now();
    this.offset = rows.length ? rows.at(-1).seconds : 0; // of another device before this one
    this.tracks = rows.reduce((most, row) => Math.max(most, row.track), 0);
    this.ended = false;
    this.broken = 0;
    this.answers = [];
    this.told = { text: "", at: 0, since: 0, candidate: "" };
    this.described = 0;
  }

  get clock() {
    return this.offset + (performance.now() - this.began) / 1000;
  }

  connect() {
    if (this.ended) return;
    state("Connecting …");
    this.base = null; // this page's time of the stream's second 0
    this.tracksBefore = this.tracks;
    this.waiting = 0;
    this.opened = false;
    const stream = new URL(`v1/stream?min_confidence=${least}`, document.baseURI);
    stream.protocol = stream.protocol.replace("http", "ws");
    const socket = new WebSocket(stream);
    this.socket = socket;
    socket.addEventListener("open", () => {
      this.opened = true;
      if (currentKey()) socket.send(JSON.stringify({ api_key: currentKey() }));
      this.wake();
    });
    socket.addEventListener("message", (event) => { if (this.socket === socket && !this.ended) this.hear(JSON.parse(event.data)); });
    socket.addEventListener("close", (event) => { if (this.socket === socket && !this.ended) this.lost(event); }, { once: true });
  }

  /** Sends a frame unless one is under way; answers call it again. */
  wake() {
    clearTimeout(this.timer);
    if (this.ended || document.hidden || this.waiting || !this.socket) return;
    if (this.socket.readyState >= WebSocket.CLOSING && !this.reconnecting) {
      this.connect();
      return;
    }
    const rest = PACE - (performance.now() - (this.sent ?? 0));
    this.timer = setTimeout(() => this.send(), Math.max(0, rest));
  }

  async send() {
    if (this.ended || this.waiting || document.hidden || this.socket.readyState !== WebSocket.OPEN) return;
    if (video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA || !video.videoWidth) {
      this.timer = setTimeout(() => this.send(), 100);
      return;
    }
    this.waiting = this.sent = performance.now();
    this.base ??= this.clock;
    canvas.width = Math.min(WIDTH, video.videoWidth);
    canvas.height = Math.round((canvas.width * video.videoHeight) / video.videoWidth);
    canvas.getContext("2d", { alpha: false }).drawImage(video, 0, 0, canvas.width, canvas.height);
    const { socket } = this;
    const frame = await new Promise((resolve) => { canvas.toBlob(resolve, "image/jpeg", QUALITY); });
    if (this.ended || this.socket !== socket || socket.readyState !== WebSocket.OPEN || !frame) {
      this.waiting = 0;
      return;
    }
    socket.send(frame);
    clearTimeout(this.watch);
    this.watch = setTimeout(() => {
      socket.close();
      socket.dispatchEvent(new CloseEvent("close", { code: 1006 })); // on a dead line the browser waits a minute to say so
    }, PATIENCE);
  }

  hear(message) {
    clearTimeout(this.watch);
    this.waiting = 0;
    if (message.type === "reading") {
      this.broken = 0;
      this.show(message);
      this.wake();
    } else if (message.code === "unauthorized") {
      this.why = message.error;
    } else {
      state(message.error);
      this.timer = setTimeout(() => this.wake(), 500);
    }
  }

  show(message) {
    const seconds = this.base + message.seconds;
    const faces = message.faces.map((face) => ({ ...face, track: face.track + this.tracksBefore }));
    this.tracks = faces.reduce((most, face) => Math.max(most, face.track), this.tracks);
    const shown = faces.filter((face) => face.looks >= SURE);
    drawBoxes(find("camera-boxes"), { ...message, faces: shown }, least, {
      titles: shown.length > 1 ? shown.map((face) => String(face.track)) : [], mirrored: this.mirrored,
    });
    showCards(shown);
    timeline.add(seconds, shown);
    for (const face of faces) rows.push({ seconds, track: face.track, face });
    if (rows.length > MOST_ROWS) unkept += rows.splice(0, rows.length - MOST_ROWS).length;
    find("camera-csv").disabled = !rows.length;
    this.report(message, shown);
  }

  /** What is said in words: often to the eye, seldom to the ear. */
  report(message, faces) {
    const now = performance.now();
    this.answers = [...this.answers.filter((at) => now - at < 1000), now];
    if (now - this.described < 500) return;
    this.described = now;
    timeline.describe();
    const first = faces.length ? "" : "No face in sight. ";
    if (!document.hidden) state(`${first}${plural(this.answers.length, "reading")} a second, ${message.milliseconds.toFixed(0)} ms each.`);
    const largest = faces.reduce((best, face) => (best && best.box.size >= face.box.size ? best : face), null);
    const text = largest ? named(largest, least).name : "No face in sight";
    if (text !== this.told.candidate) Object.assign(this.told, { candidate: text, since: now });
    if (text !== this.told.text && now - this.told.since > 1500 && now - this.told.at > 4000) {
      Object.assign(this.told, { text, at: now });
      say(largest && faces.length > 1 ? `${plural(faces.length, "face")}, the largest: ${text}` : text);
    }
  }

  async lost({ code }) {
    clearTimeout(this.watch);
    this.waiting = 0;
    find("camera-boxes").replaceChildren();
    if (code === 4401) {
      this.reconnecting = true; // or each return to this tab would open a stream, too
      state("Waiting for the key.");
      await askForKey(this.why ?? "The API key is missing or wrong.");
      this.reconnecting = false;
      this.connect();
      return;
    }
    if (code === 1009) {
      stop();
      complain("This camera’s pictures are larger than the server takes. Choose another camera, or photos instead.");
      return;
    }
    if (document.hidden) return; // the server lets go of who sends nothing; wake() connects anew
    this.reconnecting = true;
    const refused = this.opened ? null : await refusalNow(); // browsers do not say why a stream could not begin
    if (this.ended) return;
    this.broken += 1;
    if (refused && (this.broken > CONNECTS || !refused.seconds)) {
      stop();
      complain(refused.sentence);
      return;
    }
    if (this.broken > CONNECTS) {
      stop();
      complain(code === 1013
        ? "The server reads as many cameras as it can. Start the camera again later, or choose photos instead."
        : "The connection to the server is lost. Check that it is running and that you are connected, then start the camera again.");
      return;
    }
    const seconds = refused?.seconds ?? Math.min(8, 2 ** (this.broken - 1));
    const why = refused?.sentence ?? (code === 1013 ? "The server reads as many cameras as it can." : "The connection is lost.");
    state(`${why} Trying again in ${plural(seconds, "second")}.`);
    setTimeout(() => {
      this.reconnecting = false;
      this.connect();
    }, 1000 * seconds);
  }

  end() {
    this.ended = true;
    clearTimeout(this.timer);
    clearTimeout(this.watch);
    for (const track of this.stream.getTracks()) track.stop();
    this.socket?.close(1000);
  }
}

function showCards(faces) {
  for (const [track, card] of cards) {
    if (faces.some((face) => face.track === track)) continue;
    card.element.remove();
    cards.delete(track);
  }
  for (const face of faces) {
    if (!cards.has(face.track)) {
      cards.set(face.track, faceCard(`Face ${face.track}`));
      find("camera-faces").append(cards.get(face.track).element);
    }
    const card = cards.get(face.track);
    card.face = face;
    card.update(face, least);
  }
}

function saveCsv() {
  const names = classes.length ? classes : classesOf(rows[0].face);
  const lines = rows.map(({ seconds, track, face }) => {
    const { name, confidence } = named(face, least);
    return [Number(seconds.toFixed(3)), track, ...faceCells(face, name, confidence, names)];
  });
  downloadCsv([["seconds", "track", ...faceHead(names)], ...lines], "ferkit-camera.csv");
  if (unkept) complain(`The CSV has the last ${plural(MOST_ROWS, "row")}. ${plural(unkept, "row")} before them had to go.`);
  say("CSV downloaded.");
}
