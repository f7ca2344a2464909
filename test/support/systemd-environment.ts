/**
 * Reads text as systemd reads `EnvironmentFile=`: the states of parse_env_file_internal (systemd, src/basic/env-file.c). It stands for systemd where
 * none runs as process 1.
 */
export function systemdEnvironment(text: string): Record<string, string> {
  const variables: Record<string, string> = {};
  let state:
    | 'pre-key'
    | 'key'
    | 'pre-value'
    | 'value'
    | 'value-escape'
    | 'single'
    | 'double'
    | 'double-escape'
    | 'comment'
    | 'comment-escape' = 'pre-key';
  let key = '';
  let value = '';
  /** Length of the value up to its last character that is no white space. */
  let kept = 0;
  const isWhite = (character: string) => ' \t\n\r'.includes(character);
  const isNewline = (character: string) => '\n\r'.includes(character);
  const push = () => {
    variables[key.trimEnd()] = state === 'value' ? value.slice(0, Math.max(kept, 0)) : value;
    key = '';
    value = '';
    kept = 0;
  };
  for (const character of text) {
    switch (state) {
      case 'pre-key':
        if ('#;'.includes(character)) state = 'comment';
        else if (!isWhite(character)) {
          state = 'key';
          key = character;
        }
        break;
      case 'key':
        if (isNewline(character)) {
          state = 'pre-key';
          key = '';
        } else if (character === '=') state = 'pre-value';
        else key += character;
        break;
      case 'pre-value':
        if (isNewline(character)) {
          push();
          state = 'pre-key';
        } else if (character === "'") state = 'single';
        else if (character === '"') state = 'double';
        else if (character === '\\') state = 'value-escape';
        else if (!isWhite(character)) {
          state = 'value';
          value += character;
          kept = value.length;
        }
        break;
      case 'value':
        if (isNewline(character)) {
          push();
          state = 'pre-key';
        } else if (character === '\\') {
          state = 'value-escape';
        } else {
          value += character;
          if (!isWhite(character)) kept = value.length;
        }
        break;
      case 'value-escape':
        state = 'value';
        if (!isNewline(character)) value += character;
        kept = value.length;
        break;
      case 'single':
        if (character === "'") {
          state = 'pre-value';
          kept = value.length;
        } else value += character;
        break;
      case 'double':
        if (character === '"') {
          state = 'pre-value';
          kept = value.length;
        } else if (character === '\\') state = 'double-escape';
        else value += character;
        break;
      case 'double-escape':
        state = 'double';
        if ('"\\`$'.includes(character)) value += character;
        else if (character !== '\n') value += `\\${character}`;
        break;
      case 'comment':
        if (character === '\\') state = 'comment-escape';
        else if (isNewline(character)) state = 'pre-key';
        break;
      case 'comment-escape':
        state = 'comment';
        break;
    }
  }
  if (['pre-value', 'value', 'value-escape', 'single', 'double', 'double-escape'].includes(state)) push();
  return variables;
}
