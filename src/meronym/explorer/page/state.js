// What the page knows: the run as the server tells it, and what is switched on. Views listen for changes.

import { get, send } from "./api.js";
import { counted, toast } from "./dom.js";

const bus = new EventTarget();
/** Listen for "parts" (names, colours, merges, switches), "wrong", "looked" (more photos are known). */
export const on = (event, heard) => bus.addEventListener(event, heard);
export const emit = (event) => bus.dispatchEvent(new Event(event));

export const app = {
  run: null, // the answer of /api/state
  parts: [], // as shown: {members, name, colour}; the first member stands for all
  edits: null, // {names, colours, groups, wrong}
  hidden: new Set(), // parts that are off, by first member
  alone: null, // the part that is pointed at
  wrong: new Set(), // numbers of photos
  ids: null, // names of all photos, once they are asked for
};
const undo = [];

function take(run) {
  app.run = { ...app.run, ...run };
  app.parts = run.parts;
  app.edits = run.edits;
  app.wrong = new Set(run.edits.wrong);
}

export async function begin() {
  take(await get("/api/state"));
}

/** Ask how far the server is until it has looked at all photos. */
export async function watch() {
  for (;;) {
    const { looked, unread, photos, trouble } = app.run;
    if (looked + unread >= photos || trouble) return;
    await new Promise((done) => setTimeout(done, 2000));
    if (document.hidden) continue;
    try {
      const run = await get("/api/state");
      const more = run.looked !== app.run.looked || run.unread !== app.run.unread || run.trouble !== app.run.trouble;
      if (run.revision === app.run.revision) Object.assign(app.run, run, { parts: app.parts, edits: app.edits });
      if (more) emit("looked");
    } catch {
      // the server is gone, or busy: whoever does something next is told
    }
  }
}

/** The names of all photos. */
export async function ids() {
  app.ids ??= await get("/api/ids");
  return app.ids;
}

export const nameOf = (photo) => app.ids?.[photo] ?? `photo ${photo + 1}`;
export const partOf = (lead) => app.parts.find((part) => part.members[0] === lead);

async function save(edits) {
  try {
    take(await send("PUT", "/api/edits", { ...edits, revision: app.run.revision }));
  } catch (error) {
    if (error.status === 409) {
      undo.length = 0; // what was before is of a state that somebody else has changed
      take(await get("/api/state"));
    }
    emit("parts");
    emit("wrong");
    throw error;
  }
}

/** Change the edits with a function of a copy; said in a line that offers to undo it. Throws what does not fit. */
export async function change(what, said) {
  const before = app.edits;
  const edits = structuredClone(before);
  what(edits);
  const old = JSON.stringify(app.parts), oldWrong = JSON.stringify(before.wrong);
  await save(edits);
  undo.push(before);
  if (JSON.stringify(app.parts) !== old) emit("parts");
  if (JSON.stringify(app.edits.wrong) !== oldWrong) emit("wrong");
  toast(said, { action: "Undo", run: takeBack });
}

export async function takeBack() {
  const before = undo.pop();
  if (!before) return toast("There is nothing to undo.");
  try {
    await save(before);
    toast("Undone.");
  } catch (error) {
    toast(error.message, { bad: true });
  }
  emit("parts");
  emit("wrong");
}

export async function markWrong(photo) {
  const wrong = !app.wrong.has(photo), name = nameOf(photo).split("/").at(-1);
  try {
    await change(
      (edits) => (edits.wrong = wrong ? [...edits.wrong, photo] : edits.wrong.filter((other) => other !== photo)),
      wrong ? `${name} is marked as wrong: downloads leave it out.` : `${name} is right again.`,
    );
  } catch (error) {
    toast(error.message, { bad: true });
  }
}

export function toggle(lead) {
  if (!app.hidden.delete(lead)) app.hidden.add(lead);
  emit("parts");
}

export function toggleAll() {
  const all = app.parts.map((part) => part.members[0]);
  app.hidden = all.some((lead) => !app.hidden.has(lead)) ? new Set(all) : new Set();
  emit("parts");
}

export function pointAt(lead) {
  if (app.alone === lead) return;
  app.alone = lead;
  emit("parts");
}

export const summary = () => `${counted(app.run.photos, "photo")} · ${counted(app.parts.length, "part")}`;
