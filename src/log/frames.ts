// A walk over the frames of a log, one chunk at a time.
import { FrameReader } from '../wire/frame.ts';
import type { LogSource } from './log.ts';

/**
 * Visit every frame from position `from` up to `to`, in order, until a visit returns false. The reader is pointed at the frame
 * and valid during the visit.
 */
export function eachFrame(
  log: LogSource,
  from: number,
  to: number,
  visit: (frame: FrameReader, position: number) => unknown,
): void {
  const frame = new FrameReader(Buffer.alloc(0));
  for (let next = from; next <= to; ) {
    const chunk = log.read(next);
    if (chunk === undefined) return;
    frame.over(chunk.frames).at(0);
    for (let i = 0; i < chunk.count; i++) {
      const position = chunk.firstPosition + i;
      if (position > to) return;
      if (position >= next && visit(frame, position) === false) return;
      if (i + 1 < chunk.count) frame.at(frame.next);
    }
    next = chunk.firstPosition + chunk.count;
  }
}
