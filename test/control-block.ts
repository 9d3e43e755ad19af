// The control block for tests that play several threads: it writes every word.
import { type By, ControlBlockWriter } from '../src/shared/control-block.ts';
import { Parker } from '../src/shared/notifier.ts';

export class TestControlBlock extends ControlBlockWriter<any> {
  constructor(memory?: SharedArrayBuffer) {
    super('host', memory);
  }

  /** The sleeper's side of any thread's word. */
  parkerOf(word: By<'notifier'>): Parker {
    return new Parker(this.signals, word);
  }
}
