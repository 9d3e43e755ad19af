// A word by which one thread sees that the event loop of another turns. It is compared for being equal only, and never moves 2^32 times
// between two looks.

export class Heartbeat {
  readonly memory: SharedArrayBuffer;
  private readonly word: Int32Array;

  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(4)) {
    this.memory = memory;
    this.word = new Int32Array(memory);
  }

  /** The thread that is looked at. */
  beat(): void {
    Atomics.add(this.word, 0, 1);
  }

  /** The thread that looks. */
  get count(): number {
    return Atomics.load(this.word, 0);
  }
}
