/**
 * A reader of Nix files: enough of the language for every file of ours, as a tree. It evaluates nothing. It is there so
 * that option names, profiles and flags can be checked on a machine that has neither Nix nor nixpkgs.
 * Grammar: https://nix.dev/manual/nix/stable/language/
 */
export type NixNode =
  | { kind: 'attrs'; bindings: NixBinding[] }
  | { kind: 'list'; items: NixNode[] }
  /** `text` is undefined when the string has an interpolation. */
  | { kind: 'string'; text: string | undefined }
  | { kind: 'number'; value: number }
  | { kind: 'path'; text: string }
  | { kind: 'identifier'; name: string }
  /** `computed` are the expressions inside the path: `a.${x}`. */
  | { kind: 'select'; of: NixNode; path: NixName[]; computed: NixNode[]; fallback: NixNode | undefined }
  | { kind: 'has'; of: NixNode; path: NixName[]; computed: NixNode[] }
  | { kind: 'lambda'; body: NixNode }
  | { kind: 'apply'; function: NixNode; argument: NixNode }
  | { kind: 'let'; bindings: NixBinding[]; body: NixNode }
  | { kind: 'with'; scope: NixNode; body: NixNode }
  | { kind: 'assert'; condition: NixNode; body: NixNode }
  | { kind: 'if'; condition: NixNode; branches: [NixNode, NixNode] }
  | { kind: 'binary'; operator: string; left: NixNode; right: NixNode }
  | { kind: 'unary'; operator: string; of: NixNode };

/** One attribute of a path; undefined when it is computed. */
export type NixName = string | undefined;

/** `path = value;`, or one name of an `inherit`, whose value is not given in place. */
export interface NixBinding {
  readonly path: NixName[];
  readonly value: NixNode | undefined;
  readonly line: number;
}

/** @throws SyntaxError naming file and line. */
export function parseNix(source: string, file = 'Nix text'): NixNode {
  const reader = new NixReader(source, file);
  const node = reader.expression();
  reader.end();
  return node;
}

/** Operators from loosest to tightest; `right` ones group to the right. Unary `!` lies between `//` and `+`. */
const operators: readonly { readonly words: readonly string[]; readonly right?: true }[] = [
  { words: ['->'], right: true },
  { words: ['||'] },
  { words: ['&&'] },
  { words: ['==', '!='] },
  { words: ['<=', '>=', '<', '>'] },
  { words: ['//'], right: true },
  { words: ['+', '-'] },
  { words: ['*', '/'] },
  { words: ['++'], right: true },
];
const keywords = new Set(['let', 'in', 'with', 'assert', 'if', 'then', 'else', 'inherit', 'rec', 'or']);
const notLevel = operators.findIndex((level) => level.words.includes('//')) + 1;

class NixReader {
  private position = 0;
  private readonly source: string;
  private readonly file: string;

  constructor(source: string, file: string) {
    this.source = source;
    this.file = file;
  }

  end(): void {
    this.space();
    if (this.position < this.source.length) this.fail('something after the expression');
  }

  expression(): NixNode {
    if (this.word('let')) {
      const bindings = this.bindings('in');
      return { kind: 'let', bindings, body: this.expression() };
    }
    if (this.word('with')) {
      const scope = this.expression();
      this.expect(';');
      return { kind: 'with', scope, body: this.expression() };
    }
    if (this.word('assert')) {
      const condition = this.expression();
      this.expect(';');
      return { kind: 'assert', condition, body: this.expression() };
    }
    if (this.word('if')) {
      const condition = this.expression();
      this.expectWord('then');
      const whenTrue = this.expression();
      this.expectWord('else');
      return { kind: 'if', condition, branches: [whenTrue, this.expression()] };
    }
    return this.lambda() ?? this.operation(0);
  }

