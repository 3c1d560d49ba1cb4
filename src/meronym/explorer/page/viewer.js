// One photo, large: from the gallery, from a strip, or dropped on the page.

import { get, runsOf, upload } from "./api.js";
import { $, h, icon, percent, toast } from "./dom.js";
import { legend } from "./parts.js";
import { colouring, decode, middles, paint, smooth } from "./paint.js";
import { app, ids, markWrong, nameOf, on, pointAt } from "./state.js";

const dialog = $("viewer");
const image = h("img", { alt: "" }), canvas = h("canvas"), tags = h("div", { className: "tags" });
const pointed = h("div", { className: "pointed-name", hidden: true });
const picture = h("div", { className: "picture" }, image, canvas, tags, pointed);
const title = h("h2"), place = h("p", { className: "hint" }), said = h("p", { className: "hint said", role: "status" });
const list = h("ul", { className: "parts" });
const button = (name, label, run) => h("button", { className: "button", onclick: run, title: label, "aria-label": label }, icon(name));
const before = button("left", "Photo before (←)", () => step(-1)), after = button("right", "Next photo (→)", () => step(1));
const wrong = h("button", { className: "button", "aria-pressed": "false", onclick: () => markWrong(shown.photo) }, icon("flag"), h("span"), h("kbd", {}, "W"));
const names = h("button", { className: "button", "aria-pressed": "false", onclick: () => naming() }, icon("tag"), h("span", {}, "Names"), h("kbd", {}, "N"));
const close = button("close", "Close (Esc)", () => dialog.close());

let shown = null; // {photo} or {token}, with order and index where there is one
let map = null, details = null, named = false, control = null, moved = () => {};

export function begin(chosen) {
  moved = chosen;
  close.classList.add("round");
  dialog.tabIndex = -1;
  dialog.append(
    h("div", { className: "stage" }, picture, said),
    h("div", { className: "panel" },
      h("div", { className: "sheet-head" }, h("div", {}, title, place), close),
      list,
      h("div", { className: "foot pairs" }, before, after, wrong, names)),
  );
  dialog.addEventListener("keydown", keys);
  dialog.addEventListener("close", closed);
  image.addEventListener("load", size);
  image.addEventListener("error", () => (said.textContent = "The photo cannot be read."));
  new ResizeObserver(size).observe(dialog);
  canvas.addEventListener("pointermove", under);
  canvas.addEventListener("pointerleave", () => point(null));
  on("parts", refresh);
  on("wrong", head);
}

/** Look at a photo of a list, by its place in it. */
export function open(order, index) {
  shown = { order, index, photo: order[index] };
  load(`/api/photo/${shown.photo}`);
}

/** Look at a photo that somebody has. */
export async function tryPhoto(file) {
  toast(`Looking at ${file.name} …`);
  try {
    const answer = await upload(file);
    $("toasts").replaceChildren();
    shown = { token: answer.token, photo: null };
    load(`/api/upload/${answer.token}`);
  } catch (error) {
    toast(`${file.name}: ${error.message}`, { bad: true });
  }
}

async function load(base) {
  control?.abort();
  control = new AbortController();
  const { signal } = control, mine = shown;
  map = details = null;
  said.textContent = "";
  canvas.hidden = true;
  tags.replaceChildren();
  image.src = `${base}/view.jpg?v=${app.run.session}`;
  head();
  refresh();
  if (!dialog.open) {
    dialog.showModal();
    dialog.focus();
  }
  try {
    if (shown.photo !== null) await ids().then(head);
    const [runs, about] = await Promise.all([runsOf(`${base}/labels`, signal), get(`${base}/details`, { signal })]);
    if (mine !== shown) return;
    [map, details] = [smooth(decode(runs), 640), { ...about, base }];
    if (!details.parts.length) said.textContent = "No object was found here.";
    head();
    refresh();
  } catch (error) {
    if (error.name !== "AbortError" && mine === shown) said.textContent = error.message;
  }
}

