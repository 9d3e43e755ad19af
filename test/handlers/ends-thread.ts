// A handler that ends its thread at the event of one aggregate, in the middle of the call.
export default ({ aggregateId }: { aggregateId: string }): void => {
  if (aggregateId === 'ends') process.exit(1);
};
