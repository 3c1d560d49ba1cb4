// The photos: fixed tiles, of which only those near the window exist, so that any number of photos scrolls well.

import { get, labels } from "./api.js";
import { $, counted, h, percent } from "./dom.js";
import { colouring, decode, paint } from "./paint.js";
import { app, ids, markWrong, nameOf, on } from "./state.js";

const GAP = 8, AREA = 30_000, REST = 70; // pixels between tiles and of a tile; milliseconds of rest before photos are asked for
const CLOSEST = 2.6; // times larger than the whole photo in its tile
const MOST_KEPT = 1500; // label maps, as runs: a few kilobytes each

const scroller = $("scroller"), grid = $("grid");
let order = [], current = 0, columns = 1, tileWidth = 1, tileHeight = 1;
let open = () => {};
const tiles = new Map(); // place in the order -> its elements
const known = new Map(); // photo -> {runs, sure, error}
let asking = null, waiting = 0;

export function begin(openPhoto) {
  open = openPhoto;
  scroller.addEventListener("scroll", () => requestAnimationFrame(show), { passive: true });
  new ResizeObserver(measure).observe(scroller);
  grid.addEventListener("click", (event) => {
    const tile = event.target.closest(".tile");
    if (tile) open(order, Number(tile.dataset.place));
  });
  scroller.addEventListener("keydown", keys);
  $("near").addEventListener("change", () => tiles.forEach(fit));
  on("parts", repaint);
  on("wrong", () => tiles.forEach(mark));
  for (const id of ["sort", "show"]) $(id).addEventListener("change", () => list());
  $("find").addEventListener("input", () => list());
  $("again").addEventListener("click", () => list());
  on("looked", () => ($("again").hidden = !depends()));
  on("parts", fillShow);
  fillShow();
}

const depends = () => $("sort").value !== "collection" || /^(with|unread)/.test($("show").value);

/** What can be chosen to see; kept as it is where the choice is still there. */
function fillShow() {
  const select = $("show"), before = select.value || "all";
  const choices = [["all", "all photos"], ["wrong", "marked as wrong"]];
  if (app.run.unread) choices.push(["unread", "cannot be read"]);
  for (const part of app.parts) choices.push([`with ${part.members[0]}`, `with ${part.name}`]);
  for (const part of app.parts) choices.push([`without ${part.members[0]}`, `without ${part.name}`]);
  if (JSON.stringify([...select.options].map((o) => [o.value, o.text])) === JSON.stringify(choices)) return;
  select.replaceChildren(...choices.map(([value, text]) => h("option", { value }, text)));
  select.value = choices.some(([value]) => value === before) ? before : "all";
  if (select.value !== before) list();
}

/** Choose which part's photos to see; 0 for all. */
export function showOnly(what) {
  fillShow();
  $("show").value = what;
  list();
}

let listing = 0;
export async function list() {
  const turn = ++listing;
  const [show, part] = $("show").value.split(" ");
  const words = $("find").value.trim().toLowerCase();
  const query = new URLSearchParams({ sort: $("sort").value, show, ...(part ? { part } : {}) });
  const plain = show === "all" && query.get("sort") === "collection";
  let found = plain ? [...Array(app.run.photos).keys()] : await get(`/api/order?${query}`);
  if (words) {
    const names = await ids();
    found = found.filter((photo) => names[photo].toLowerCase().includes(words));
  }
  if (turn !== listing) return;
  order = found;
  $("again").hidden = true;
  $("count").textContent = found.length === app.run.photos ? "" : counted(found.length, "photo");
  $("empty").hidden = found.length > 0;
  $("empty").textContent = words ? `No photo's name holds “${words}”.` : show === "wrong" ? "No photo is marked as wrong. Press W on one that is." : "There is no such photo.";
  current = 0;
  scroller.scrollTop = 0;
  tiles.forEach((tile) => tile.item.remove());
  tiles.clear();
  measure();
}

