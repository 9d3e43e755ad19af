// What a caller may learn of a failed command. A rejection is the user's own answer: it reaches the caller whole, or the
// command fails by what stands in its way. Details are never left out in silence.
import { Rejected } from '../base/errors.ts';
import { toJson } from '../wire/payload.ts';

/** The error itself; for a rejection that JSON cannot carry, `UnserialisableValue` with the path. */
export function tellable(error: unknown): unknown {
  try {
    if (!(error instanceof Rejected)) return error;
    toJson(error.code, 'Rejected.code');
    toJson(error.message, 'Rejected.message');
    if (error.details !== undefined) toJson(error.details, `Rejected('${error.code}').details`);
    return error;
  } catch (refusal) {
    return refusal;
  }
}
