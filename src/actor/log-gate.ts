// What stands between commands and a log that is nearly full. The last part of the log is a reserve for internal traffic:
// messages and answers to questions, whose outcomes are what frees the log. Commands of users that have not begun wait here,
// or are refused (`whenFull: 'reject'`). Owned by a shard's thread.
//
// Invariants: what is held leaves in its order, before anything that has come later; an internal command is never held.
import { type Levels, LevelWord, LogRoom, logFull } from '../log/levels.ts';
import type { Command } from './command.ts';

export class LogGate {
  private readonly levels: Levels;
  private held: Command[] = [];
  private first = 0;

  constructor(levels: Levels) {
    this.levels = levels;
  }

  /** Keep it until the log has room, if it may not begin now. @throws LogFull */
  holds(command: Command): boolean {
    if (command.isInternal || !this.isShut) return false;
    if (this.rejects) throw logFull(this.levels, this.levels.position('admitBytes'));
    this.held.push(command);
    return true;
  }

  /** Whether there are commands that need wait no longer. */
  get hasReleased(): boolean {
    return this.first < this.held.length && !this.isShut;
  }

  /** The next of them. */
  release(): Command | undefined {
    if (!this.hasReleased) return undefined;
    const command = this.held[this.first++]!;
    if (this.first === this.held.length) {
      this.held = [];
      this.first = 0;
    }
    return command;
  }

  private get rejects(): boolean {
    return this.levels.flag(LevelWord.rejectsWhenFull) !== 0;
  }

  /** Where commands are rejected, those already let in have some room more. */
  private get isShut(): boolean {
    const room = this.levels.flag(LevelWord.full);
    return room !== LogRoom.plenty && (room === LogRoom.reserve || !this.rejects);
  }
}
