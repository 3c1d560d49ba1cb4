// One strip a part: where it is most as usual, and where it is least.

import { get } from "./api.js";
import { $, counted, h, icon, percent } from "./dom.js";
import { closeUp, edit } from "./parts.js";
import { app, nameOf, ids, on, partOf } from "./state.js";

const section = $("strips");
let open = () => {}, stale = true, known = null;

export function begin(openPhoto) {
  open = openPhoto;
  for (const event of ["parts", "wrong", "looked"]) on(event, () => changed(event));
}

let last = "";
function changed(event) {
  const parts = JSON.stringify(app.parts);
  if (event === "parts" && parts === last) return;
  stale = true;
  if (!section.hidden && event !== "looked") show();
  else if (!section.hidden) note();
}

export async function show() {
  if (!stale && known) return;
  last = JSON.stringify(app.parts);
  stale = false;
  const top = section.scrollTop;
  [known] = await Promise.all([get("/api/strips"), ids()]);
  section.replaceChildren(
    h("p", { className: "hint lead" }, "Each part where it is as usual, and where it is not: mistakes hide among the latter. ", seenSoFar()),
    ...known.strips.map(row).filter(Boolean),
  );
  section.scrollTop = top;
}

function seenSoFar() {
  const { photos, unread } = app.run, { looked } = known;
  if (looked >= photos - unread - app.wrong.size) return h("span", { id: "strips-note" }, `From ${counted(looked, "photo")}.`);
  const again = h("button", { className: "quiet", onclick: () => ((stale = true), show()) }, "look again");
  return h("span", { id: "strips-note" }, `From the first ${counted(looked, "photo")} of ${photos.toLocaleString("en")}; `, again, ".");
}

const note = () => $("strips-note")?.replaceWith(seenSoFar());

function row(strip) {
  const part = partOf(strip.part);
  if (!part) return null;
  const figures = [`${percent(strip.share)} of the object`, `in ${strip.present.toLocaleString("en")} of ${counted(known.looked, "photo")}`];
  if (strip.sure !== null) figures.push(`${percent(strip.sure)} sure`);
  return h("article", { className: "strip", style: { "--part": part.colour } },
    h("header", {},
      h("h2", {}, h("i", { className: "dot" }), part.name, h("button", { className: "quiet edit", "aria-label": `Edit ${part.name}`, title: "Name, colour, merge", onclick: () => edit(strip.part) }, icon("edit"))),
      h("div", { className: "meter", style: { "--share": strip.share ?? 0 } }),
      figures.map((text) => h("p", {}, text))),
    strip.typical.length
      ? h("div", { className: "ends" }, end("as usual", strip.typical, part), strip.odd.length ? end("least usual", strip.odd, part) : null)
      : h("p", { className: "hint" }, "No photo shows it."));
}

function end(title, items, part) {
  const photos = items.map((item) => item.photo);
  return h("div", { className: "end" }, h("h3", {}, title),
    h("ul", {}, items.map((item, index) => {
      const picture = h("img", { src: closeUp(item.photo, part.members[0]), alt: "", loading: "lazy", width: 96, height: 96 });
      const label = [`${part.name} in ${nameOf(item.photo)}`, item.why].filter(Boolean).join(", ");
      return h("li", {}, h("button", { "aria-label": label, title: label, onclick: () => open(photos, index) }, picture), item.why ? h("span", {}, item.why) : null);
    })));
}
