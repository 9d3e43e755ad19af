// Random numbers and names: all of src has them from here, so that a simulation can replace them by those of a seed. Any thread.
// The library is loaded at the first use: each import of the package would pay for it.
const crypto = (): typeof import('node:crypto') => process.getBuiltinModule('node:crypto');

export const randomUUID = (): string => crypto().randomUUID();
export const randomBytes = (size: number): Buffer => crypto().randomBytes(size);
/** An integer from 0 on and below `end`. */
export const randomInt = (end: number): number => crypto().randomInt(end);
export const fillRandom = (bytes: Uint8Array<ArrayBuffer>): void => void crypto().getRandomValues(bytes);
/** A fraction from 0 on and below 1, for what may be guessed. */
export const random: () => number = Math.random;
