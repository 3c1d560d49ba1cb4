// The page as a whole: views, keys, files dropped on it.

import { $, closesBeside, h, toast } from "./dom.js";
import * as exporter from "./exporter.js";
import * as gallery from "./gallery.js";
import * as parts from "./parts.js";
import * as state from "./state.js";
import * as strips from "./strips.js";
import * as together from "./together.js";
import * as viewer from "./viewer.js";

const { app } = state;
const VIEWS = { photos: () => gallery.refit(), strips: strips.show, together: together.show };

function show(view) {
  for (const name of Object.keys(VIEWS)) {
    const chosen = name === view;
    $(name).hidden = !chosen;
    $(`tab-${name}`).setAttribute("aria-selected", String(chosen));
    $(`tab-${name}`).tabIndex = chosen ? 0 : -1;
  }
  Promise.resolve(VIEWS[view]()).catch((error) => toast(error.message, { bad: true }));
}

const viewOf = () => (location.hash.slice(1) in VIEWS ? location.hash.slice(1) : "photos");

function tabs() {
  const all = Object.keys(VIEWS).map((name) => $(`tab-${name}`));
  all.forEach((tab, index) => {
    tab.addEventListener("click", () => (location.hash = tab.id.slice(4)));
    tab.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!by) return;
      const next = all[(index + by + all.length) % all.length];
      next.focus();
      next.click();
    });
  });
  addEventListener("hashchange", () => show(viewOf()));
}

function showOnly(what) {
  location.hash = "photos";
  show("photos");
  gallery.showOnly(what);
}

function titles() {
  const name = app.run.collection;
  document.title = `${name} – Meronym`;
  $("title").textContent = name;
  $("subtitle").textContent = state.summary();
}

function progress() {
  const { looked, unread, photos, trouble } = app.run;
  const done = looked + unread >= photos;
  $("progress").hidden = done || Boolean(trouble);
  $("progress").querySelector("progress").value = (looked + unread) / Math.max(1, photos);
  $("progress").querySelector("p").textContent = `looked at ${looked.toLocaleString("en")} of ${photos.toLocaleString("en")} photos`;
  $("trouble").hidden = !trouble && !unread;
  $("trouble").textContent = trouble ?? (unread ? `${unread.toLocaleString("en")} cannot be read` : "");
}

function keys(event) {
  if ((event.ctrlKey || event.metaKey) && !event.shiftKey && event.key.toLowerCase() === "z" && !typing(event)) {
    event.preventDefault();
    return state.takeBack();
  }
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event)) return;
  const sheet = document.querySelector("dialog[open]");
  if (sheet && sheet !== $("viewer")) return;
  const digit = /^Digit[0-9]$/.test(event.code) ? Number(event.code[5]) : /^[0-9]$/.test(event.key) ? Number(event.key) : null;
  if (digit === 0) state.toggleAll();
  else if (digit && app.parts[digit - 1]) (event.shiftKey ? parts.edit : state.toggle)(app.parts[digit - 1].members[0]);
  else if (sheet) return;
  else if (event.key === "?") $("keys").showModal();
  else if (event.key === "/") $("find").focus();
  else if (event.key === "u") $("file").click();
  else if (event.key === "d") exporter.open();
  else if (/^(Arrow|Page|Home|End|Enter$|w$)/.test(event.key) && event.target === document.body && !$("photos").hidden) $("scroller").dispatchEvent(new KeyboardEvent("keydown", event));
  else return;
  event.preventDefault();
}

const typing = ({ target }) => target.matches?.("input:not([type=checkbox], [type=radio], [type=range]), select, textarea");

function drops() {
  let depth = 0;
  const inside = (by) => ($("drop").hidden = (depth = Math.max(0, depth + by)) === 0);
  const files = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragenter", (event) => files(event) && inside(1));
  addEventListener("dragleave", (event) => files(event) && inside(-1));
  addEventListener("dragover", (event) => files(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    if (!files(event)) return;
    event.preventDefault();
    depth = 0;
    $("drop").hidden = true;
    take([...event.dataTransfer.files]);
  });
  addEventListener("paste", (event) => event.clipboardData.files.length && take([...event.clipboardData.files]));
  $("try").addEventListener("click", () => $("file").click());
  $("file").addEventListener("change", () => (take([...$("file").files]), ($("file").value = "")));
}

function take([file, ...more]) {
  if (!file) return;
  if (file.size > app.run.most_bytes) return toast(`${file.name} is larger than ${app.run.most_bytes >> 20} MB.`, { bad: true });
  if (more.length) toast("One photo at a time: the first is taken.");
  viewer.tryPhoto(file);
}

async function begin() {
  try {
    await state.begin();
  } catch (error) {
    document.querySelector("main").replaceChildren(h("p", { className: "empty" }, error.message));
    return;
  }
  titles();
  tabs();
  parts.begin(showOnly);
  gallery.begin(viewer.open);
  viewer.begin((order, index) => gallery.choosePhoto(order, index));
  strips.begin(viewer.open);
  together.begin();
  exporter.begin();
  drops();
  closesBeside($("keys"));
  $("help").addEventListener("click", () => $("keys").showModal());
  $("download").addEventListener("click", exporter.open);
  $("strength").addEventListener("input", (event) => document.documentElement.style.setProperty("--strength", event.target.value / 100));
  document.addEventListener("keydown", keys);
  state.on("parts", titles);
  state.on("looked", progress);
  progress();
  await gallery.list();
  show(viewOf());
  state.ids().then(gallery.named);
  state.watch();
}

addEventListener("unhandledrejection", ({ reason }) => reason?.name !== "AbortError" && toast(reason?.message ?? String(reason), { bad: true }));
begin();
