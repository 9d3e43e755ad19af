// A module of a user's that never comes to an end as it starts: a context, a sink, or a handler. The query `way`: `loops` holds
// the thread, `waits` awaits what never comes, `imports` does so while it is imported, `opens` is a sink that holds it when it opens.
const way = new URL(import.meta.url).searchParams.get('way');

function never(): Promise<never> {
  if (way === 'waits') return new Promise(() => {});
  for (;;);
}

if (way === 'imports') await new Promise(() => {});

export const createSink = (): unknown => (way === 'opens' ? { open: never, write() {}, close() {} } : never());

export default never;
