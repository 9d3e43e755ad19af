// The router as the demo's child process. It ends on request, when its parent goes, or when it is killed.
import { join } from 'node:path';
import type { StoredEvent } from 'trunkline';
import type { Answer, EventLine, Question, RouterSettings } from './control.ts';
import { writeAcknowledgement } from './control.ts';
import { startRouter } from './routing/router.ts';

const eventsPerMessage = 1_000;

const settings = JSON.parse(process.argv[2]!) as RouterSettings;
const cdrFile = join(settings.dataDir, 'call-records.csv');
let isStopping = false;
// No router outlives its demo. It ends as by a kill: the log is made for that.
process.once('disconnect', () => isStopping || process.kill(process.pid, 'SIGKILL'));

const router = await startRouter({
  ...settings,
  listen: { host: '127.0.0.1', port: 0 },
  market: true,
  acknowledged: (aggregateType, id, { version, events }) =>
    writeAcknowledgement({ aggregate: `${aggregateType}/${id}`, version, eventIds: events.map((event) => event.id) }),
  failed: (error) => answer({ kind: 'failed', message: String(error) }),
});
const { address, startMs, closedCalls } = router;
process.on('message', (question: Question) => void reply(question));
answer({ kind: 'started', address, startMs, closedCalls });

async function reply(question: Question): Promise<void> {
  if (question === 'report') answer({ kind: 'report', report: router.report() });
  else if (question === 'events') await answerEvents();
  else if (question === 'back-office') answer({ kind: 'back-office', report: await router.backOffice(cdrFile) });
  else {
    isStopping = true;
    await router.stop();
    process.disconnect();
  }
}

async function answerEvents(): Promise<void> {
  let events: EventLine[] = [];
  for await (const event of router.events()) {
    events.push(lineOf(event));
    if (events.length < eventsPerMessage) continue;
    answer({ kind: 'events', events, isLast: false });
    events = [];
  }
  answer({ kind: 'events', events, isLast: true });
}

function lineOf({ id, aggregateType, aggregateId, version, type, data }: StoredEvent): EventLine {
  const { sipCallId, callId } = data as { sipCallId?: string; callId?: string };
  return { id, aggregate: `${aggregateType}/${aggregateId}`, version, type, about: sipCallId ?? callId ?? '' };
}

function answer(message: Answer): void {
  process.send?.(message);
}
