// Which parts come together, and on which part each keypoint lies: tables, coloured by their figures.

import { get } from "./api.js";
import { $, counted, h } from "./dom.js";
import { app, on, partOf } from "./state.js";

const section = $("together");

export function begin() {
  let last = "";
  const changed = () => {
    const parts = JSON.stringify(app.parts);
    if (!section.hidden && parts !== last) show();
    last = parts;
  };
  on("parts", changed);
  on("wrong", () => !section.hidden && show());
}

export async function show() {
  const found = await get("/api/together");
  const parts = found.parts.map(partOf).filter(Boolean);
  const heads = () => parts.map((part) => columnHead(part.name, part.colour));
  section.replaceChildren(
    figure("Parts together", `Of the photos that have the part on the left, how many also have the part above; ${counted(found.looked, "photo")} looked at.`,
      [h("td"), h("th", { scope: "col", className: "total" }, "photos"), ...heads()],
      parts.map((part, row) => [rowHead(part.name, part.colour), h("td", { className: "total" }, found.present[row].toLocaleString("en")),
        ...parts.map((other, column) => row === column ? h("td", { className: "self" }) : cell(found.together[row][column], `${other.name} in photos with ${part.name}`))]),
      remark(found, parts)),
    found.keypoints.length
      ? figure("Keypoints on parts", "Of the photos that show a keypoint, how many have it on the part above. The collection brings the keypoints; the model has never seen them.",
        [h("td"), ...heads(), columnHead("none", null)],
        found.keypoints.map((name, row) => [rowHead(name, null), ...found.landing[row].slice(1).map((share, column) => cell(share, `${name} on ${parts[column].name}`)), cell(found.landing[row][0], `${name} on no part`)]),
        suggestion(found, parts))
      : "",
  );
}

function figure(title, about, head, rows, remark) {
  const table = h("table", { className: "matrix" }, h("thead", {}, h("tr", {}, head)), h("tbody", {}, rows.map((cells) => h("tr", {}, cells))));
  return h("div", { className: "figure" }, h("h2", {}, title), h("p", { className: "hint" }, about), h("div", { className: "wide", tabIndex: 0, role: "region", "aria-label": title }, table), remark ? h("p", { className: "remark" }, remark) : null);
}

const dot = (colour) => (colour ? h("i", { className: "dot", style: { "--part": colour } }) : null);
const rowHead = (name, colour) => h("th", { scope: "row" }, dot(colour), h("span", {}, name));
const columnHead = (name, colour) => h("th", { scope: "col" }, h("div", {}, dot(colour), h("span", {}, name)));

function cell(share, label) {
  if (share === null) return h("td", { title: label }, "–");
  const text = share === 0 ? "" : share > 0.995 && share < 1 ? "99" : share < 0.005 ? "<1" : String(Math.round(100 * share));
  return h("td", { style: { "--share": share }, className: share > 0.55 ? "strong" : "", title: `${label}: ${text || 0}\u202f%` }, text);
}

/** The pair that is least often together, in words. */
function remark({ together, present, looked }, parts) {
  let least = null;
  for (let i = 0; i < parts.length; i++) for (let j = 0; j < parts.length; j++)
    if (i !== j && together[i][j] !== null && present[i] && (!least || together[i][j] < least.share)) least = { share: together[i][j], i, j };
  if (!least || !looked) return "";
  if (least.share >= 0.9) return `All parts come together: even ${parts[least.j].name} is in ${Math.floor(100 * least.share)}\u202f% of the photos that have ${parts[least.i].name}.`;
  return `Least often together: ${parts[least.j].name} is in ${Math.round(100 * least.share)}\u202f% of the photos that have ${parts[least.i].name}.`;
}

/** The keypoints that mostly lie on the part of a column. */
export const landsOn = ({ landing, keypoints }, column) => keypoints.filter((_, row) => landing[row][column + 1] > 0.5);

/** What the keypoints say that the parts are. */
function suggestion({ landing, keypoints }, parts) {
  const found = parts.map((part, column) => {
    const on = landsOn({ landing, keypoints }, column);
    return on.length ? `${part.name} – ${listed(on)}` : "";
  }).filter(Boolean);
  return found.length ? `What lies on the parts: ${found.join("; ")}.` : "";
}

const listed = (names) => (names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`);

