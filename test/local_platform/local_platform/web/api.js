// A client of the API: its calls, the token, which stays in this tab, and whether anybody answers.

const TOKEN = "local_platform_token";
const tabs = new BroadcastChannel("local_platform");

/** A refusal, in the platform's words; `type` is that of the API, such as InvalidInput. */
export class ApiError extends Error {
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

function askTabs() {
  return new Promise((resolve) => {
    const channel = new BroadcastChannel("local_platform");
    const stop = (answer) => {
      channel.close();
      resolve(answer);
    };
    channel.onmessage = ({ data }) => data.token && stop(data.token);
    channel.postMessage("ask");
    setTimeout(stop, 300);
  });
}

/** Call /id/method, for example call("job-x", "describe"); answers as the API does. */
export async function call(id, method, body = {}) {
  const token = sessionStorage.getItem(TOKEN);
  if (!token) throw new ApiError("InvalidAuthentication", "This tab has no token");
  let reply, answer;
  try {
    reply = await fetch(`/${id}/${method}`, {
      method: "POST",
      headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    answer = await reply.json();
  } catch {
    noteWhether(false);
    throw new Unreachable("The platform does not answer.");
  }
  noteWhether(true);
  if (!reply.ok) throw new ApiError(answer.error.type, answer.error.message);
  return answer;
}

/** Return the data objects asked for and where to go on, leaving out those that `keep` refuses. */
export async function findObjects(query, limit, keep = () => true) {
  const found = [];
  let next = query.starting;
  do {
    const body = { ...query, limit: Math.min(limit * 2, 1000), ...(next && { starting: next }) };
    const page = await call("system", "findDataObjects", body);
    found.push(...page.results.map((result) => result.describe).filter(keep));
    next = page.next;
  } while (next && found.length < limit);
  return { found, next };
}

/** Return the descriptions of objects by ID; of one that is gone there is none. */
export async function describeObjects(ids) {
  if (ids.length === 0) return new Map();
  const { results } = await call("system", "describeDataObjects", { objects: ids });
  return new Map(results.flatMap((one) => (one.describe ? [[one.describe.id, one.describe]] : [])));
}

/** Return an address for a file's bytes that works by itself for an hour. */
export async function fileAddress(id, inline) {
  const { url } = await call(id, "download", { preauthenticated: true, duration: 3600 });
  const { pathname, search } = new URL(url);
  return pathname + search + (inline ? "&inline" : "");
}

/** Open a job's log: its frames go to `onFrame`, and why it closed to `onClose`. */
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

export function sleep(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Do something again and again until the signal; while nobody answers, try on. */
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
