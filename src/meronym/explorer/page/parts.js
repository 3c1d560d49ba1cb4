// The list of parts beside the photos, and the sheet in which a part is named, recoloured and merged.

import { get } from "./api.js";
import { alike } from "./colours.js";
import { $, closesBeside, counted, h, icon, percent } from "./dom.js";
import { app, change, on, partOf, pointAt, toggle, toggleAll } from "./state.js";
import { landsOn } from "./together.js";

let showOnly = () => {};
const finePointer = matchMedia("(hover: hover)");

export function begin(filter) {
  showOnly = filter;
  $("all").addEventListener("click", toggleAll);
  on("parts", list);
  on("looked", list);
  closesBeside($("editor"));
  list();
}

/** Rows are renewed only where they differ, so that the keyboard's place in the list is not lost. */
function list() {
  const rows = [...$("parts").children];
  if (rows.length !== app.parts.length) $("parts").replaceChildren(...app.parts.map((_, index) => row(index)));
  [...$("parts").children].forEach((item, index) => fill(item, app.parts[index], index));
  $("all").textContent = app.parts.some((part) => !app.hidden.has(part.members[0])) ? "hide all" : "show all";
}

function row(index) {
  const lead = () => app.parts[index].members[0];
  const box = h("input", { type: "checkbox", onchange: () => toggle(lead()) });
  const name = h("span", { className: "name" });
  const pencil = h("button", { className: "quiet edit", onclick: () => edit(lead()) }, icon("edit"));
  const item = h("li", {}, h("label", {}, box, h("i", { className: "swatch" }), h("span", { className: "what" }, name, h("i", { className: "bar" }))), h("kbd", {}), pencil);
  item.addEventListener("pointerenter", () => finePointer.matches && pointAt(lead()));
  item.addEventListener("pointerleave", () => pointAt(null));
  return item;
}

function fill(item, part, index) {
  const lead = part.members[0], on = !app.hidden.has(lead);
  item.classList.toggle("off", !on);
  item.classList.toggle("pointed", app.alone === lead);
  item.querySelector("input").checked = on;
  item.querySelector(".swatch").style.setProperty("--part", part.colour);
  item.querySelector(".name").textContent = part.name;
  const { share, present } = app.run.figures[index] ?? {};
  item.querySelector(".bar").style.setProperty("--share", share ?? 0);
  item.querySelector(".bar").style.setProperty("--part", part.colour);
  item.title = share === null ? "" : `${percent(share)} of the object, in ${present.toLocaleString("en")} of ${counted(app.run.looked, "photo")}`;
  item.querySelector("kbd").textContent = index < 9 ? index + 1 : "";
  item.querySelector(".edit").setAttribute("aria-label", `Edit ${part.name}`);
  item.querySelector(".edit").title = "Name, colour, merge";
}

/** Open the sheet of a part. */
export function edit(lead) {
  const part = partOf(lead), sheet = $("editor");
  if (!part) return;
  if (app.alone !== null) pointAt(null);
  const problem = h("p", { className: "problem", role: "alert" });
  const name = h("input", { type: "text", maxLength: 60, value: part.name, id: "part-name", autocomplete: "off", spellcheck: false });
  const attempt = async (what, said) => {
    try {
      await change(what, said);
      sheet.close();
    } catch (error) {
      problem.textContent = error.message;
    }
  };
  const rename = (event) => {
    event.preventDefault();
    const wanted = name.value.trim();
    if (wanted === part.name) return sheet.close();
    return attempt((edits) => {
      if (wanted) edits.names[lead] = wanted;
      else delete edits.names[lead];
    }, wanted ? `${part.name} is now “${wanted}”.` : `${part.name} has its first name again.`);
  };
  sheet.replaceChildren(
    h("div", { className: "sheet-head" }, h("h2", {}, h("i", { className: "dot", style: { "--part": part.colour } }), part.name), closeButton(sheet)),
    examples(lead),
    h("form", { className: "field", onsubmit: rename, autocomplete: "off" }, h("label", { for: "part-name" }, "Name"), h("div", { className: "line" }, name, h("button", { className: "button primary" }, "Rename")), suggestions(lead, name)),
    colourField(part, attempt, problem),
    mergeField(part, attempt),
    problem,
    h("div", { className: "line foot" },
      h("button", { className: "button", onclick: () => (sheet.close(), showOnly(`with ${lead}`)) }, "Photos with it"),
      h("button", { className: "button", onclick: () => (sheet.close(), showOnly(`without ${lead}`)) }, "Photos without it")),
  );
  sheet.setAttribute("aria-label", part.name);
  sheet.showModal();
  name.focus();
  name.select();
}

const closeButton = (sheet) => h("button", { className: "button round", "aria-label": "Close", onclick: () => sheet.close() }, icon("close"));

