// The server: requests, its key, patience when it is busy, and errors as sentences that say what to do next.

import { find, say } from "./dom.js";

const TRIES = 6; // of a request that the server puts off
const LONGEST_WAIT = 60; // seconds, whatever Retry-After says

let key = "";
let asking = null;

export const currentKey = () => key;

/** A refusal or a failure; the message is for people. */
export class Refused extends Error {
  constructor(status, sentence) {
    super([sentence, next(status)].filter(Boolean).join(" "));
    this.status = status;
  }
}

function next(status) {
  if (status === 408) return "Try again, or choose a smaller photo.";
  if (status === 413) return "Choose a smaller photo, or make this one smaller.";
  if (status === 415) return "Save it as JPEG or PNG and add it again.";
  if (status === 422) return "Save it anew as JPEG or PNG, smaller if it is too large, and add it again.";
  if (status === 429 || status === 503) return "Wait a little, then try again.";
  if (status >= 500) return "Try again; if it stays like this, tell whoever runs this server.";
  return "";
}

/** Shows the form for the key and waits until there is a new one. */
export function askForKey(sentence) {
  const form = find("key-form");
  const input = find("key");
  find("key-why").textContent = sentence;
  form.hidden = false;
  asking ??= new Promise((resolve) => {
    form.addEventListener("submit", function submitted(event) {
      event.preventDefault();
      const given = input.value.trim();
      if (!/^[\x21-\x7e]+$/.test(given)) { // nothing else can stand in a header
        find("key-why").textContent = "A key has letters, digits and signs without spaces. Check it and enter it again.";
        return;
      }
      form.removeEventListener("submit", submitted);
      key = given;
      input.value = "";
      form.hidden = true;
      asking = null;
      find("choose").focus();
      say("Key taken.");
      resolve();
    });
  });
  input.focus();
  return asking;
}

/**
 * Sends a request and returns the answer, which is fine.
 *
 * @param {string} path with its query, from where this page is
 * @param {object} options `form` to post; `signal` to give up; `waiting(seconds)` is told when the server puts us off
 * @throws {Refused} with a sentence
 */
export async function request(path, { form, signal, waiting } = {}) {
  for (let attempt = 1; ; attempt += 1) {
    const used = key;
    const answer = await send(path, form, signal);
    if (answer.ok) return answer;
    const sentence = await reason(answer);
    if (answer.status === 401) {
      if (used === key) await withSignal(askForKey(sentence), signal);
      attempt = 0;
      continue;
    }
    const later = answer.headers.get("Retry-After");
    if (![429, 503].includes(answer.status) || attempt === TRIES) {
      throw new Refused(answer.status, sentence);
    }
    const seconds = wait(later);
    waiting?.(seconds);
    await pause(seconds, signal);
  }
}

/** Returns the seconds that the server wants us to wait. */
const wait = (later) => Math.min(LONGEST_WAIT, Math.max(1, Number.parseInt(later, 10) || 1));

/**
 * Returns why the server refuses us at the moment, in a `sentence`, and the `seconds` it wants us to wait, if it says so;
 * null where it does not. A key is none of it: streams ask for theirs.
 */
export async function refusalNow() {
  try {
    const answer = await send("v1/model");
    if (answer.ok || answer.status === 401 || answer.status >= 500) return null;
    const later = answer.headers.get("Retry-After");
    return { sentence: await reason(answer), seconds: later === null ? null : wait(later) };
  } catch { // it cannot be reached
    return null;
  }
}

async function send(path, form, signal) {
  try {
    return await fetch(path, { method: form ? "POST" : "GET", body: form, signal, headers: key ? { "X-API-Key": key } : {}, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "The server cannot be reached. Check that it is running and that you are connected, then try again.");
  }
}

async function reason(answer) {
  try {
    const { error } = await answer.json();
    if (typeof error === "string" && error) return error;
  } catch { /* not ours: something between here and the server has answered */ }
  return `The server answered with status ${answer.status}.`;
}

export function pause(seconds, signal) {
  return withSignal(new Promise((resolve) => { setTimeout(resolve, 1000 * seconds); }), signal);
}

function withSignal(promise, signal) {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const stop = () => reject(new DOMException("given up", "AbortError"));
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
    promise.then(resolve, reject);
  });
}
