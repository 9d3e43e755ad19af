// A text that a regular expression takes: the shortest by its usual parts (groups, classes, repetitions, alternatives). For others
// (look-around, references to groups) there is none; who uses it asks the expression itself again.

/** undefined: it has parts that are not known here. */
export function textFor(pattern: unknown): string | undefined {
  if (typeof pattern !== 'string' || pattern.length > 2000) return undefined;
  try {
    return new Reader(pattern).whole();
  } catch (error) {
    if (error instanceof Unknown) return undefined;
    throw error;
  }
}

class Unknown extends Error {}

const byEscape: ReadonlyMap<string, string> = new Map(
  Object.entries({
    d: '0',
    D: 'a',
    w: 'a',
    W: '-',
    s: ' ',
    S: 'a',
    t: '\t',
    n: '\n',
    r: '\r',
    f: '\f',
    v: '\v',
    b: '',
    B: '',
  }),
);
/** What a class that leaves out is asked for. */
const common = [...'a0A-_. @/z9Z!#é'];

class Reader {
  private at = 0;
  private readonly pattern: string;

  constructor(pattern: string) {
    this.pattern = pattern;
  }

  whole(): string {
    const text = this.alternatives();
    if (this.at < this.pattern.length) throw new Unknown();
    return text;
  }

  private get next(): string {
    return this.pattern.charAt(this.at);
  }

  private take(word: string): boolean {
    if (!this.pattern.startsWith(word, this.at)) return false;
    this.at += word.length;
    return true;
  }

  /** The first one. */
  private alternatives(): string {
    const first = this.sequence();
    while (this.take('|')) this.sequence();
    return first;
  }

  private sequence(): string {
    let text = '';
    while (this.at < this.pattern.length && this.next !== '|' && this.next !== ')') text += this.repeated(this.part());
    return text;
  }

  private repeated(text: string): string {
    let least = 1;
    if (this.take('*') || this.take('?')) least = 0;
    else if (this.next === '{') {
      const [all, count] = /^\{(\d{1,3})(?:,\d*)?\}/.exec(this.pattern.slice(this.at)) ?? [];
      if (all === undefined) throw new Unknown();
      this.at += all.length;
      least = Number(count);
    } else this.take('+');
    this.take('?');
    return text.repeat(least);
  }

  private part(): string {
    if (this.take('^') || this.take('$')) return '';
    if (this.take('.')) return 'a';
    if (this.take('(')) return this.group();
    if (this.take('[')) return this.oneOfClass();
    if (this.take('\\')) return this.escape();
    if (/[*+?{]/.test(this.next)) throw new Unknown();
    const character = String.fromCodePoint(this.pattern.codePointAt(this.at)!);
    this.at += character.length;
    return character;
  }

  private group(): string {
    if (this.next === '?' && !this.take('?:')) {
      const [name] = /^\?<\w+>/.exec(this.pattern.slice(this.at)) ?? [];
      if (name === undefined) throw new Unknown();
      this.at += name.length;
    }
    const text = this.alternatives();
    if (!this.take(')')) throw new Unknown();
    return text;
  }

  private escape(): string {
    const character = this.next;
    this.at++;
    const known = byEscape.get(character);
    if (known !== undefined) return known;
    if (character === '' || /[\w]/.test(character)) throw new Unknown();
    return character;
  }

  /** The whole class is asked, as an expression of its own. */
  private oneOfClass(): string {
    const [body] = /^(?:\\.|[^\]\\])*\]/s.exec(this.pattern.slice(this.at)) ?? [];
    if (body === undefined) throw new Unknown();
    this.at += body.length;
    const one = expressionOf(`^[${body}$`);
    const named = [...body.slice(0, -1)];
    const found = [...common, ...named].find((character) => one.test(character));
    if (found === undefined) throw new Unknown();
    return found;
  }
}

function expressionOf(source: string): RegExp {
  try {
    return new RegExp(source, 'u');
  } catch {
    throw new Unknown();
  }
}
