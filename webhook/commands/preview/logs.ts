import { OperatorError } from '../../core/errors.ts';
import type { LogsLine } from '../../core/preview-view.ts';
import { EXIT } from './command-table.ts';
import type { CommandRunner } from './run.ts';
import { previewPath } from './slug-argument.ts';

/** `preview logs <slug>`: what setup and services printed, oldest first. With --json one document per line. */
export const logs: CommandRunner = async ({ api, output, args, options }) => {
  const query = new URLSearchParams({
    follow: String(options.follow === true),
    ...(options.lines === undefined ? {} : { lines: lineCount(options.lines) }),
  });
  for await (const line of api.follow<LogsLine>(`${previewPath(args[0])}/logs?${query.toString()}`)) {
    if ('gone' in line) {
      output.info('The preview is gone.');
      continue;
    }
    if ('goesOnWith' in line) {
      output.info(`From here on of commit ${line.goesOnWith.commit.slice(0, 8)}.`);
      continue;
    }
    await output.document(line);
    await output.line({ tone: 'dim', text: `${line.at} ${line.source} ` }, line.text);
    if (output.isUnread) break;
  }
  return EXIT.ok;
};

function lineCount(text: string): string {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 10_000) return text;
  throw new OperatorError('BAD_REQUEST', `--lines takes a number up to 10000, not '${text.slice(0, 64)}'.`, {
    hint: 'See: preview help logs',
  });
}
