// kafkajs 2.2.4 waits for a time that has gone by (its issue 1751), of which Node warns since 24. Nothing comes of it, and
// users cannot change it, so the warning is dropped. In force in whatever thread imports this: the flush thread, or the
// process of `trunkline topics`.
const { emitWarning } = process;

process.emitWarning = ((warning: string | Error, ...more: unknown[]): void => {
  const [type] = more;
  if (type === 'TimeoutNegativeWarning' || (warning as Error).name === 'TimeoutNegativeWarning') return;
  Reflect.apply(emitWarning, process, [warning, ...more]);
}) as typeof process.emitWarning;

export {};
