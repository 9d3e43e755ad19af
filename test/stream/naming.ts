// A user's naming of topics.
export default (aggregateType: string, eventType: string): string => `named-${aggregateType}-${eventType.length}`;