function measure() {
  if (!scroller.clientWidth) return;
  const style = getComputedStyle(scroller);
  const width = scroller.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
  const aspect = Math.min(1.5, Math.max(0.7, app.run.aspect));
  const wanted = Math.sqrt(AREA * aspect) * (width < 620 ? 0.72 : 1);
  columns = Math.max(2, Math.round((width + GAP) / (wanted + GAP)));
  tileWidth = (width - GAP * (columns - 1)) / columns;
  tileHeight = tileWidth / aspect;
  const rows = Math.ceil(order.length / columns);
  grid.style.height = `${Math.max(0, rows * (tileHeight + GAP) - GAP)}px`;
  tiles.forEach((tile) => (place(tile), fit(tile)));
  show();
}

/** The places to be filled: what is in the window, and as much again above and below. */
function range(beyond) {
  const step = tileHeight + GAP, height = scroller.clientHeight;
  const first = Math.max(0, Math.floor((scroller.scrollTop - beyond * height) / step)) * columns;
  const last = Math.min(order.length, Math.ceil((scroller.scrollTop + (1 + beyond) * height) / step) * columns);
  return [first, last];
}

function show() {
  if (!scroller.clientWidth) return;
  const [first, last] = range(0.7);
  for (const [index, tile] of tiles) {
    if (index >= first && index < last) continue;
    if (tile.button === document.activeElement) scroller.focus({ preventScroll: true });
    tile.image.removeAttribute("src"); // what is not there yet need not come
    tile.item.remove();
    tiles.delete(index);
  }
  for (let index = first; index < last; index++) if (!tiles.has(index)) make(index);
  clearTimeout(waiting);
  waiting = setTimeout(fill, REST);
}

function make(index) {
  const photo = order[index];
  const image = h("img", { alt: "", decoding: "async", draggable: false });
  const canvas = h("canvas", { width: 1, height: 1 });
  const note = h("span", { className: "note" });
  const inner = h("div", { className: "inner" }, image, canvas);
  const button = h("button", { className: "tile", tabIndex: index === current ? 0 : -1 }, inner, note);
  button.dataset.place = index;
  const item = h("div", { role: "listitem", className: "cell", "aria-posinset": index + 1, "aria-setsize": order.length }, button);
  const tile = { photo, index, item, button, inner, image, canvas, note, box: null };
  button.addEventListener("focus", () => choose(index));
  image.addEventListener("load", () => (button.classList.add("loaded"), fit(tile)));
  image.addEventListener("error", () => button.classList.add("broken"));
  tiles.set(index, tile);
  place(tile);
  mark(tile);
  draw(tile);
  grid.append(item);
}

function place({ item, index }) {
  const x = (index % columns) * (tileWidth + GAP), y = Math.floor(index / columns) * (tileHeight + GAP);
  item.style.transform = `translate(${x}px, ${y}px)`;
  item.style.width = `${tileWidth}px`;
  item.style.height = `${tileHeight}px`;
}

/** The photo in its tile: around its object, or whole, where photos of nearly the tile's shape are cut to fill it. */
function fit({ image, inner, box }) {
  const width = image.naturalWidth, height = image.naturalHeight;
  if (!width) return;
  const whole = Math.min(tileWidth / width, tileHeight / height), full = Math.max(tileWidth / width, tileHeight / height);
  let scale = full / whole < 1.2 ? full : whole;
  let [x, y] = [0.5, 0.5];
  if (box && $("near").checked) {
    const near = Math.min(tileWidth / (box.width * width), tileHeight / (box.height * height)) / 1.25;
    scale = Math.min(Math.max(near, scale), Math.max(scale, CLOSEST * whole));
    [x, y] = [box.x, box.y];
  }
  const across = edge(x, width * scale, tileWidth), down = edge(y, height * scale, tileHeight);
  inner.style.width = `${width}px`;
  inner.style.height = `${height}px`;
  inner.style.transform = `translate(${across}px, ${down}px) scale(${scale})`;
}

/** Where a picture of a length begins in a tile, with `middle` (0 to 1) as near the tile's as its edges allow. */
function edge(middle, length, tile) {
  if (length <= tile) return (tile - length) / 2;
  return Math.min(0, Math.max(tile - length, tile / 2 - middle * length));
}

