// The model's card in plain words.

import { make } from "./dom.js";

const CHOSEN = { standard: ["PrivateTest", "PublicTest"], report: ["PublicTest", "PrivateTest"] }; // the test first

/** Fills `place` with what the server says of its network. */
export function showModel(place, card) {
  const test = (CHOSEN[card.protocol] ?? Object.keys(card.metrics ?? {})).find((name) => card.metrics?.[name]);
  const plain = test && card.metrics[test];
  const seen = (card.views?.includes("mirror") && plain?.with_mirror) || plain; // as this server reads faces
  const voted = card.calibrated_by === "FER+ votes" ? seen?.by_votes : undefined; // what its confidence speaks of
  const all = voted ?? seen;
  const measured = all?.without_copies ?? all;
  place.replaceChildren(
    make("p", {}, intro(card)),
    ...(measured?.accuracy ? [facts(measured, voted), make("p", {}, explained(measured, test, measured !== all))] : []),
    details(card),
  );
}

function intro(card) {
  const size = card.parameters >= 1e6 ? `${(card.parameters / 1e6).toFixed(1)} million` : (card.parameters ?? 0).toLocaleString("en");
  return `The network “${card.name}” looks at each face as a grey picture of 48 × 48 pixels and gives a probability to each of `
    + `${card.classes.length} expressions: ${listed(card.classes)}. It has ${size} parameters and runs on this server’s processor.`;
}

const listed = (words) => `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;

function facts({ accuracy, interval, accuracy_at_coverage: coverage, calibration_error: error }, voted) {
  const right = voted ? "people named them most often" : "their label has it";
  const often = voted ? "the share of people who agree, over faces of like confidence" : "how often it is right";
  const items = [[hundred(accuracy), `of 100 faces are named as ${right}${interval ? ` (95 % interval: ${hundred(interval[0])} to ${hundred(interval[1])})` : ""}`]];
  if (coverage?.["60%"]) items.push([hundred(coverage["60%"]), "of 100 are right if it answers only for the 60 % it is surest of"]);
  if (error !== undefined) items.push([`± ${(100 * error).toFixed(0)} %`, `is how far its confidence is from ${often}, on average`]);
  return make("dl", { class: "facts" }, ...items.map(([value, words]) => make("div", {}, make("dt", {}, value), make("dd", {}, words))));
}

const hundred = (share) => (100 * share).toFixed(0);

const explained = ({ faces, macro_f1: f1 }, split, without) =>
  `Measured on ${faces.toLocaleString("en")} faces of FER2013’s ${split} that it has not learnt from`
  + `${without ? ", copies of learnt ones left out" : ""}; photographs of other origin are read less well.${f1 ? ` With every expression counting the same (macro F1) it reaches ${f1.toFixed(2)} of 1: rare ones are read worse.` : ""}`;

function details(card) {
  const head = ["Measured on", "Faces", "Accuracy", "95 % interval", "Macro F1", "Calibration error"];
  const rows = Object.entries(card.metrics ?? {}).flatMap(([name, all]) =>
    [[name, all], [`${name}, without copies`, all.without_copies], [`${name}, with mirror images`, all.with_mirror],
      [`${name}, with mirror images, without copies`, all.with_mirror?.without_copies],
      [`${name}, by FER+ votes`, all.by_votes], [`${name}, by FER+ votes, without copies`, all.by_votes?.without_copies],
      [`${name}, with mirror images, by FER+ votes`, all.with_mirror?.by_votes],
      [`${name}, with mirror images, by FER+ votes, without copies`, all.with_mirror?.by_votes?.without_copies]].filter(([, each]) => each?.accuracy));
  const table = make("table", {},
    make("caption", { class: "visually-hidden" }, "All measurements"),
    make("thead", {}, make("tr", {}, ...head.map((each) => make("th", { scope: "col" }, each)))),
    make("tbody", {}, ...rows.map(([name, each]) => make("tr", {}, make("th", { scope: "row" }, name),
      ...[each.faces.toLocaleString("en"), fine(each.accuracy), each.interval ? `${tenth(each.interval[0])}\u00a0to\u00a0${fine(each.interval[1])}` : "", each.macro_f1?.toFixed(3) ?? "",
        each.calibration_error === undefined ? "" : fine(each.calibration_error)].map((cell) => make("td", {}, cell))))));
  const list = [
    ["Protocol", card.protocol], ["Parameters", card.parameters?.toLocaleString("en")], ["Arithmetic", card.int8 ? "8-bit integers" : "32-bit floating point"],
    ["Each face read", read(card)], ["Temperature", card.temperature?.toFixed(3)], ["Made", card.created?.slice(0, 10)], ["SHA-256", card.sha256],
  ].filter(([, value]) => value != null);
  return make("details", {}, make("summary", {}, "All numbers"),
    ...(rows.length ? [make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "All measurements" }, table)] : []),
    make("dl", {}, ...list.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, String(value))])));
}

const read = ({ mirror, views = [] }) => ["as it is", ...(mirror || views.includes("mirror") ? ["with its mirror image"] : []),
  ...(views.includes("shifts") ? ["moved two pixels to each side"] : [])].join(", ");

const tenth = (share) => (100 * share).toFixed(1);

const fine = (share) => `${tenth(share)}\u00a0%`;
