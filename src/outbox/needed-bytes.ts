// How many bytes of the log's groups that came from the outbox some reader of the log still needs: those of this run. Host thread.

interface Group {
  readonly bytes: number;
  /** Of its last frame; undefined: it is in the ring. */
  position: number | undefined;
}

export class NeededBytes {
  /** In the order of the log. */
  private readonly groups: Group[] = [];
  private total = 0;
  private inLog = 0;

  /** A group is in the ring, behind all others. */
  add(bytes: number): void {
    this.groups.push({ bytes, position: undefined });
    this.total += bytes;
  }

  /** The first group of those in the ring is in the log. */
  written(position: number): void {
    this.groups[this.inLog++]!.position = position;
  }

  /** `floor`: the lowest position that a reader still needs. */
  from(floor: number): number {
    let passed = 0;
    for (; passed < this.inLog && this.groups[passed]!.position! < floor; passed++) {
      this.total -= this.groups[passed]!.bytes;
    }
    this.groups.splice(0, passed);
    this.inLog -= passed;
    return this.total;
  }
}
