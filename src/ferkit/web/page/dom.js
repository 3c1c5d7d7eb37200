// Elements in few words. Text is always set as text, never as HTML.

export const find = (id) => document.getElementById(id);

/** make("li", { class: "face", hidden: true }, "text", otherElement) */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Tells a screen reader; the same sentence twice is said twice. */
export function say(sentence) {
  const status = find("status");
  status.textContent = "";
  requestAnimationFrame(() => { status.textContent = sentence; });
}

/** Shows a sentence about what went wrong, also to who has scrolled away; an empty one takes it away. */
export function complain(sentence) {
  const problem = find("problem");
  problem.textContent = sentence;
  problem.hidden = !sentence;
  if (sentence) problem.scrollIntoView({ block: "nearest" });
}

export const plural = (count, one, many = `${one}s`) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
