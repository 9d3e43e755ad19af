// The demo's end of the router process: starts it, asks it, collects its acknowledgements, kills it.
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { BackOfficeReport } from './back-office/report.ts';
import type { Acknowledgement, Answer, EventLine, Question, RouterSettings } from './control.ts';
import { acknowledgementsDescriptor, readAcknowledgement } from './control.ts';
import type { RouterReport } from './routing/router.ts';

/** Ctrl-C ends the router first; that it ended then ends the demo, which cleans up. */
const endings = ['SIGINT', 'SIGTERM'] as const;

/** The router process has ended without being asked to, or Ctrl-C has ended it. */
export class RouterEnded extends Error {}

type Started = Extract<Answer, { kind: 'started' }>;

export class RouterClient {
  readonly acknowledgements: Acknowledgement[] = [];
  /** What the router could not do, in its words. */
  readonly failures: string[] = [];
  /** Rejects if the router ends without being asked to. */
  readonly failure: Promise<never>;
  readonly #process: ChildProcess;
  readonly #ended: Promise<unknown>;
  #mayEnd = false;
  #isInterrupted = false;

  private constructor(settings: RouterSettings) {
    const program = fileURLToPath(new URL('./router-process.ts', import.meta.url));
    this.#process = spawn(process.execPath, [...process.execArgv, program, JSON.stringify(settings)], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc', 'pipe'],
    });
    const lines = createInterface({ input: this.#process.stdio[acknowledgementsDescriptor] as Readable });
    lines.on('line', (line) => this.acknowledgements.push(readAcknowledgement(line)));
    this.#process.on('message', (answer: Answer) => {
      if (answer.kind === 'failed') this.failures.push(answer.message);
    });
    this.#ended = Promise.all([once(this.#process, 'exit'), once(lines, 'close')]);
    this.failure = new Promise((_, reject) => {
      this.#process.once('exit', (code, signal) => {
        for (const name of endings) process.off(name, this.#interrupt);
        const byItself = `the router process ended by itself (${signal ?? `exit code ${code}`})`;
        if (!this.#mayEnd) reject(new RouterEnded(this.#isInterrupted ? 'interrupted' : byItself));
      });
    });
    this.failure.catch(() => {});
    for (const name of endings) process.on(name, this.#interrupt);
  }

  readonly #interrupt = (): void => {
    this.#isInterrupted = true;
    this.#process.kill('SIGKILL');
  };

  static async start(settings: RouterSettings): Promise<{ router: RouterClient; started: Started }> {
    const router = new RouterClient(settings);
    const started = await router.#next('started', () => true);
    return { router, started };
  }

  async report(): Promise<RouterReport> {
    this.#ask('report');
    return (await this.#next('report', () => true)).report;
  }

  /** Everything in the store and the log. */
  async events(): Promise<EventLine[]> {
    const events: EventLine[] = [];
    const all = this.#next('events', (answer) => {
      events.push(...answer.events);
      return answer.isLast;
    });
    this.#ask('events');
    await all;
    return events;
  }

  /** What the handlers behind the calls have made of everything that has happened. */
  async backOffice(): Promise<BackOfficeReport> {
    this.#ask('back-office');
    return (await this.#next('back-office', () => true)).report;
  }

  async stop(): Promise<void> {
    this.#mayEnd = true;
    this.#ask('stop');
    await this.#ended;
  }

  /** SIGKILL; resolves when the process is gone and the last line of its pipe is read. */
  async kill(): Promise<void> {
    this.#mayEnd = true;
    this.#process.kill('SIGKILL');
    await this.#ended;
  }

  #ask(question: Question): void {
    this.#process.send(question);
  }

  /** The answer of that kind which `isDone` accepts. */
  #next<Kind extends Answer['kind']>(
    kind: Kind,
    isDone: (answer: Extract<Answer, { kind: Kind }>) => boolean,
  ): Promise<Extract<Answer, { kind: Kind }>> {
    const answered = new Promise<Extract<Answer, { kind: Kind }>>((resolve) => {
      const listen = (message: Answer): void => {
        const answer = message as Extract<Answer, { kind: Kind }>;
        if (message.kind !== kind || !isDone(answer)) return;
        this.#process.off('message', listen);
        resolve(answer);
      };
      this.#process.on('message', listen);
    });
    return Promise.race([answered, this.failure]);
  }
}
