// A walk over the frames of a log, one chunk at a time.
import { FrameReader } from '../frame.ts';
import type { LogSource } from './log.ts';

/** Visit every frame from position `from` up to `to`, in order. The reader is pointed at it and valid during the visit. */
export function eachFrame(
  log: LogSource,
  from: number,
  to: number,
  visit: (frame: FrameReader, position: number) => void,
): void {
  const frame = new FrameReader(Buffer.alloc(0));
  for (let next = from; next <= to; ) {
    const chunk = log.read(next);
    if (chunk === undefined) return;
    frame.over(chunk.frames).at(0);
    for (let i = 0; i < chunk.count; i++) {
      const position = chunk.firstPosition + i;
      if (position >= next && position <= to) visit(frame, position);
      if (i + 1 < chunk.count) frame.at(frame.next);
    }
    next = chunk.firstPosition + chunk.count;
  }
}
