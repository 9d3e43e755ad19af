// Classes of errors that are recognised across copies of the package: two in one process (a dependency's own, ESM beside a bundle)
// have a class each of the same name, and `instanceof` finds an error of the one to be none of the other.

/**
 * Makes `instanceof` true of objects that the class of this name has made in any copy. A subclass of the user's is recognised
 * as JavaScript has it.
 */
export function brand(base: abstract new (...args: any[]) => object, name: string): void {
  const mark = Symbol.for(`trunkline.${name}`);
  Object.defineProperty(base.prototype, mark, { value: true });
  Object.defineProperty(base, Symbol.hasInstance, {
    value(this: unknown, given: unknown): boolean {
      if (this !== base) return Function.prototype[Symbol.hasInstance].call(this as () => void, given);
      return typeof given === 'object' && given !== null && mark in given;
    },
  });
}
