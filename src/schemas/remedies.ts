// What to do about what the commands for schemas have found, once for each kind of finding. What is new says it itself.

import type { Finding } from './finding.ts';

const remedies: Partial<Record<Finding['rule'], string>> = {
  changed:
    'for a version that has changed: leave it as it was published, and add one by versions(…).next(…, (old) => …); where what ' +
    'is stored fits as well (an optional field more), trunkline schemas accept --force NAME takes the change',
  gone:
    'for what is gone: bring it back, or say what has become of it by renamedFrom, splitFrom or retired; where nothing of it is ' +
    'stored, trunkline schemas accept --force NAME lets it go',
  upcasting:
    'for samples that cannot be read: mend the function given to .next(…) or .splitFrom(…), with a default for what an older ' +
    'event lacks, or let the newest validator take what it makes',
  mode:
    'for versions that are not compatible: give a new field a default or leave it optional, and keep those that readers know; ' +
    'or keep the topic at its version (versions of kafka()), or give the new shape an event type of its own',
};

/** Lines, in the order in which their kinds were found. */
export const remediesOf = (findings: readonly Finding[]): string[] =>
  [...new Set(findings.map(({ rule }) => rule))].flatMap((rule) => {
    const remedy = remedies[rule];
    return remedy === undefined ? [] : [`to do ${remedy}`];
  });
