// A telephone number, in one spelling (E.164 without its plus): normalised once, where a call comes in, so that a prefix, a ban or
// a consent is never asked about another spelling of it.
const visualSeparators = /[-.() ]/g;

/** `+44 (20) 71` → `442071`; undefined for what is no number. Escapes are decoded already: `parseUri` does it. */
export function normaliseNumber(user: string): string | undefined {
  const [number = ''] = user.split(';'); // RFC 3966: parameters such as ;phone-context follow
  // A context makes a number local to somewhere: it is not the international one with the same digits.
  if (/;\s*phone-context\s*=/i.test(user)) return undefined;
  const digits = number.replace(visualSeparators, '').replace(/^\+/, '');
  return /^[1-9]\d{0,14}$/.test(digits) ? digits : undefined;
}
