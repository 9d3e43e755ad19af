// A release to come that takes a moment to load.
await new Promise((resolve) => setTimeout(resolve, 1_000));

export { Till } from './tills-next.ts';
