// Label maps, drawn: parts tinted and outlined, all else a little darker.

import { app } from "./state.js";

const TINT = 0.56, DIM = 0.38, EDGE = 0.92;
const NONE = 0, BARE = 300, DARK = 301; // what a pixel shows besides a part: nothing there, a part that is off, one that is dimmed

/** A label map from its runs: {width, height, labels}. */
export function decode(runs) {
  const view = new DataView(runs.buffer, runs.byteOffset, runs.byteLength);
  const width = view.getUint16(0, true), height = view.getUint16(2, true);
  const labels = new Uint8Array(width * height);
  for (let at = 4, pixel = 0; at < runs.length; at += 3) {
    const length = view.getUint16(at + 1, true);
    if (runs[at]) labels.fill(runs[at], pixel, pixel + length);
    pixel += length;
  }
  return { width, height, labels };
}

/**
 * A small label map drawn smoother: doubled, with corners rounded off, until a side has `least` pixels.
 * The rule is EPX (Eric Johnston, 1992): a quarter of a pixel takes its two neighbours' label where they agree.
 */
export function smooth(map, least) {
  while (Math.max(map.width, map.height) < least) map = doubled(map);
  return map;
}

function doubled({ width, height, labels }) {
  const result = new Uint8Array(4 * labels.length), wide = 2 * width;
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      const here = labels[i];
      const above = y ? labels[i - width] : here, below = y < height - 1 ? labels[i + width] : here;
      const left = x ? labels[i - 1] : here, right = x < width - 1 ? labels[i + 1] : here;
      const corner = (a, b, c, d) => (a === b && a !== c && b !== d ? a : here);
      const at = 2 * y * wide + 2 * x;
      result[at] = corner(left, above, below, right);
      result[at + 1] = corner(above, right, left, below);
      result[at + wide] = corner(below, left, right, above);
      result[at + wide + 1] = corner(right, below, above, left);
    }
  }
  return { width: wide, height: 2 * height, labels: result };
}

/** What each label shows now, and in which colour: made once for all photos. */
export function colouring() {
  const shows = new Uint16Array(256), colours = new Uint32Array(512);
  const alone = app.alone !== null && app.parts.some((part) => part.members[0] === app.alone);
  let any = false;
  app.parts.forEach((part, index) => {
    const lead = part.members[0];
    const on = alone ? lead === app.alone : !app.hidden.has(lead);
    any ||= on;
    for (const member of part.members) shows[member] = on ? index + 1 : alone ? DARK : BARE;
    colours[index + 1] = rgba(part.colour, TINT);
  });
  colours[DARK] = colours[NONE] = any ? rgba("#0b0d12", DIM) : 0;
  return { shows, colours, edge: rgba("#ffffff", EDGE) };
}

function rgba(hex, alpha) {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  return ((Math.round(alpha * 255) << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

/** Draw a label map on a canvas of its size. */
export function paint(canvas, { width, height, labels }, { shows, colours, edge }) {
  const shown = new Uint16Array(labels.length);
  for (let i = 0; i < labels.length; i++) shown[i] = shows[labels[i]];
  const picture = new ImageData(width, height);
  const pixels = new Uint32Array(picture.data.buffer);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      const here = shown[i];
      const right = x + 1 < width ? shown[i + 1] : here, below = y + 1 < height ? shown[i + width] : here;
      const border = (here !== right && (part(here) || part(right))) || (here !== below && (part(here) || part(below)));
      pixels[i] = border ? edge : colours[here];
    }
  }
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

const part = (shown) => shown > NONE && shown < BARE;

/** For each part that is there, a point deep inside it, from 0 to 1 over the photo: {lead: [x, y]}. */
export function middles({ width, height, labels }) {
  const lead = new Uint8Array(256);
  for (const each of app.parts) for (const member of each.members) lead[member] = each.members[0];
  const depth = new Uint16Array(labels.length), best = {};
  const same = (i, j) => lead[labels[i]] === lead[labels[j]];
  for (let i = 0; i < labels.length; i++) {
    const x = i % width, y = (i / width) | 0;
    depth[i] = x && y && same(i, i - 1) && same(i, i - width) ? Math.min(depth[i - 1], depth[i - width]) + 1 : 1;
  }
  for (let i = labels.length - 1; i >= 0; i--) {
    const x = i % width, y = (i / width) | 0;
    const inner = x < width - 1 && y < height - 1 && same(i, i + 1) && same(i, i + width);
    depth[i] = Math.min(depth[i], inner ? Math.min(depth[i + 1], depth[i + width]) + 1 : 1);
    const which = lead[labels[i]];
    if (which && depth[i] > (best[which]?.depth ?? 0)) best[which] = { depth: depth[i], x: (x + 0.5) / width, y: (y + 0.5) / height };
  }
  return best;
}
