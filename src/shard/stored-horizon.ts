// How much of what this shard has said is in the store. The shard counts bytes of its ring, the store counts positions;
// marks tie the two together: at some moment so many bytes were in the log, and the log had come to that position.
import type { ControlBlock } from '../shared/control-block.ts';
import type { RingProducer } from '../shared/ring/producer.ts';

const markLimit = 1000; // a store that is unavailable for long is noticed less finely, not with more memory

export class StoredHorizon {
  private readonly ring: RingProducer;
  private readonly control: ControlBlock;
  private marks: { bytes: number; position: number }[] = [];
  /** Everything that the ring had published up to here is stored. */
  storedBytes = 0;

  constructor(ring: RingProducer, control: ControlBlock) {
    this.ring = ring;
    this.control = control;
  }

  /** Look again. */
  update(): void {
    const stored = this.control.position('remembered');
    while (this.marks.length > 0 && this.marks[0]!.position <= stored) this.storedBytes = this.marks.shift()!.bytes;
    // In this order: a position read later covers every byte that was in the log before.
    const bytes = this.ring.writtenBytes();
    if (this.marks.length >= markLimit || bytes === (this.marks.at(-1)?.bytes ?? this.storedBytes)) return;
    this.marks.push({ bytes, position: this.control.position('appended') });
  }
}
