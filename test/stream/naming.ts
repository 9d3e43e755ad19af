// A user's naming of topics, that knows no answer for some.
export default (aggregateType: string, eventType: string): string => {
  if (/ /.test(eventType)) throw new Error('no topic for that');
  return `named-${aggregateType}-${eventType.length}`;
};
