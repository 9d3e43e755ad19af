// A handler in a thread of its own, which writes down what it gets.
import { appendFileSync } from 'node:fs';

export default (event: object, { effectKey }: { effectKey: string }): void => {
  appendFileSync(
    process.env.TRUNKLINE_SEEN!,
    `${JSON.stringify({ ...JSON.parse(JSON.stringify(event)), effectKey })}\n`,
  );
};
