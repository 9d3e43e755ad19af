// Entry of a process or a thread that takes a data directory, says how that went, and holds it until it ends.
import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { type DataDirectory, openDirectory } from '../src/runtime/directory.ts';

const held: DataDirectory[] = []; // one that nothing refers to is collected, and its lock goes with it

function take(dataDir: string): string {
  try {
    held.push(openDirectory(dataDir));
    return 'held';
  } catch (error) {
    return (error as { code: string }).code;
  }
}

if (isMainThread) {
  process.stdout.write(take(process.argv[2]!));
  process.stdin.resume();
} else parentPort!.postMessage(take(workerData as string));
