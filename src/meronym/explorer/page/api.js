// Everything that is asked of the server.

async function failed(response) {
  let detail = `${response.status} ${response.statusText}`;
  try {
    const said = (await response.json()).detail;
    if (typeof said === "string") detail = said;
  } catch {
    // no JSON: the status has to do
  }
  return Object.assign(new Error(detail), { status: response.status });
}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The explorer does not answer any more: is `meronym explore` still running?");
  }
  if (!response.ok) throw await failed(response);
  return response;
}

export const get = async (path, options) => (await ask(path, options)).json();

export async function send(method, path, content) {
  const headers = { "x-meronym": "1", "content-type": "application/json" };
  return (await ask(path, { method, headers, body: content === undefined ? undefined : JSON.stringify(content) })).json();
}

export async function upload(file) {
  const headers = { "x-meronym": "1", "content-type": file.type || "application/octet-stream" };
  const path = `/api/upload?name=${encodeURIComponent(file.name.slice(0, 200))}`;
  return (await ask(path, { method: "POST", headers, body: file })).json();
}

/** The label map of one photo, as runs. */
export async function runsOf(path, signal) {
  return new Uint8Array(await (await ask(path, { signal })).arrayBuffer());
}

/** The label maps of many photos, each handed on as soon as it is there: heard({photo, sure, error}, runs). */
export async function labels(photos, signal, heard) {
  const reader = (await ask(`/api/labels?photos=${photos.join(",")}`, { signal })).body.getReader();
  let buffer = new Uint8Array(0);
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    buffer = joined(buffer, value);
    for (;;) {
      if (buffer.length < 8) break;
      const sizes = new DataView(buffer.buffer, buffer.byteOffset, 8);
      const head = sizes.getUint32(0, true), body = sizes.getUint32(4, true);
      if (buffer.length < 8 + head + body) break;
      heard(JSON.parse(new TextDecoder().decode(buffer.subarray(8, 8 + head))), buffer.slice(8 + head, 8 + head + body));
      buffer = buffer.subarray(8 + head + body);
    }
  }
}

function joined(first, second) {
  if (!first.length) return second;
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}