/** The box around all that is labelled: its middle and its size, from 0 to 1; null where nothing is. */
function around({ width, height, labels }) {
  let left = width, right = -1, top = -1, bottom = -1;
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (!labels[i]) continue;
      if (top < 0) top = y;
      bottom = y;
      if (x < left) left = x;
      if (x > right) right = x;
    }
  }
  if (right < 0) return null;
  return { x: (left + right + 1) / 2 / width, y: (top + bottom + 1) / 2 / height, width: (right + 1 - left) / width, height: (bottom + 1 - top) / height };
}

function mark({ photo, button, note }) {
  const wrong = app.wrong.has(photo), found = known.get(photo);
  button.classList.toggle("wrong", wrong);
  const doubt = $("sort").value === "collection" || !found?.sure ? "" : `${percent(found.sure)} sure`;
  note.textContent = found?.error ?? (wrong ? "wrong" : doubt);
  button.setAttribute("aria-label", [nameOf(photo), wrong && "marked as wrong", found?.error].filter(Boolean).join(", "));
  button.title = app.ids ? nameOf(photo) : "";
}

/** Ask for the photos and the label maps of the tiles that are there, those in the window first. */
function fill() {
  const [first, last] = range(0);
  const inside = (tile) => tile.index >= first && tile.index < last;
  const wanted = [...tiles.values()].sort((a, b) => inside(b) - inside(a) || a.index - b.index);
  for (const { image, photo } of wanted) if (!image.hasAttribute("src")) image.src = `/api/photo/${photo}/tile.jpg?v=${app.run.session}`;
  const missing = wanted.map((tile) => tile.photo).filter((photo) => !known.has(photo)).slice(0, 200);
  const asked = asking?.photos;
  if (!missing.length || (asked && missing.every((photo) => asked.has(photo)))) return;
  asking?.control.abort();
  const control = new AbortController();
  asking = { control, photos: new Set(missing) };
  labels(missing, control.signal, heard)
    .catch(() => {})
    .finally(() => asking?.control === control && (asking = null));
}

function heard(header, runs) {
  known.set(header.photo, { runs, sure: header.sure, error: header.error });
  if (known.size > MOST_KEPT) known.delete(known.keys().next().value);
  for (const tile of tiles.values()) if (tile.photo === header.photo) (draw(tile), mark(tile));
}

let colours = null;
function draw(tile) {
  const found = known.get(tile.photo);
  if (!found?.runs.length) return;
  const map = decode(found.runs);
  colours ??= colouring();
  paint(tile.canvas, map, colours);
  tile.button.classList.add("drawn");
  if (tile.box) return;
  tile.box = around(map);
  fit(tile);
}

let painting = 0;
function repaint() {
  colours = null;
  cancelAnimationFrame(painting);
  painting = requestAnimationFrame(() => tiles.forEach(draw));
}

/** Make a photo the current one, by its place in the order, and show it. */
export function choose(index, focus = false) {
  const before = tiles.get(current);
  if (before) before.button.tabIndex = -1;
  current = Math.max(0, Math.min(order.length - 1, index));
  const step = tileHeight + GAP, top = Math.floor(current / columns) * step;
  if (top < scroller.scrollTop) scroller.scrollTop = top;
  else if (top + step > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = top + step - scroller.clientHeight;
  show();
  const tile = tiles.get(current);
  if (!tile) return;
  tile.button.tabIndex = 0;
  if (focus) tile.button.focus({ preventScroll: true });
}

export const currentPhoto = () => (order.length ? order[current] : null);

function keys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || !order.length) return;
  const page = Math.max(1, Math.floor(scroller.clientHeight / (tileHeight + GAP))) * columns;
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, PageUp: -page, PageDown: page };
  if (event.key in steps) choose(Math.max(0, Math.min(order.length - 1, current + steps[event.key])), true);
  else if (event.key === "Home") choose(0, true);
  else if (event.key === "End") choose(order.length - 1, true);
  else if (event.key === "Enter" && event.target === scroller) open(order, current);
  else if (event.key === "w" || event.key === "W") markWrong(order[current]);
  else return;
  event.preventDefault();
}

/** After the gallery was out of sight. */
export const refit = () => measure();

/** After a photo was looked at closely: it is the current one. */
export function choosePhoto(list, index) {
  if (list === order) choose(index, true);
}

/** Names are known now. */
export const named = () => tiles.forEach(mark);
