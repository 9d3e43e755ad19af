// A handler in a thread of its own, which is content with what it gets.
export default (): void => {};