  /** `x: …`, `{ a, b ? c, ... }: …`, with or without `@ name`; undefined when it is something else. */
  private lambda(): NixNode | undefined {
    const start = this.position;
    const named = this.match(/[A-Za-z_][\w'-]*/y) !== undefined;
    const isPattern = named ? this.symbol('@') && this.formals() : this.formals();
    if (!named && isPattern && this.symbol('@')) this.match(/[A-Za-z_][\w'-]*/y);
    this.space();
    // `a:b` without a space is a URI to Nix; we write none.
    if ((named || isPattern) && this.source[this.position] === ':') {
      this.position += 1;
      return { kind: 'lambda', body: this.expression() };
    }
    this.position = start;
    return undefined;
  }

  private formals(): boolean {
    if (!this.symbol('{')) return false;
    while (!this.symbol('}')) {
      if (!this.symbol('...')) {
        if (this.match(/[A-Za-z_][\w'-]*/y) === undefined) return false;
        if (this.symbol('?')) this.expression();
      }
      if (this.symbol(',')) continue;
      if (this.symbol('}')) break;
      return false;
    }
    return true;
  }

  private operation(level: number): NixNode {
    const operator = operators[level];
    if (operator === undefined) return this.application();
    if (level === notLevel && this.operator(['!'])) return { kind: 'unary', operator: '!', of: this.operation(level) };
    let left = this.operation(level + 1);
    for (;;) {
      const found = this.operator(operator.words);
      if (found === undefined) return left;
      const right = operator.right ? this.operation(level) : this.operation(level + 1);
      left = { kind: 'binary', operator: found, left, right };
    }
  }

  private operator(words: readonly string[]): string | undefined {
    this.space();
    const found = words.find((word) => this.source.startsWith(word, this.position));
    if (found === undefined) return undefined;
    const next = this.source[this.position + found.length] ?? '';
    // "+" is not the start of "++", "/" not of "//", "<" not of "<=", "!" not of "!=", "-" not of "->".
    if (found.length === 1 && (next === found || next === '=' || (found === '-' && next === '>'))) return undefined;
    this.position += found.length;
    return found;
  }

  private application(): NixNode {
    if (this.operator(['-'])) return { kind: 'unary', operator: '-', of: this.application() };
    let node = this.selection();
    if (node === undefined) return this.fail('an expression is missing');
    for (;;) {
      if (this.symbol('?')) {
        node = { kind: 'has', of: node, ...this.selectionPath() };
        continue;
      }
      const argument = this.selection();
      if (argument === undefined) return node;
      node = { kind: 'apply', function: node, argument };
    }
  }

  private selection(): NixNode | undefined {
    const of = this.simple();
    if (of === undefined) return undefined;
    if (!this.dot()) return of;
    return { kind: 'select', of, ...this.selectionPath(), fallback: this.word('or') ? this.selection() : undefined };
  }

  private simple(): NixNode | undefined {
    this.space();
    const path = this.match(/(?:\.{1,2}|~)?(?:\/[A-Za-z0-9._+-]+)+\/?|<[A-Za-z0-9._+/-]+>/y);
    if (path !== undefined) return { kind: 'path', text: path };
    const number = this.match(/\d+(?:\.\d+)?/y);
    if (number !== undefined) return { kind: 'number', value: Number(number) };
    if (this.symbol('(')) {
      const inner = this.expression();
      this.expect(')');
      return inner;
    }
    if (this.symbol('[')) return { kind: 'list', items: this.items() };
    if (this.source.startsWith("''", this.position) || this.source[this.position] === '"') return this.string();
    if (this.word('rec')) this.space();
    if (this.symbol('{')) return { kind: 'attrs', bindings: this.bindings('}') };
    return this.identifier();
  }

  private identifier(): NixNode | undefined {
    const start = this.position;
    const name = this.match(/[A-Za-z_][\w'-]*/y);
    if (name !== undefined && !keywords.has(name)) return { kind: 'identifier', name };
    this.position = start;
    return undefined;
  }

  private items(): NixNode[] {
    const items: NixNode[] = [];
    while (!this.symbol(']')) items.push(this.selection() ?? this.fail('a list item is missing'));
    return items;
  }

  private bindings(closing: 'in' | '}'): NixBinding[] {
    const bindings: NixBinding[] = [];
    while (!(closing === 'in' ? this.word('in') : this.symbol('}'))) {
      this.space();
      const line = this.line();
      if (this.word('inherit')) {
        if (this.symbol('(')) {
          this.expression();
          this.expect(')');
        }
        while (!this.symbol(';')) bindings.push({ path: [this.attribute()], value: undefined, line });
        continue;
      }
      const path = this.attributePath();
      this.expect('=');
      bindings.push({ path, value: this.expression(), line });
      this.expect(';');
    }
    return bindings;
  }

  private attributePath(): NixName[] {
    return this.selectionPath().path;
  }

  private selectionPath(): { path: NixName[]; computed: NixNode[] } {
    const computed: NixNode[] = [];
    const path = [this.attribute(computed)];
    while (this.dot()) path.push(this.attribute(computed));
    return { path, computed };
  }

  /** The dot of a selection, not that of a path which follows. */
  private dot(): boolean {
    this.space();
    return this.match(/\.(?![./])/y) !== undefined;
  }

  private attribute(computed: NixNode[] = []): NixName {
    this.space();
    if (this.source[this.position] === '"') return this.string().text;
    if (this.source.startsWith('${', this.position)) {
      this.position += 2;
      computed.push(this.expression());
      this.expect('}');
      return undefined;
    }
    return this.match(/[A-Za-z_][\w'-]*/y) ?? this.fail('an attribute name is missing');
  }

  private string(): { kind: 'string'; text: string | undefined } {
    const indented = this.source.startsWith("''", this.position);
    this.position += indented ? 2 : 1;
    let text = '';
    let isPlain = true;
    for (;;) {
      if (this.position >= this.source.length) this.fail('a string does not end');
      if (this.match(indented ? /''(?!['$\\])/y : /"/y) !== undefined) break;
      const escape = this.match(indented ? /'''|''\$|''\\./y : /\\[^]/y);
      if (escape !== undefined) text += indented ? escape.slice(2).replace('\\', '') || "''" : unescaped(escape);
      else if (this.source.startsWith('${', this.position)) {
        isPlain = false;
        this.position += 2;
        this.expression();
        this.expect('}');
      } else text += this.source[this.position++];
    }
    return { kind: 'string', text: isPlain ? text : undefined };
  }

  private space(): void {
    this.match(/(?:\s+|#[^\n]*|\/\*[^]*?\*\/)*/y);
  }

  private match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.position;
    const found = pattern.exec(this.source)?.[0];
    if (found !== undefined) this.position += found.length;
    return found;
  }

  private symbol(text: string): boolean {
    this.space();
    if (!this.source.startsWith(text, this.position)) return false;
    this.position += text.length;
    return true;
  }

  private word(text: string): boolean {
    this.space();
    if (!this.source.startsWith(text, this.position)) return false;
    if (/[\w'-]/.test(this.source[this.position + text.length] ?? '')) return false;
    this.position += text.length;
    return true;
  }

  private expect(text: string): void {
    if (!this.symbol(text)) this.fail(`"${text}" is missing`);
  }

  private expectWord(text: string): void {
    if (!this.word(text)) this.fail(`"${text}" is missing`);
  }

  private line(): number {
    return this.source.slice(0, this.position).split('\n').length;
  }

  private fail(what: string): never {
    throw new SyntaxError(`${this.file}:${this.line()}: ${what}`);
  }
}

function unescaped(escape: string): string {
  const letter = escape.slice(1);
  return { n: '\n', r: '\r', t: '\t' }[letter] ?? letter;
}
