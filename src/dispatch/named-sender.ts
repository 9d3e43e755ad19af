// Commands that an aggregate sends to another: by names, their input as JSON already. Questions and messages go this way.
import type { SendOptions } from '../model/aggregate.ts';
import type { Receipt } from '../model/receipt.ts';

/** How a command of another aggregate's is sent. */
export interface NamedSendOptions extends SendOptions {
  /** What `DeadlineExceeded` names: the deadline that was set, of which `deadlineMs` is what remains. */
  toldDeadlineMs?: number;
  /** It comes from an aggregate: see `admitInternal`. */
  isInternal: true;
  /** The aggregates that wait for its outcome: `Command.askers`. */
  askers?: string;
  /**
   * Its reply is in the log, with frames from this position on, its outcome among them: called in the turn in which that is
   * read, before anything counts as read.
   */
  onOutcome?: (position: number) => void;
}

export interface NamedSender {
  /** @throws UnknownAggregateType, UnknownCommand, InvalidId, TooManyInFlight (as rejections) */
  sendNamed(
    type: string,
    command: string,
    id: string,
    inputJson: string,
    metadataJson: string,
    options: NamedSendOptions,
  ): Promise<Receipt<unknown>>;
}