/** What the part looks like: to name it well one has to see it. */
function examples(lead) {
  const place = h("div", { className: "examples" });
  get("/api/strips").then(({ strips }) => {
    const strip = strips.find((each) => each.part === lead);
    place.replaceChildren(...(strip?.typical ?? []).slice(0, 6).map(({ photo }) => h("img", { src: closeUp(photo, lead), alt: "" })));
  }, () => {});
  return place;
}

/** Names that the collection's keypoints suggest. */
function suggestions(lead, field) {
  const place = h("div", { className: "chips" });
  if (!app.run.keypoints) return null;
  get("/api/together").then((found) => {
    const names = landsOn(found, found.parts.indexOf(lead)).filter((name) => !app.parts.some((part) => part.name === name));
    place.append(...names.slice(0, 6).map((name) => h("button", { type: "button", className: "chip", onclick: () => ((field.value = name), field.focus()) }, name)));
  }, () => {});
  return place;
}

export function closeUp(photo, lead) {
  const part = partOf(lead);
  return `/api/photo/${photo}/close/${lead}.jpg?v=${app.run.session}-${part.members.join("+")}${part.colour.slice(1)}`;
}

function colourField(part, attempt, problem) {
  const lead = part.members[0];
  const said = `${part.name} has another colour.`;
  const take = (colour) => attempt((edits) => (edits.colours[lead] = colour), said);
  const warn = (colour) => {
    const other = app.parts.find((each) => each !== part && alike(colour, each.colour));
    problem.textContent = other ? `Not everybody can tell this colour from that of ${other.name}.` : "";
  };
  const used = new Set(app.parts.filter((each) => each !== part).map((each) => each.colour));
  const swatches = app.run.palette.filter((colour) => !used.has(colour)).slice(0, 16).map((colour) =>
    h("button", {
      className: "swatch", style: { "--part": colour }, "aria-label": `Colour ${colour}`, "aria-pressed": String(colour === part.colour),
      onpointerenter: () => warn(colour), onpointerleave: () => (problem.textContent = ""), onclick: () => take(colour),
    }));
  const own = h("input", { type: "color", value: part.colour, "aria-label": "Another colour", oninput: (event) => warn(event.target.value), onchange: (event) => take(event.target.value) });
  return h("div", { className: "field" }, h("span", { className: "label" }, "Colour"), h("div", { className: "swatches" }, swatches, own));
}

function mergeField(part, attempt) {
  const lead = part.members[0];
  const merge = (other) => attempt((edits) => {
    const joined = [...part.members, ...other.members];
    edits.groups = [...edits.groups.filter((group) => !joined.includes(group[0])), joined];
  }, `${other.name} is now one with ${part.name}.`);
  const split = () => attempt((edits) => (edits.groups = edits.groups.filter((group) => group[0] !== lead)), `${part.name} is split into its ${part.members.length} parts again.`);
  const others = app.parts.filter((other) => other !== part).map((other) =>
    h("button", { className: "chip", onclick: () => merge(other), "aria-label": `Merge ${other.name} into ${part.name}` }, h("i", { className: "dot", style: { "--part": other.colour } }), other.name));
  const whole = part.members.length > 1 && h("div", { className: "line" },
    h("p", { className: "hint" }, `Made of ${part.members.map((member) => app.edits.names[member] ?? app.run.names[member - 1]).join(", ")}.`),
    h("button", { className: "button", onclick: split }, "Split apart"));
  return h("div", { className: "field" }, h("span", { className: "label" }, "The same part as"), whole, others.length ? h("div", { className: "chips" }, others) : h("p", { className: "hint" }, "There is no other part."));
}

/** The colour rows of a photo's own list: a switch for each part, with its share of the object. */
export function legend(details) {
  const found = new Map(details?.parts.map((row) => [row.part, row]));
  return app.parts.map((part, index) => {
    const lead = part.members[0], own = found.get(lead), on = !app.hidden.has(lead);
    const item = h("li", { className: [on ? "" : "off", details && !own ? "absent" : ""].join(" ") },
      h("label", {}, h("input", { type: "checkbox", checked: on, onchange: () => toggle(lead) }), h("i", { className: "swatch", style: { "--part": part.colour } }), h("span", { className: "name" }, part.name)),
      index < 9 ? h("kbd", {}, String(index + 1)) : h("kbd"),
      h("div", { className: "figures" }, h("i", { className: "bar", style: { "--share": own?.share ?? 0, "--part": part.colour } }), h("span", {}, !details ? "" : own ? `${own.share < 0.01 ? "<1" : Math.round(100 * own.share)}\u202f%` : "not here")));
    if (own?.sure) item.title = `${percent(own.sure)} sure`;
    return item;
  });
}

