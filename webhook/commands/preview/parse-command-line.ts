import { parseArgs } from 'node:util';
import { OperatorError } from '../../core/errors.ts';
import { COMMANDS, COMMON_OPTIONS, OPTIONS, type CommandSpec, type OptionName } from './command-table.ts';

export interface Given {
  /** Null when nothing but options was typed. */
  readonly command: CommandSpec | null;
  readonly args: readonly string[];
  readonly options: {
    readonly [Name in OptionName]?: (typeof OPTIONS)[Name]['type'] extends 'string' ? string : boolean;
  };
}

/**
 * What was typed, checked against the table: options may stand anywhere, each once; after `--` nothing is an option.
 * Throws BAD_REQUEST naming the word.
 */
export async function parseCommandLine(argv: readonly string[]): Promise<Given> {
  const parsed = await wordsOf(argv);
  const [name, ...args] = parsed.positionals;
  const command = name === undefined ? null : await commandNamed(name);
  const options = parsed.values as Given['options'];
  const names = parsed.tokens.flatMap((token) => (token.kind === 'option' ? [token.name] : []));
  const repeated = names.find((each, index) => names.indexOf(each) !== index);
  if (repeated !== undefined) throw wrongUsage(`Option --${repeated} stands twice.`, command);
  const allowed = command === null ? COMMON_OPTIONS : [...command.options, ...COMMON_OPTIONS];
  const foreign = names.find((each) => !allowed.includes(each));
  if (foreign !== undefined) throw wrongUsage(`${commandText(command)} has no option --${foreign}.`, command);
  if (command !== null && options.help !== true) checkCount(command, args);
  return { command, args, options };
}

async function wordsOf(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options: OPTIONS, allowPositionals: true, strict: true, tokens: true });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION') {
      const word = /'(-[^']*)'/.exec(message)?.[1] ?? '';
      throw wrongUsage(
        `Unknown option '${word.slice(0, 64)}'.${await suggestion(word.replace(/^-+/, ''), Object.keys(OPTIONS), '--')}`,
        null,
      );
    }
    if (code === 'ERR_PARSE_ARGS_INVALID_OPTION_VALUE') throw wrongUsage(`${message.split(/[.\n]/)[0] ?? ''}.`, null);
    throw error;
  }
}

/** The command of that name. Throws BAD_REQUEST with the one that was probably meant. */
export async function commandNamed(name: string): Promise<CommandSpec> {
  const command = COMMANDS.find((each) => each.name === name);
  if (command !== undefined) return command;
  throw wrongUsage(
    `Unknown command '${name.slice(0, 64)}'.${await suggestion(
      name,
      COMMANDS.map((each) => each.name),
      '',
    )}`,
    null,
  );
}

async function suggestion(word: string, known: readonly string[], prefix: string): Promise<string> {
  const { nearestWord } = await import('../../core/nearest-word.ts');
  const meant = nearestWord(word, known);
  return meant === null ? '' : ` Did you mean ${prefix}${meant}?`;
}

function checkCount(command: CommandSpec, args: readonly string[]): void {
  const required = command.optionalFrom ?? command.args.length;
  const missing = command.args[args.length];
  if (args.length < required) throw wrongUsage(`${commandText(command)} needs <${missing ?? ''}>.`, command);
  const extra = command.isOpen === true ? undefined : args[command.args.length];
  if (extra !== undefined) throw wrongUsage(`Unknown argument '${extra.slice(0, 64)}'.`, command);
}

function commandText(command: CommandSpec | null): string {
  return command === null ? 'preview' : `preview ${command.name}`;
}

function wrongUsage(message: string, command: CommandSpec | null): OperatorError {
  const hint = `See: preview help${command === null ? '' : ` ${command.name}`}`;
  return new OperatorError('BAD_REQUEST', message, { hint });
}
