/** "Did you mean …?" for keys of a file and words of a command line. */

/** The known word that needs the fewest edits (Levenshtein), or null when none is within two edits or a third of the word. */
export function nearestWord(word: string, known: readonly string[]): string | null {
  // A word of a megabyte is no misspelling, and the comparison is quadratic.
  if (word.length > 64) return null;
  const allowed = Math.max(2, Math.floor(word.length / 3));
  const ranked = known
    .map((each) => ({ each, distance: editDistance(word, each) }))
    .toSorted((a, b) => a.distance - b.distance);
  const best = ranked[0];
  return best !== undefined && best.distance <= allowed && best.distance < word.length ? best.each : null;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 0; i < a.length; i += 1) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j += 1) {
      const replaced = (row[j] ?? 0) + (a[i] === b[j] ? 0 : 1);
      next.push(Math.min((row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1, replaced));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
