// MD5 (RFC 1321), which the API asks of each part of an upload, and which browsers do not have.

const SINES = Int32Array.from({ length: 64 }, (_, n) => Math.floor(Math.abs(Math.sin(n + 1)) * 2 ** 32));
const BLOCK = 64;

/**
 * Return the MD5 of a blob in hexadecimal digits; it is read piece by piece.
 * @param {Blob} blob
 * @param {AbortSignal} [signal] stops the reading, which then throws the signal's reason
 */
export async function md5(blob, signal) {
  const state = Int32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476);
  let rest = new Uint8Array(0);
  const reader = blob.stream().getReader();
  for (;;) {
    signal?.throwIfAborted();
    const { done, value } = await reader.read();
    if (done) break;
    const bytes = join(rest, value);
    const whole = bytes.length - (bytes.length % BLOCK);
    addBlocks(state, bytes.subarray(0, whole));
    rest = bytes.slice(whole);
  }
  const padded = new Uint8Array(rest.length < BLOCK - 8 ? BLOCK : 2 * BLOCK);
  padded.set(rest);
  padded[rest.length] = 0x80;
  new DataView(padded.buffer).setBigUint64(padded.length - 8, BigInt(blob.size) * 8n, true);
  addBlocks(state, padded);
  return [...new Uint8Array(state.buffer)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * @param {Uint8Array} first
 * @param {Uint8Array} second
 */
function join(first, second) {
  const joined = new Uint8Array(first.length + second.length);
  joined.set(first);
  joined.set(second, first.length);
  return joined;
}

/**
 * Add whole blocks, which begin at their buffer's first byte; words are little-endian, as in every browser.
 * @param {Int32Array} state
 * @param {Uint8Array} bytes
 */
function addBlocks(state, bytes) {
  const words = new Int32Array(bytes.buffer, 0, bytes.length / 4);
  let [a, b, c, d] = state;
  for (let at = 0; at < words.length; at += BLOCK / 4) {
    const [a0, b0, c0, d0] = [a, b, c, d];
    for (let n = 0; n < 16; n += 4) {
      a = step(a, b, (b & c) | (~b & d), words[at + n], SINES[n], 7);
      d = step(d, a, (a & b) | (~a & c), words[at + n + 1], SINES[n + 1], 12);
      c = step(c, d, (d & a) | (~d & b), words[at + n + 2], SINES[n + 2], 17);
      b = step(b, c, (c & d) | (~c & a), words[at + n + 3], SINES[n + 3], 22);
    }
    for (let n = 16; n < 32; n += 4) {
      a = step(a, b, (d & b) | (~d & c), words[at + ((5 * n + 1) & 15)], SINES[n], 5);
      d = step(d, a, (c & a) | (~c & b), words[at + ((5 * n + 6) & 15)], SINES[n + 1], 9);
      c = step(c, d, (b & d) | (~b & a), words[at + ((5 * n + 11) & 15)], SINES[n + 2], 14);
      b = step(b, c, (a & c) | (~a & d), words[at + ((5 * n) & 15)], SINES[n + 3], 20);
    }
    for (let n = 32; n < 48; n += 4) {
      a = step(a, b, b ^ c ^ d, words[at + ((3 * n + 5) & 15)], SINES[n], 4);
      d = step(d, a, a ^ b ^ c, words[at + ((3 * n + 8) & 15)], SINES[n + 1], 11);
      c = step(c, d, d ^ a ^ b, words[at + ((3 * n + 11) & 15)], SINES[n + 2], 16);
      b = step(b, c, c ^ d ^ a, words[at + ((3 * n + 14) & 15)], SINES[n + 3], 23);
    }
    for (let n = 48; n < 64; n += 4) {
      a = step(a, b, c ^ (b | ~d), words[at + ((7 * n) & 15)], SINES[n], 6);
      d = step(d, a, b ^ (a | ~c), words[at + ((7 * n + 7) & 15)], SINES[n + 1], 10);
      c = step(c, d, a ^ (d | ~b), words[at + ((7 * n + 14) & 15)], SINES[n + 2], 15);
      b = step(b, c, d ^ (c | ~a), words[at + ((7 * n + 21) & 15)], SINES[n + 3], 21);
    }
    [a, b, c, d] = [(a + a0) | 0, (b + b0) | 0, (c + c0) | 0, (d + d0) | 0];
  }
  state.set([a, b, c, d]);
}

/** @type {(a: number, b: number, mixed: number, word: number, sine: number, by: number) => number} */
function step(a, b, mixed, word, sine, by) {
  const sum = (a + mixed + word + sine) | 0;
  return (((sum << by) | (sum >>> (32 - by))) + b) | 0;
}
