// Elements, made of text only: what comes from file or part names can never become markup.

/** An element with properties, listeners (on…), attributes (with a dash, or role) and children. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, set] of Object.entries(value)) element.style.setProperty(key, set);
    else if (name.includes("-") || name === "role" || name === "for") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** One of the icons of index.html. */
export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const picture = document.createElementNS(space, "svg");
  const use = document.createElementNS(space, "use");
  use.setAttribute("href", `#i-${name}`);
  picture.setAttribute("aria-hidden", "true");
  picture.append(use);
  return picture;
}

export const $ = (id) => document.getElementById(id);

/** "1 photo", "1,234 photos". */
export function counted(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

/** "12 %", "3.4 %", "0.42 %", "0 %". */
export function percent(share) {
  if (share === null || share === undefined) return "–";
  if (share === 0) return "0\u202f%";
  return `${(100 * share).toFixed(share >= 0.1 ? 0 : share >= 0.01 ? 1 : 2)}\u202f%`;
}

/** "14 KB", "3.2 MB". */
export function bytes(size) {
  const units = ["bytes", "KB", "MB", "GB"];
  let at = 0;
  while (size >= 1000 && at < 3) [size, at] = [size / 1000, at + 1];
  return `${at && size < 10 ? size.toFixed(1) : Math.round(size)} ${units[at]}`;
}

const toasts = document.getElementById("toasts");
for (const dialog of document.querySelectorAll("dialog")) dialog.addEventListener("close", () => document.body.append(toasts));

/** A line at the bottom of the page, gone after a while; with a button if there is something to do about it. */
export function toast(text, { action, run, bad = false } = {}) {
  const line = h("div", { className: bad ? "toast bad" : "toast" }, h("span", {}, text));
  if (action) line.append(h("button", { className: "quiet", onclick: () => (line.remove(), run()) }, action));
  (document.querySelector("dialog[open]") ?? document.body).append(toasts); // a dialog covers all that is not in it
  toasts.replaceChildren(line);
  setTimeout(() => line.remove(), bad ? 9000 : 6000);
}

/** Close a dialog on a click beside it, which is a click on the dialog itself. */
export function closesBeside(dialog) {
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
}
