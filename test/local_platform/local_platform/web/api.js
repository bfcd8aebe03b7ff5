// A client of the API: its calls, the token, which stays in this tab, and whether anybody answers.

/**
 * @typedef {{id: string, class: string, name: string, folder: string, project: string, state: string,
 *   created: number, size?: number, media?: string, tags?: string[]}} DataObject as it is described
 * @typedef {{name: string, class: string, label?: string, help?: string, group?: string,
 *   optional?: boolean, default?: any, choices?: any[], suggestions?: any[],
 *   patterns?: string[] | {name?: string[]}}} Entry what a specification says of an input or output
 */

const LARGEST_PAGE = 1000;
const TOKEN = "local_platform_token";
const tabs = new BroadcastChannel("local_platform");

/** A refusal, in the platform's words; `type` is that of the API, such as InvalidInput. */
export class ApiError extends Error {
  /**
   * @param {string} type
   * @param {string} message
   */
  constructor(type, message) {
    super(message);
    this.type = type;
  }
}

/** Nobody answers. */
export class Unreachable extends Error {}

/** Tells "down" when nobody answers any more, and "up" when somebody does again. */
export const connection = new EventTarget();
let isUp = true;

/** @param {boolean} up */
function noteWhether(up) {
  if (up === isUp) return;
  isUp = up;
  connection.dispatchEvent(new Event(up ? "up" : "down"));
  if (!up) askUntilUp();
}

async function askUntilUp() {
  while (!isUp) {
    await sleep(1000);
    await call("system", "whoami").catch(() => {});
  }
}

/** Move the token from the address into this tab, or ask this platform's other tabs for it. */
export async function takeToken() {
  tabs.onmessage = ({ data }) => {
    const held = sessionStorage.getItem(TOKEN);
    if (data === "ask" && held) tabs.postMessage({ token: held });
  };
  const given = /^#token=([^&]*)(?:&place=(.*))?$/.exec(location.hash);
  if (given) {
    sessionStorage.setItem(TOKEN, given[1]);
    history.replaceState(null, "", `${location.pathname}#${given[2] ?? "/"}`);
  } else if (!sessionStorage.getItem(TOKEN)) {
    const answer = await askTabs();
    if (answer) sessionStorage.setItem(TOKEN, answer);
  }
}

/** @returns {Promise<string | undefined>} */
function askTabs() {
  return new Promise((resolve) => {
    const channel = new BroadcastChannel("local_platform");
    const stop = (/** @type {string} */ answer) => {
      channel.close();
      resolve(answer);
    };
    channel.onmessage = ({ data }) => data.token && stop(data.token);
    channel.postMessage("ask");
    setTimeout(stop, 300);
  });
}

/**
 * Call /id/method, for example call("job-x", "describe"); return the API's answer.
 * @param {string} id
 * @param {string} method
 * @param {Record<string, unknown>} body
 * @param {RequestInit} options such as {keepalive: true}, for a call that outlives the page
 * @returns {Promise<any>}
 */
export async function call(id, method, body = {}, options = {}) {
  const token = sessionStorage.getItem(TOKEN);
  if (!token) throw new ApiError("InvalidAuthentication", "This tab has no token");
  let reply, answer;
  try {
    reply = await fetch(`/${id}/${method}`, {
      method: "POST",
      headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
      body: JSON.stringify(body),
      ...options,
    });
    answer = await reply.json();
  } catch {
    noteWhether(false);
    throw new Unreachable("The platform does not answer.");
  }
  noteWhether(true);
  if (!reply.ok) throw refusal(answer);
  return answer;
}

/** @param {{error: {type: string, message: string}}} answer */
function refusal({ error }) {
  return new ApiError(error.type, error.message);
}

/**
 * Do something, again and again while nobody answers.
 * @template T
 * @param {() => Promise<T>} task
 * @param {AbortSignal} [signal]
 */
export async function untilAnswered(task, signal) {
  for (;;) {
    signal?.throwIfAborted();
    try {
      return await task();
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
    }
    await sleep(1000);
  }
}

/**
 * Return the newest data objects that are asked for and kept, at least `limit` if there are so many.
 * @param {Record<string, unknown>} query
 * @param {number} limit
 * @param {(one: DataObject) => boolean} [keep]
 * @returns {Promise<{found: DataObject[], next: unknown}>} `next` is null if these are all
 */
export async function findObjects(query, limit, keep) {
  const found = [];
  let next = null;
  do {
    const page = await call("system", "findDataObjects", {
      ...query,
      limit: keep ? LARGEST_PAGE : Math.min(limit, LARGEST_PAGE),
      ...(next && { starting: next }),
    });
    const described = page.results.map((/** @type {any} */ { describe }) => describe);
    found.push(...(keep ? described.filter(keep) : described));
    next = page.next;
  } while (next && found.length < limit);
  return { found, next };
}

/**
 * Return the descriptions of objects by ID, without those that were removed.
 * @param {string[]} ids
 * @returns {Promise<Map<string, DataObject>>}
 */
export async function describeObjects(ids) {
  if (ids.length === 0) return new Map();
  const { results } = await call("system", "describeDataObjects", { objects: ids });
  return new Map(
    results.flatMap((/** @type {any} */ one) => (one.describe ? [[one.describe.id, one.describe]] : [])),
  );
}

/**
 * Return an address for a file's bytes that works by itself for an hour.
 * @param {string} id
 * @param {boolean} inline
 */
export async function fileAddress(id, inline) {
  const { url } = await call(id, "download", { preauthenticated: true, duration: 3600 });
  const { pathname } = new URL(url);
  return pathname + (inline ? "?inline" : "");
}

/**
 * Send the bytes of a part to the address that /file-x/upload has given.
 * @param {string} url
 * @param {Record<string, string>} headers
 * @param {Blob} part
 * @param {AbortSignal} signal
 */
export async function putPart(url, headers, part, signal) {
  const { pathname } = new URL(url);
  let reply;
  try {
    reply = await fetch(pathname, { method: "PUT", headers, body: part, signal });
  } catch {
    signal.throwIfAborted();
    throw new Unreachable("The connection broke off.");
  }
  if (!reply.ok) throw refusal(await reply.json());
}

/**
 * Open a job's log: its frames go to `onFrame`, and why it closed to `onClose`.
 * @param {string} id
 * @param {(frame: any) => void} onFrame
 * @param {(event: CloseEvent) => void} onClose
 */
export function openLog(id, onFrame, onClose) {
  const socket = new WebSocket(`ws://${location.host}/${id}/getLog/websocket`);
  socket.onopen = () =>
    socket.send(
      JSON.stringify({
        access_token: sessionStorage.getItem(TOKEN),
        token_type: "Bearer",
        tail: true,
      }),
    );
  socket.onmessage = ({ data }) => onFrame(JSON.parse(data));
  socket.onclose = onClose;
  return () => socket.close(1000);
}

/** @param {number} milliseconds */
function sleep(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/**
 * Do something again and again until it says "enough" or the signal comes, also while nobody answers.
 * @param {() => Promise<unknown>} task
 * @param {number} milliseconds
 * @param {AbortSignal} signal
 */
export async function repeat(task, milliseconds, signal) {
  while (!signal.aborted) {
    try {
      if ((await task()) === "enough") return;
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
    }
    await sleep(milliseconds);
  }
}
