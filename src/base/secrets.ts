// Secrets that change while the runtime runs: a password or token as a function, called for each connection. A function stays
// in the thread that made the options. Other threads get its place (`SecretPlace`), and ask over a channel of that thread's;
// the function is called where it is, and its text sent back.
//
// Invariants: we keep no secret beyond the connection it was asked for. An asking thread waits for a part of the time that
// its connection has, never longer: the other thread may be blocked, closing or gone. What a function throws rejects.

import type { BroadcastChannel } from 'node:worker_threads';
import { clearTimeout, setTimeout } from './clock.ts';
import { guarded, unawaited } from './guarded.ts';
import { randomUUID } from './random.ts';
import { tame } from './tame.ts';

/** A password or token; or a function that gives the one of now, called for each connection. */
export type Secret = string | (() => string | Promise<string>);

type SecretFunction = Exclude<Secret, string>;

/** Where a function is, for another thread. */
interface SecretPlace {
  readonly secretChannel: string;
  readonly secret: number;
}

interface Question {
  readonly question: string;
  readonly secret: number;
}

interface Answer {
  readonly answer: string;
  readonly text?: string;
  readonly fault?: string;
}

/** Of a connection's time, the part in which its secret must be there: so that the error says what was missing. */
const share = 0.75;
const unboundedMs = 10_000; // for a connection without a bound of its own

/** A secret's function has failed, has given no text, or is late: it may do better at the next attempt. */
export class SecretMissing extends Error {
  override readonly name: string = 'SecretMissing';
}

/** The password of now, for a connection that may take `connectMs`. @throws SecretMissing */
export async function secretText(secret: Secret, connectMs: number): Promise<string> {
  if (typeof secret === 'string') return secret;
  const boundMs = (connectMs || unboundedMs) * share;
  if (typeof secret !== 'function') return asked(secret, boundMs);
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    guarded(() => late.reject(tooLate(boundMs))),
    boundMs,
  );
  try {
    return await Promise.race([called(secret), late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** As {@link secretText}, for a token: one word of printable ASCII, as headers and SASL take it. @throws SecretMissing */
export async function tokenText(secret: Secret, connectMs: number): Promise<string> {
  const text = await secretText(secret, connectMs);
  if (!isToken(text)) throw new SecretMissing('the function for a token gave one with spaces or other characters');
  return text;
}

export const isToken = (text: string): boolean => /^[\x21-\x7e]+$/.test(text);

/** For another thread: a function's place instead of the function. The options that hold the function must stay alive. */
export function forThread<Given extends Secret | undefined>(secret: Given): Given {
  return typeof secret === 'function' ? (placeOf(secret) as unknown as Given) : secret;
}

const tooLate = (ms: number): Error =>
  new SecretMissing(`the function for a password or token has not answered within ${Math.round(ms)} ms`);

async function called(secret: SecretFunction): Promise<string> {
  let text: unknown;
  try {
    text = await secret();
  } catch (error) {
    throw new SecretMissing(`the function for a password or token has failed: ${tame(error)}`);
  }
  if (typeof text !== 'string') {
    throw new SecretMissing(`the function for a password or token gave a value of type ${typeof text}, not text`);
  }
  // PLAIN separates its fields by it, and protocols of databases end a text there.
  if (text === '' || text.includes('\0')) {
    throw new SecretMissing('the function for a password or token gave an empty text, or one with U+0000');
  }
  return text;
}

// Loaded where a secret is a function: each import of the package would pay for them.
const channel = (name: string): BroadcastChannel =>
  new (process.getBuiltinModule('node:worker_threads').BroadcastChannel)(name);

/** The timer keeps the thread alive, as the connection does or will. */
async function asked({ secretChannel, secret }: SecretPlace, boundMs: number): Promise<string> {
  const asking = channel(secretChannel);
  const question = randomUUID();
  const reply = Promise.withResolvers<string>();
  const late = setTimeout(
    guarded(() => reply.reject(tooLate(boundMs))),
    boundMs,
  );
  asking.onmessage = guarded((event: unknown) => {
    const { answer, text, fault } = (event as { data: Answer }).data;
    if (answer !== question) return; // another connection's
    if (text === undefined) reply.reject(new SecretMissing(fault));
    else reply.resolve(text);
  });
  asking.unref();
  try {
    asking.postMessage({ question, secret } satisfies Question);
    return await reply.promise;
  } finally {
    clearTimeout(late);
    asking.close();
  }
}

/** This thread's functions by place. Weak: the options hold them. */
const functions = new Map<number, WeakRef<SecretFunction>>();
const places = new WeakMap<SecretFunction, number>();
const forgotten = new FinalizationRegistry<number>((place) => functions.delete(place));
let channelName = '';
let answering: BroadcastChannel | undefined;
let next = 0;

function placeOf(secret: SecretFunction): SecretPlace {
  if (answering === undefined) {
    channelName = `trunkline secrets ${randomUUID()}`;
    answering = channel(channelName);
    answering.onmessage = guarded((event: unknown) => unawaited(answer((event as { data: Question }).data)));
    answering.unref();
  }
  let place = places.get(secret);
  if (place === undefined) {
    place = next++;
    places.set(secret, place);
    functions.set(place, new WeakRef(secret));
    forgotten.register(secret, place);
  }
  return { secretChannel: channelName, secret: place };
}

async function answer({ question, secret }: Question): Promise<void> {
  let reply: Answer;
  try {
    const asked = functions.get(secret)?.deref();
    if (asked === undefined) throw new SecretMissing('the options that hold a function for a password are gone');
    reply = { answer: question, text: await called(asked) };
  } catch (error) {
    reply = { answer: question, fault: tame(error) };
  }
  answering?.postMessage(reply);
}
