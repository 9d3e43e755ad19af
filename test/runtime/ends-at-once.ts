// A thread's file that never gets as far as a task. `workerData.way`: it throws, or ends its thread.
import { workerData } from 'node:worker_threads';

if (workerData.way === 'throws') throw new Error('no such thread');
process.exit(0);

export default (): void => {};
