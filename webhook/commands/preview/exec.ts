import { COMMAND_WORDS_MAX } from '../../core/limits.ts';
import { OperatorError } from '../../core/errors.ts';
import type { CommandLineView } from '../../core/preview-view.ts';
import { EXIT, type ExitStatus } from './command-table.ts';
import type { CommandContext, CommandRunner } from './run.ts';
import { previewPath } from './slug-argument.ts';

/** `preview exec <slug> -- <word>…`: input, output and status are the command's. */
export const exec: CommandRunner = (context) => {
  const argv = context.args.slice(1);
  if (argv.length > COMMAND_WORDS_MAX)
    throw new OperatorError('BAD_REQUEST', `A command has at most ${COMMAND_WORDS_MAX} words.`);
  return runInside(context, { argv });
};

/** `preview shell <slug>`: on a terminal where we have one, else it reads its commands from a pipe. */
export const shell: CommandRunner = async (context) => {
  const { stdin, stdout } = process;
  if (!stdin.isTTY || !stdout.isTTY) return runInside(context, { shell: null });
  stdin.setRawMode(true);
  try {
    return await runInside(context, { shell: { columns: stdout.columns || 80, rows: stdout.rows || 24 } });
  } finally {
    stdin.setRawMode(false);
  }
};

/** Base64 of it fits a request of the API. */
const CHUNK_BYTES = 8 * 1024;

async function runInside({ api, output, args, options }: CommandContext, command: object): Promise<ExitStatus> {
  const asked = { ...command, asRoot: options.root === true };
  try {
    for await (const line of api.follow<CommandLineView>(`${previewPath(args[0])}/commands`, asked)) {
      // Typing fails when the operator goes away, which whoever reads here is told.
      if ('session' in line) void typed(api, line.session).catch(() => undefined);
      else if ('status' in line) return line.status as ExitStatus;
      // Byte for byte: whoever runs a command in a preview is asking for what it prints.
      else await output.raw(line.stream, Buffer.from(line.data, 'base64'));
      if (output.isUnread) return EXIT.ok;
    }
    throw new OperatorError('INTERNAL', 'The command ended without a status.');
  } finally {
    process.stdin.destroy();
  }
}

async function typed(api: CommandContext['api'], session: string): Promise<void> {
  const send = (input: string | null) => api.ask('POST', `/commands/${session}`, { input });
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    for (let from = 0; from < chunk.length; from += CHUNK_BYTES)
      await send(chunk.subarray(from, from + CHUNK_BYTES).toString('base64'));
  }
  await send(null);
}
