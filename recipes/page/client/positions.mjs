// Positions in a text, in the two units that meet here: JavaScript counts UTF-16
// units, the worker counts bytes of UTF-8.

const isAscii = (text) => !/[^\0-\x7f]/.test(text);

// How many units of UTF-16 and bytes of UTF-8 the character at `index` has. Half
// a surrogate pair is sent as U+FFFD, which has three bytes.
function sizes(text, index) {
  const code = text.codePointAt(index);
  if (code < 0x80) return [1, 1];
  if (code < 0x800) return [1, 2];
  return code < 0x10000 ? [1, 3] : [2, 4];
}

// How far whole characters go while both counts of what they take are within.
function walk(text, areWithin) {
  let [index, offset] = [0, 0];
  while (index < text.length) {
    const [units, bytes] = sizes(text, index);
    if (!areWithin(index + units, offset + bytes)) break;
    index += units;
    offset += bytes;
  }
  return { index, offset };
}

const nearest = (position, end) => Math.max(0, Math.min(position, end));

/**
 * The number of bytes before `index`. An index inside a surrogate pair counts as
 * the one before the pair, one outside the text as the nearer end.
 * @param {string} text
 * @param {number} index in units of UTF-16
 */
export function toByteOffset(text, index) {
  return isAscii(text) ? nearest(index, text.length) : walk(text, (units) => units <= index).offset;
}

/**
 * The inverse: which index has `offset` bytes before it. An offset inside a
 * character counts as its beginning, one outside the text as the nearer end.
 * @param {string} text
 * @param {number} offset in bytes of UTF-8
 */
export function fromByteOffset(text, offset) {
  return isAscii(text) ? nearest(offset, text.length) : walk(text, (_, bytes) => bytes <= offset).index;
}

/** A location of the worker's, in units of UTF-16 of `source`. */
export function fromByteLocation(source, { loc_start, loc_end }) {
  const convert = (p) => ({
    ...p,
    pos_cnum: fromByteOffset(source, p.pos_cnum),
    pos_bol: fromByteOffset(source, p.pos_bol),
  });
  return { loc_start: convert(loc_start), loc_end: convert(loc_end) };
}
