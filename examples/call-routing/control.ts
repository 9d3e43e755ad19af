// What the demo and its router process say to each other over IPC, and the pipe beside it on which every acknowledgement is
// written, synchronously, before the SIP message that depends on it leaves: so the demo knows of each that anyone can know.
import { writeSync } from 'node:fs';
import type { BackOfficeReport } from './back-office/report.ts';
import type { AdmissionOptions } from './proxy/admission.ts';
import type { Provision } from './routing/provision.ts';
import type { RouterReport } from './routing/router.ts';
import type { Address } from './sip/message.ts';

export interface RouterSettings {
  readonly dataDir: string;
  readonly trunks: Readonly<Record<string, Address>>;
  readonly provision: Provision;
  readonly admission: AdmissionOptions;
  readonly refusalsPerMinute: number;
  /** Connection string; undefined: events are kept in `dataDir`. */
  readonly postgres: string | undefined;
  /** host:port of a Kafka broker that events are published to; undefined: none. */
  readonly kafka: string | undefined;
}

export type Question = 'report' | 'events' | 'back-office' | 'stop';

export type Answer =
  | { readonly kind: 'started'; readonly address: Address; readonly startMs: number; readonly closedCalls: number }
  | { readonly kind: 'report'; readonly report: RouterReport }
  | { readonly kind: 'events'; readonly events: readonly EventLine[]; readonly isLast: boolean }
  | { readonly kind: 'back-office'; readonly report: BackOfficeReport }
  | { readonly kind: 'failed'; readonly message: string };

/** An event, as much of it as the demo checks. */
export interface EventLine {
  readonly id: string;
  readonly aggregate: string;
  readonly version: number;
  readonly type: string;
  /** Call-ID in CallCreated, the call in what a call caused elsewhere. */
  readonly about: string;
}

/** A command's acknowledgement: the aggregate's version after it, and the ids of its events. */
export interface Acknowledgement {
  readonly aggregate: string;
  readonly version: number;
  readonly eventIds: readonly string[];
}

/** The descriptor of the pipe in the router process. */
export const acknowledgementsDescriptor = 4;

export function writeAcknowledgement({ aggregate, version, eventIds }: Acknowledgement): void {
  writeSync(acknowledgementsDescriptor, `${aggregate} ${version} ${eventIds.join(',')}\n`);
}

export function readAcknowledgement(line: string): Acknowledgement {
  const [aggregate, version, eventIds] = line.split(' ') as [string, string, string];
  return { aggregate, version: Number(version), eventIds: eventIds === '' ? [] : eventIds.split(',') };
}
