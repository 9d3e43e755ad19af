// A handler's module whose every call fails, and says which one in its thread it was.
let calls = 0;

export default (): never => {
  throw new Error(`call ${++calls}`);
};