function head() {
  if (!shown) return;
  const own = shown.photo === null;
  const path = (own ? (details?.id ?? "…") : nameOf(shown.photo)).split("/");
  title.textContent = path.pop();
  const sure = details?.sure ? `${percent(details.sure)} sure` : "";
  const where = own ? `your photo${details ? `, in ${details.seconds.toFixed(2)} s` : ""}` : `${(shown.index + 1).toLocaleString("en")} of ${shown.order.length.toLocaleString("en")}`;
  place.textContent = [path.join("/"), where, details && `${details.size.join("\u202f×\u202f")}`, sure].filter(Boolean).join(" · ");
  before.hidden = after.hidden = wrong.hidden = own;
  if (own) return;
  before.disabled = shown.index === 0;
  after.disabled = shown.index === shown.order.length - 1;
  const is = app.wrong.has(shown.photo);
  wrong.setAttribute("aria-pressed", String(is));
  wrong.querySelector("span").textContent = is ? "Marked as wrong" : "Wrong";
}

let shownParts = "";
async function refresh() {
  if (!shown) return;
  const parts = JSON.stringify(app.parts);
  if (details && shownParts && parts !== shownParts) {
    shownParts = parts;
    details = { ...(await get(`${details.base}/details`)), base: details.base }; // merged parts have other shares
  }
  shownParts = parts;
  const focused = [...list.querySelectorAll("input")].indexOf(document.activeElement);
  list.replaceChildren(...legend(details));
  if (focused >= 0) list.querySelectorAll("input")[focused]?.focus();
  if (!map) return;
  paint(canvas, map, colouring());
  canvas.hidden = false;
  label();
}

/** The picture as large as the stage allows. */
function size() {
  if (!image.naturalWidth) return;
  const stage = picture.parentElement, style = getComputedStyle(stage);
  const width = stage.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
  const height = stage.clientHeight - parseFloat(style.paddingTop) - parseFloat(style.paddingBottom);
  const scale = Math.min(width / image.naturalWidth, height / image.naturalHeight, 4);
  picture.style.width = `${image.naturalWidth * scale}px`;
  picture.style.height = `${image.naturalHeight * scale}px`;
}

function naming() {
  named = !named;
  names.setAttribute("aria-pressed", String(named));
  label();
}

/** Names on the parts that are on. */
function label() {
  const spots = named && map ? middles(map) : {};
  tags.replaceChildren(...app.parts.filter((part) => spots[part.members[0]] && !app.hidden.has(part.members[0])).map((part) => {
    const { x, y } = spots[part.members[0]];
    return h("span", { className: "tag", style: { left: `${100 * x}%`, top: `${100 * y}%`, "--part": part.colour } }, part.name);
  }));
}

/** Which part is under the pointer. */
function under(event) {
  if (!map) return;
  const box = canvas.getBoundingClientRect();
  const x = Math.floor(((event.clientX - box.left) / box.width) * map.width), y = Math.floor(((event.clientY - box.top) / box.height) * map.height);
  const label = map.labels[y * map.width + x];
  const part = app.parts.find((each) => each.members.includes(label));
  point(part, event.clientX - box.left, event.clientY - box.top);
}

function point(part, x = 0, y = 0) {
  pointed.hidden = !part;
  if (!part) return;
  pointed.textContent = part.name;
  pointed.style.setProperty("--part", part.colour);
  pointed.style.transform = `translate(${x + 14}px, ${y + 14}px)`;
}

function step(by) {
  const index = shown.index + by;
  if (shown.photo === null || index < 0 || index >= shown.order.length) return;
  open(shown.order, index);
}

function keys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key.toLowerCase();
  if (key === "arrowleft") step(-1);
  else if (key === "arrowright") step(1);
  else if (key === "w" && shown.photo !== null) markWrong(shown.photo);
  else if (key === "n") naming();
  else return;
  event.preventDefault();
  event.stopPropagation();
}

function closed() {
  control?.abort();
  if (shown?.photo !== null && shown) moved(shown.order, shown.index);
  shown = map = details = null;
  pointAt(null);
}

