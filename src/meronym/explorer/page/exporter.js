// Downloads: choose a format, wait while it is written, save the file.

import { get, send } from "./api.js";
import { $, bytes, closesBeside, counted, h, icon, toast } from "./dom.js";
import { app } from "./state.js";

const TITLES = {
  coco: "COCO", coco_polygons: "COCO polygons", yolo: "YOLO", cvat: "CVAT", label_studio: "Label Studio",
  png: "Index PNG", colour: "Coloured PNG", overlay: "Overlays", parquet: "Table (Parquet)",
};
const sheet = $("exporter");
let watching = false;

export function begin() {
  closesBeside(sheet);
}

export async function open() {
  const place = (key) => (Object.keys(TITLES).indexOf(key) + 1 || 99);
  const choices = app.run.formats.toSorted((a, b) => place(a.key) - place(b.key)).map(({ key, about }) =>
    h("label", { className: "choice" }, h("input", { type: "radio", name: "format", value: key, checked: key === "coco" }), h("span", {}, h("b", {}, TITLES[key] ?? key.replaceAll("_", " ")), " ", h("small", {}, about))));
  const wrong = app.wrong.size;
  const also = wrong > 0 && h("label", { className: "also" }, h("input", { type: "checkbox", name: "with_wrong" }), `also the ${counted(wrong, "photo")} marked as wrong`);
  sheet.replaceChildren(
    h("div", { className: "sheet-head" }, h("h2", {}, "Download annotations"), h("button", { className: "button round", "aria-label": "Close", onclick: () => sheet.close() }, icon("close"))),
    h("p", { className: "hint" }, `Of ${counted(app.run.photos, "photo")}, with your names, colours and merged parts, at the photos' own size.`),
    h("form", { id: "formats", onsubmit: start }, h("fieldset", { className: "choices" }, h("legend", { className: "label" }, "Format"), choices), also, h("div", { className: "line foot" }, h("button", { className: "button primary" }, icon("download"), "Download"))),
    h("div", { id: "export-state", role: "status" }),
  );
  sheet.showModal();
  const state = await get("/api/export").catch(() => null);
  if (state?.state === "running" || state?.state === "ready") show(state);
  if (state?.state === "running") watch();
}

async function start(event) {
  event.preventDefault();
  const chosen = new FormData(event.target);
  try {
    show(await send("POST", "/api/export", { format: chosen.get("format"), with_wrong: chosen.has("with_wrong") }));
    watch();
  } catch (error) {
    show({ state: "failed", error: error.message });
  }
}

async function watch() {
  if (watching) return;
  watching = true;
  try {
    for (;;) {
      await new Promise((done) => setTimeout(done, 250));
      const state = await get("/api/export");
      show(state);
      if (state?.state === "running") continue;
      if (state?.state === "ready") save(state);
      if (state?.state === "failed" && !sheet.open) toast(state.error, { bad: true });
      return;
    }
  } catch (error) {
    show({ state: "failed", error: error.message });
  } finally {
    watching = false;
  }
}

function save({ name }) {
  const link = h("a", { href: "/api/export/file", download: name });
  document.body.append(link);
  link.click();
  link.remove();
}

function show(state) {
  const place = $("export-state");
  if (!place || !state) return;
  const button = document.querySelector("#formats .button");
  button.disabled = state.state === "running";
  const left = state.left_out_count
    ? h("details", {}, h("summary", {}, `${counted(state.left_out_count, "photo")} left out`), h("ul", {}, state.left_out.map(([id, why]) => h("li", {}, `${id}: ${why}`))))
    : null;
  if (state.state === "running") {
    place.replaceChildren(h("div", { className: "progress" }, h("progress", { max: Math.max(1, state.total), value: state.done, "aria-label": "Photos written" }),
      h("div", { className: "line" }, h("p", {}, `${state.done.toLocaleString("en")} of ${counted(state.total, "photo")}`), h("button", { className: "quiet", onclick: () => send("DELETE", "/api/export") }, "cancel"))));
  } else if (state.state === "ready") {
    place.replaceChildren(h("p", { className: "ready" }, h("a", { href: "/api/export/file", download: state.name }, state.name), ` · ${bytes(state.bytes)} · ${counted(state.done - state.left_out_count, "photo")}`), left ?? "");
  } else {
    place.replaceChildren(h("p", { className: "problem" }, state.state === "cancelled" ? "Cancelled." : state.error));
  }
}
