// The host's side of commands, in the one order in which each part gets those that it needs: the sender, the deliveries of
// messages, which send, and the turns, which read what both are answered. Host thread.

import type { Bus } from '../bus/bus.ts';
import type { AnyAggregate } from '../model/aggregate.ts';
import type { Evolution } from '../model/evolution.ts';
import type { MessageSettings } from '../model/message-options.ts';
import type { Level } from '../model/receipt.ts';
import type { ControlBlockWriter } from '../shared/control-block.ts';
import type { DeliveryEvents } from '../wire/message.ts';
import { CommandTaps } from './command-taps.ts';
import { Deliveries } from './deliveries.ts';
import { CommandDispatcher, type DispatcherOptions } from './dispatcher.ts';
import type { Refused } from './fences.ts';
import type { InFlight } from './in-flight.ts';
import type { Progress } from './progress.ts';
import { whenConfirmed } from './receipt.ts';
import { Refs } from './refs.ts';
import type { Refusals } from './refusals.ts';
import type { StoreAnswers } from './store-answers.ts';
import type { TimerFeed } from './timer-feed.ts';
import { Turns } from './turns.ts';

export interface DispatchParts {
  readonly aggregates: readonly AnyAggregate[];
  readonly control: ControlBlockWriter<'host'>;
  readonly bus: Bus;
  readonly answers: StoreAnswers;
  readonly options: DispatcherOptions;
  /** How the events of entities are read. */
  readonly entityEvents: Evolution;
  readonly messages: { readonly settings: MessageSettings; readonly events: DeliveryEvents };
  /** Gets an exception that is expected nowhere, and must not throw. */
  report(error: unknown): void;
}

export class Dispatch {
  readonly dispatcher: CommandDispatcher;
  readonly deliveries: Deliveries;
  readonly timers: TimerFeed;
  readonly refs: Refs;
  readonly taps: CommandTaps = new CommandTaps();
  private readonly turns: Turns;

  constructor({ aggregates, control, bus, answers, options, entityEvents, messages, report }: DispatchParts) {
    this.dispatcher = new CommandDispatcher(aggregates, control, options, answers, this.taps);
    this.deliveries = new Deliveries(this.dispatcher, control, messages.settings, messages.events);
    this.timers = this.deliveries.timers;
    this.refs = new Refs(aggregates, this.dispatcher);
    const { inFlight, progress, refusals } = this.dispatcher;
    const { taps } = this;
    const parts = {
      inFlight,
      progress,
      refusals,
      answers,
      taps,
      entityEvents,
      sender: this.dispatcher,
      deliveries: this.deliveries,
      timers: this.timers,
    };
    this.turns = new Turns(parts, control, bus, report);
  }

  get inFlight(): InFlight {
    return this.dispatcher.inFlight;
  }

  /** Everything up to this position, at the level as receipts have it. */
  reached(level: Level, position: number, signal: AbortSignal | undefined): Promise<void> {
    return whenConfirmed(this.progress, level, position, signal, undefined);
  }

  get progress(): Progress {
    return this.dispatcher.progress;
  }

  get refusals(): Refusals {
    return this.dispatcher.refusals;
  }

  /** Handle everything that has happened since the last turn, then ask to be woken. Throws nothing. */
  turn(): void {
    this.turns.turn();
  }

  /** The store has refused these: their actors go before any later command, and what their lanes have sent may be void. */
  fence(refused: readonly Refused[]): void {
    this.dispatcher.fence(refused);
    this.deliveries.fenced(refused);
  }
}
