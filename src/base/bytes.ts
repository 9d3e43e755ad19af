// Node's own string codecs on Buffer: the methods behind write() and toString(), without their argument juggling.
// Untyped in @types/node, present in every Node; half the cost of the documented ones on short texts.

export type Bytes = Buffer & {
  /** returns the bytes written */
  utf8Write(text: string, offset: number, length?: number): number;
  utf8Slice(start: number, end: number): string;
  latin1Slice(start: number, end: number): string;
  hexWrite(text: string, offset: number, length?: number): number;
  hexSlice(start: number, end: number): string;
};

export const toBytes = (buffer: Buffer): Bytes => buffer as Bytes;

export const isPowerOfTwo = (n: number): boolean => Number.isInteger(n) && n > 0 && (n & (n - 1)) === 0;
