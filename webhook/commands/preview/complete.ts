/** Completion: prints the script for a shell, and answers what that script asks at each press of the tab key. */
import tab from '@bomb.sh/tab';
import type { PreviewView } from '../../core/preview-view.ts';
import { operatorApi } from '../operator-api.ts';
import { COMMANDS, COMMON_OPTIONS, EXIT, OPTIONS, type ExitStatus, type OptionSpec } from './command-table.ts';
import { Output } from './output.ts';
import { socketPath } from './socket-path.ts';

const SHELLS = ['bash', 'zsh', 'fish', 'powershell'];

/** `preview complete <shell>` and, called by the script that it prints, `preview complete -- <words>`. */
export async function complete(words: readonly string[]): Promise<ExitStatus> {
  const [shell = ''] = words;
  if (shell === '--') {
    const typed = words.slice(1);
    declareCommands(await slugs(typed));
    tab.parse([...typed]);
    return EXIT.ok;
  }
  if (SHELLS.includes(shell) && words.length === 1) {
    tab.setup('preview', 'preview', shell);
    return EXIT.ok;
  }
  const message = shell === '' ? 'preview complete needs <shell>.' : `No completion for '${shell.slice(0, 64)}'.`;
  await new Output(false).error({ code: 'BAD_REQUEST', message, hint: `There are: ${SHELLS.join(', ')}.` });
  return EXIT.usage;
}

function declareCommands(names: readonly string[]): void {
  for (const spec of COMMANDS) {
    const command = tab.command(spec.name, spec.text);
    for (const option of [...spec.options, ...COMMON_OPTIONS]) {
      const { text, short, type }: OptionSpec = OPTIONS[option];
      if (type === 'string') command.option(option, text, () => undefined, short);
      else if (short === undefined) command.option(option, text);
      else command.option(option, text, short);
    }
    for (const arg of spec.args) {
      command.argument(arg, (add) => {
        if (arg === 'slug') for (const name of names) add(name, '');
        if (arg === 'command') for (const each of COMMANDS) add(each.name, each.text);
        if (arg === 'shell') for (const each of SHELLS) add(each, '');
      });
    }
  }
}

/** Names to offer. Without an operator there are none, and that is no error: somebody is typing. */
async function slugs(typed: readonly string[]): Promise<string[]> {
  if (COMMANDS.find((spec) => spec.name === typed[0])?.args[0] !== 'slug') return [];
  try {
    const { previews } = await operatorApi(socketPath(undefined)).ask<{ previews: PreviewView[] }>('GET', '/previews');
    return previews.flatMap((each) => each.slug ?? []);
  } catch {
    return [];
  }
}
