// Finds where a text says what a line of its summary quotes.

/** Words with their places. Letters and digits are words, of any script. */
const words = (text) =>
  Array.from(text.matchAll(/[\p{L}\p{N}]+/gu), ({ 0: word, index }) => ({
    word: word.toLowerCase(),
    start: index,
    end: index + word.length,
  }));

/** The text that was searched last, and its words: a summary has several lines. */
let last = { text: "", words: [] };

/** The most words between the first and the last of a shortened quote, for each that it kept. */
const SPREAD = 6;

/**
 * Places `{ start, end }` of a line's words in the text, neighbours as one: where they follow each other most closely. None
 * where they don't all follow each other.
 */
export function find(text, line) {
  if (last.text !== text) last = { text, words: words(text) };
  const all = last.words;
  const wanted = words(line).map(({ word }) => word);
  if (wanted.length === 0) return [];
  const most = wanted.length * SPREAD;
  let best = null;
  for (let first = 0; first + wanted.length <= all.length; first++) {
    if (all[first].word !== wanted[0]) continue;
    const found = [first];
    const end = Math.min(all.length, first + most);
    for (let at = first + 1; at < end && found.length < wanted.length; at++) {
      if (all[at].word === wanted[found.length]) found.push(at);
    }
    if (found.length < wanted.length) continue;
    const span = found.at(-1) - first;
    if (!best || span < best.span) best = { found, span };
    if (span === wanted.length - 1) break;
  }
  if (!best) return [];
  const places = [];
  let before = NaN;
  for (const at of best.found) {
    if (at === before + 1) places.at(-1).end = all[at].end;
    else places.push({ start: all[at].start, end: all[at].end });
    before = at;
  }
  // A sentence ends with its full stop.
  places.at(-1).end += text.slice(places.at(-1).end).match(/^[.!?…]*["'”’)]*/u)[0].length;
  return places;
}
