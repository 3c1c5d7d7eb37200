// Files to keep: CSV as RFC 4180 has it, and the way from a blob to the downloads.

/** Rows of values to CSV. */
export const csv = (rows) => rows.map((row) => row.map(cell).join(",") + "\r\n").join("");

function cell(value) {
  if (typeof value === "number") return String(value);
  let text = String(value);
  if (/^[=+\-@\t\r\n]/.test(text)) text = `'${text}`; // a spreadsheet would take it for a formula
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** The cells that every reading has, after those that say where it is from. */
export const faceHead = (classes) => ["x", "y", "size", "angle", "expression", "confidence", ...classes];
export const faceCells = (face, name, confidence, classes) => [
  face.box.x, face.box.y, face.box.size, face.box.angle, name, short(confidence), ...classes.map((each) => short(face.probabilities[each] ?? 0)),
];

const short = (value) => Number(value.toFixed(6));

/** Hands a blob to the browser's downloads. */
export function download(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10_000); // some browsers start late
}

export const downloadCsv = (rows, name) => download(new Blob([csv(rows)], { type: "text/csv;charset=utf-8" }), name);

/** "holiday/me.jpg" to "me". */
export const stem = (name) => name.replace(/^.*[/\\]/, "").replace(/\.[^.]*$/, "") || "picture";
