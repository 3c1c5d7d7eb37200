// What a face is called and in which colour: as ferkit/inference/colours.py has it (Okabe and Ito, 2008).

export const UNCERTAIN = "uncertain";

const COLOURS = {
  angry: [213, 94, 0],
  disgust: [0, 158, 115],
  fear: [204, 121, 167],
  happy: [240, 228, 66],
  sad: [0, 114, 178],
  surprise: [86, 180, 233],
  neutral: [178, 178, 178],
  [UNCERTAIN]: [255, 255, 255],
};
const SPARE = [[230, 159, 0], [90, 90, 90], [120, 60, 20], [20, 60, 20]];

const own = (name) => Object.hasOwn(COLOURS, name);

function rgb(name, classes = []) {
  if (own(name)) return COLOURS[name];
  const place = classes.filter((other) => !own(other)).indexOf(name);
  return SPARE[Math.max(0, place) % SPARE.length];
}

/** The colour of an expression, for CSS and canvas. */
export const colourOf = (name, classes) => `rgb(${rgb(name, classes).join(" ")})`;

/** Sets the colour of an expression, and the ink that is legible on it, for style.css to use. */
export function paint(element, name, classes) {
  const [red, green, blue] = rgb(name, classes);
  element.style.setProperty("--c", `rgb(${red} ${green} ${blue})`);
  element.style.setProperty("--i", 0.299 * red + 0.587 * green + 0.114 * blue > 120 ? "#000" : "#fff");
}

/** A face's probabilities as [name, value], in the order of the network. */
export const classesOf = (face) => Object.keys(face.probabilities);

/** What a face is said to express where answers below `least` (0 to 1) do not count. */
export function named(face, least) {
  const [name, value] = Object.entries(face.probabilities).reduce((best, each) => (each[1] > best[1] ? each : best));
  return { name: value >= least ? name : UNCERTAIN, likeliest: name, confidence: value };
}

export const percent = (value) => `${Math.round(100 * value)} %`;
