// Names of the user's as identifiers that every format takes: keys of AsyncAPI, names of files, parts of addresses.

/** Names may have 100 bytes and more; a file's name 255 in all. */
const partLengthMost = 60;

/** Gives each place a key of its own: readable, the same for the same places in the same order. */
export class Keys {
  private readonly byPlace = new Map<string, string>();
  /** In small letters: some file systems take two names that differ in case for one. */
  private readonly taken = new Set<string>();

  /** `parts`: as `order`, `Placed`, `1`. */
  of(...parts: readonly (string | number)[]): string {
    const place = JSON.stringify(parts);
    let key = this.byPlace.get(place);
    if (key === undefined) {
      key = this.free(parts.map(plain).join('.'));
      this.byPlace.set(place, key);
    }
    return key;
  }

  private free(wanted: string): string {
    let key = wanted;
    for (let i = 2; this.taken.has(key.toLowerCase()); i++) key = `${wanted}-${i}`;
    this.taken.add(key.toLowerCase());
    return key;
  }
}

const plain = (part: string | number): string =>
  String(part)
    .slice(0, partLengthMost)
    .replaceAll(/[^\w.-]/g, '_')
    .replace(/^\./, '_');
