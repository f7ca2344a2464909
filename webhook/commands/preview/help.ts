import {
  COMMANDS,
  COMMON_OPTIONS,
  EXIT_TEXTS,
  OPTIONS,
  type CommandSpec,
  type OptionName,
  type OptionSpec,
} from './command-table.ts';

/** `preview help`. */
export function helpText(): string {
  return [
    'Previews of pull requests on this host.',
    '',
    'Usage: preview <command> [options]',
    '',
    'Commands:',
    ...aligned(COMMANDS.map((command) => [usageOf(command).slice('preview '.length), command.text])),
    '',
    'Options of every command:',
    ...aligned(COMMON_OPTIONS.map((name) => [optionUsage(name), OPTIONS[name].text])),
    '',
    'Exit status:',
    ...aligned(EXIT_TEXTS.map(([status, text]) => [String(status), text])),
    '',
    'preview help <command> explains one command.',
    '',
  ].join('\n');
}

/** `preview help <command>`. */
export function commandHelpText(command: CommandSpec): string {
  const options = [...command.options, ...COMMON_OPTIONS];
  return [
    `Usage: ${usageOf(command)}`,
    '',
    command.text,
    ...(command.details === '' ? [] : [command.details]),
    '',
    'Options:',
    ...aligned(options.map((name) => [optionUsage(name), OPTIONS[name].text])),
    '',
  ].join('\n');
}

/** `preview logs <slug> [--follow|-f] [--lines <number>]`. */
export function usageOf(command: CommandSpec): string {
  const args = command.args.map((arg, index) =>
    index >= (command.optionalFrom ?? Infinity) ? `[${arg}]` : `<${arg}>`,
  );
  const options = command.options.map((name) => `[${optionUsage(name)}]`);
  if (command.isOpen !== true) return ['preview', command.name, ...args, ...options].join(' ');
  // Only after `--` may a word of the command begin with a hyphen.
  return ['preview', command.name, ...options, ...args.slice(0, -1), '--', `${args.at(-1) ?? ''}…`].join(' ');
}

export function optionUsage(name: OptionName): string {
  const spec: OptionSpec = OPTIONS[name];
  const long = `--${name}${spec.value === undefined ? '' : ` ${spec.value}`}`;
  return spec.short === undefined ? long : `${long}, -${spec.short}`;
}

function aligned(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
}
