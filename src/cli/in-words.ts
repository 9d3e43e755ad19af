// What a function calls its options, in the words of the command line that they have come from: an error then names what the user
// has written, and counts as wrong use (exit code 2).

import { isError, TrunklineError } from '../base/errors.ts';
import { own } from '../base/own.ts';

/** Words by the names of options. @throws InvalidOptions and InvalidId of the work's, of the word */
export async function inWords<T>(words: Readonly<Record<string, string>>, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (isError(error, 'InvalidId')) {
      const option = own(words, error.details.what);
      const reason = error.message.slice(error.details.what.length + 1);
      if (option !== undefined) throw new TrunklineError('InvalidOptions', { option, reason }, { cause: error });
    }
    if (!isError(error, 'InvalidOptions')) throw error;
    const { option, reason, value } = error.details;
    const word = own(words, option);
    if (word === undefined) throw error;
    const text = reason.replaceAll(/`([\w.]+)`/g, (quoted, name: string) => own(words, name) ?? quoted);
    throw new TrunklineError('InvalidOptions', { option: word, value, reason: text }, { cause: error });
  }
}
