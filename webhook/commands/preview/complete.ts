/** Completion: prints the script for a shell, and answers what that script asks at each press of the tab key. */
import tab from '@bomb.sh/tab';
import { OperatorError } from '../../core/errors.ts';
import type { PreviewView } from '../../core/preview-view.ts';
import { operatorApi } from '../operator-api.ts';
import { BASH_COMPLETION } from './bash-completion.ts';
import { COMMANDS, COMMON_OPTIONS, EXIT, OPTIONS, type ExitStatus, type OptionSpec } from './command-table.ts';
import { socketPath } from './socket-path.ts';

const SHELLS = ['bash', 'zsh', 'fish', 'powershell'];

/** `preview complete <shell>`: the script to source. Throws BAD_REQUEST for a shell that there is none for. */
export function printCompletion(shell = ''): ExitStatus {
  if (!SHELLS.includes(shell)) {
    const hint = `There are: ${SHELLS.join(', ')}.`;
    throw new OperatorError('BAD_REQUEST', `There is no completion for '${shell.slice(0, 64)}'.`, { hint });
  }
  if (shell === 'bash') process.stdout.write(BASH_COMPLETION);
  else tab.setup('preview', 'preview', shell);
  return EXIT.ok;
}

/** `preview complete -- <words>`: what may follow the words that stand on the line so far. */
export async function answerCompletion(typed: readonly string[]): Promise<ExitStatus> {
  declareCommands(await slugs(typed));
  tab.parse([...typed]);
  return EXIT.ok;
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

/** The command that stands on the line, options before it or not, and the socket that was given before it is typed to its end. */
function commandIn(typed: readonly string[]): { command: string | undefined; socket: string | undefined } {
  const at = typed.indexOf('--socket');
  const isValue = (index: number) => at !== -1 && index === at + 1;
  const command = typed.find((word, index) => !word.startsWith('-') && !isValue(index));
  return { command, socket: at === -1 ? undefined : typed[at + 1] };
}

/** Names to offer. Without an operator there are none, and that is no error: somebody is typing. */
async function slugs(typed: readonly string[]): Promise<string[]> {
  const { command, socket } = commandIn(typed);
  if (COMMANDS.find((spec) => spec.name === command)?.args[0] !== 'slug') return [];
  try {
    const { previews } = await operatorApi(socketPath(socket)).ask<{ previews: PreviewView[] }>('GET', '/previews');
    return previews.flatMap((each) => each.slug ?? []);
  } catch {
    return [];
  }
}
