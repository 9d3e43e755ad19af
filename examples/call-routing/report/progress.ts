// One line that moves while calls are placed; silent where stdout is no terminal.
import type { WriteStream } from 'node:tty';

const drawEveryMs = 100;

export interface Progress {
  stop(): void;
}

export function startProgress(describe: () => string, output: WriteStream = process.stdout): Progress {
  if (!output.isTTY) return { stop() {} };
  const draw = (): void => {
    output.write(`\r\u001b[K  ${describe()}`);
  };
  const timer = setInterval(draw, drawEveryMs);
  return {
    stop() {
      clearInterval(timer);
      output.write('\r\u001b[K');
    },
  };
}
