// Types of what travels as JSON and of what must not be changed. Types alone: nothing here runs.

type Scalar = string | number | boolean | bigint | symbol | null | undefined;
type Function = (...args: any) => unknown;

// Any JSON is met as a whole: a type that contains itself cannot be walked through to its end.
type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
type ReadonlyJson =
  | string
  | number
  | boolean
  | null
  | readonly ReadonlyJson[]
  | { readonly [key: string]: ReadonlyJson };

/** Read, never changed, all the way down. What has methods (a decimal, a date) is left as it is. */
export type DeepReadonly<T> = unknown extends T
  ? T
  : [Json] extends [T]
    ? ReadonlyJson | DeepReadonly<Exclude<T, Json>>
    : T extends Scalar | Function
      ? T
      : T extends ReadonlyMap<infer K, infer V>
        ? ReadonlyMap<K, DeepReadonly<V>>
        : T extends ReadonlySet<infer V>
          ? ReadonlySet<DeepReadonly<V>>
          : T extends readonly unknown[]
            ? { readonly [I in keyof T]: DeepReadonly<T[I]> }
            : true extends { [K in keyof T]-?: IsMethod<T[K]> }[keyof T]
              ? T
              : { readonly [K in keyof T]: DeepReadonly<T[K]> };

/**
 * A state as it is read: never changed, all the way down, and without the properties that are `undefined`; those that may be
 * are optional.
 */
export type ReadState<T> = unknown extends T
  ? T
  : [Json] extends [T]
    ? ReadonlyJson | ReadState<Exclude<T, Json>>
    : T extends Scalar | Function
      ? T
      : T extends ReadonlyMap<any, any> | ReadonlySet<any>
        ? DeepReadonly<T>
        : T extends readonly unknown[]
          ? { readonly [I in keyof T]: ReadState<T[I]> }
          : true extends { [K in keyof T]-?: IsMethod<T[K]> }[keyof T]
            ? T
            : ReadFields<T>;

type ReadFields<T> = Flat<
  { readonly [K in keyof T as undefined extends T[K] ? never : K]: ReadState<T[K]> } & {
    readonly [K in keyof T as undefined extends T[K] ? K : never]?: ReadState<Exclude<T[K], undefined>>;
  }
>;

type Flat<T> = { [K in keyof T]: T[K] };

type IsMethod<T> = unknown extends T ? false : T extends Function ? true : false;

/** A payload after its journey: what `toJSON` returns in place of what has it, and read-only all the way down. */
export type Carried<T> = unknown extends T
  ? T
  : [Json] extends [T]
    ? ReadonlyJson | Carried<Exclude<T, Json>>
    : T extends Scalar
      ? T
      : T extends { toJSON(...args: any): infer J }
        ? Carried<J>
        : { readonly [K in keyof T]: Carried<T[K]> };

/** What stands in a compiler's message where a payload has what JSON cannot carry. */
type NotCarried =
  'JSON cannot carry it: no function, bigint, symbol, Map or Set, no undefined in a list; send text, or give it toJSON()';

/** What stands in a compiler's message where a command's argument, or a row's field, does not come back from JSON as it was. */
type NotDelivered = 'It goes through JSON: take text instead of a Date, a Decimal, or anything else that has toJSON()';

/** The type itself if JSON can carry it; else one that it does not fit. `Refusal`: what becomes of a value with `toJSON`, or never. */
type Checked<T, Refusal> = unknown extends T
  ? T
  : [Json] extends [T]
    ? T
    : T extends bigint | symbol | ReadonlyMap<any, any> | ReadonlySet<any> | Function
      ? NotCarried
      : T extends Scalar
        ? T
        : T extends { toJSON(...args: any): unknown }
          ? [Refusal] extends [never]
            ? T
            : Refusal
          : T extends readonly unknown[]
            ? CheckedList<T, Refusal>
            : CheckedFields<T, Refusal>;

// A hole in a list cannot be left out, as a property can.
type CheckedList<T extends readonly unknown[], Refusal> = unknown extends T[number]
  ? T
  : undefined extends T[number]
    ? NotCarried
    : CheckedFields<T, Refusal>;

type CheckedFields<T, Refusal> = { [K in keyof T]: Checked<T[K], Refusal> };

/** The payload's own type if JSON can carry it; else one that it does not fit. */
export type Carriable<T> = Checked<T, never>;

/** The same of its fields: as a type parameter's own constraint, which may not be conditional. */
export type CarriableFields<T> = { [K in keyof T]: Checked<T[K], never> };

/**
 * Of each field, or of each argument: its own type if JSON brings it back as it was; else one that nothing fits. Names stay,
 * and so does what is optional.
 */
export type DeliveredFields<T> = { [K in keyof T]: Checked<T[K], NotDelivered> };
