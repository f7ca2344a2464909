/** `preview`: what was typed → one command, with everything checked before the operator is asked. Only what a command needs is loaded. */
import { OperatorError, operatorErrorFrom, type ErrorCode } from '../../core/errors.ts';
import { operatorApi, type OperatorApi } from '../operator-api.ts';
import { COMMANDS, COMMON_OPTIONS, EXIT, type CommandSpec, type ExitStatus } from './command-table.ts';
import { Output } from './output.ts';
import { parseCommandLine, type Given } from './parse-command-line.ts';
import { socketPath } from './socket-path.ts';

/** What a command works with. */
export interface CommandContext {
  readonly api: OperatorApi;
  readonly output: Output;
  readonly args: readonly string[];
  readonly options: Given['options'];
}

/** The same for every verb of its own file. */
export type CommandRunner = (context: CommandContext) => Promise<ExitStatus>;

const RUNNERS: Readonly<Record<string, () => Promise<CommandRunner>>> = {
  list: async () => (await import('./list.ts')).list,
  status: async () => (await import('./status.ts')).status,
  logs: async () => (await import('./logs.ts')).logs,
  create: async () => (await import('./create.ts')).create,
  update: async () => (await import('./update.ts')).update,
  rollback: async () => (await import('./rollback.ts')).rollback,
  destroy: async () => (await import('./destroy.ts')).destroy,
  plan: async () => (await import('./plan.ts')).plan,
  build: async () => (await import('./build.ts')).build,
  exec: async () => (await import('./exec.ts')).exec,
  shell: async () => (await import('./exec.ts')).shell,
  doctor: async () => (await import('./doctor.ts')).doctor,
};

/** Runs what was typed and says how it ended. Never throws; whatever goes wrong is printed with its way out. */
export async function run(argv: readonly string[]): Promise<ExitStatus> {
  // Completion has a grammar of its own: the words after `--` are what stands on the line so far.
  if (argv[0] === 'complete' && argv[1] === '--')
    return (await import('./complete.ts')).answerCompletion(argv.slice(2));

  const output = new Output(ownWords(argv).includes('--json'));
  try {
    const { command, args, options } = await parseCommandLine(argv);
    if (command === null || command.name === 'help' || options.help === true) return await help(output, command, args);
    if (command.name === 'complete') return (await import('./complete.ts')).printCompletion(args[0]);
    const runner = RUNNERS[command.name];
    if (runner === undefined) throw new RangeError(`${command.name} stands in the table and cannot be run`);
    const context = { api: operatorApi(socketPath(options.socket)), output, args, options };
    return await (await runner())(context);
  } catch (thrown) {
    const error = operatorErrorFrom(thrown);
    await output.error(
      error.code === 'INTERNAL' && error.cause instanceof Error ? internal(error, error.cause) : error,
    );
    return STATUS_OF[error.code] ?? EXIT.failed;
  }
}

/** After `--` stand the words of somebody else's command. */
function ownWords(argv: readonly string[]): readonly string[] {
  const end = argv.indexOf('--');
  return end === -1 ? argv : argv.slice(0, end);
}

async function help(output: Output, command: CommandSpec | null, args: readonly string[]): Promise<ExitStatus> {
  const { commandHelpText, helpText } = await import('./help.ts');
  const about = command?.name === 'help' ? await commandAbout(args[0]) : command;
  const commands = about === null ? COMMANDS : [about];
  if (output.isJson) await output.document({ commands, commonOptions: COMMON_OPTIONS });
  else process.stdout.write(about === null ? helpText() : commandHelpText(about));
  return EXIT.ok;
}

async function commandAbout(name: string | undefined): Promise<CommandSpec | null> {
  return name === undefined ? null : (await import('./parse-command-line.ts')).commandNamed(name);
}

/** A defect of the command itself: people at a terminal see it, there is no log to look into. */
function internal(error: OperatorError, cause: Error): OperatorError {
  return new OperatorError('INTERNAL', `${error.message} (${cause.message})`);
}

const STATUS_OF: Partial<Record<ErrorCode, ExitStatus>> = {
  BAD_REQUEST: EXIT.usage,
  PREVIEW_NOT_FOUND: EXIT.notFound,
  NO_SUCH_BRANCH: EXIT.notFound,
  OPERATOR_UNREACHABLE: EXIT.unreachable,
};
