import { evaluateTimed, evaluateJson, type Evaluator } from './evaluation.ts';

/** The groups of test/nix/matrix.nix, in the order of the page. */
export const matrixGroups = ['hosts', 'profiles', 'layouts'] as const;
export type MatrixGroup = (typeof matrixGroups)[number];

const matrix = '(import (root + "/test/nix/matrix.nix") { inherit lib root; })';

/** Names of a group's configurations. */
export async function namesIn(evaluator: Evaluator, group: MatrixGroup): Promise<string[]> {
  return (await evaluateJson(evaluator, `builtins.attrNames ${matrix}.${group}`)) as string[];
}

export interface MatrixRow {
  readonly name: string;
  /** The derivation of the whole system, or the last line of Nix's error. */
  readonly result: string;
  readonly evaluates: boolean;
  /** CPU time of Nix, in seconds: what a machine with other work to do says of the clock means little. */
  readonly cpuSeconds: number;
}

export async function evaluateRow(evaluator: Evaluator, group: MatrixGroup, name: string): Promise<MatrixRow> {
  const expression = `(t.evaluate ${matrix}.${group}.${JSON.stringify(name)}).system.build.toplevel.drvPath`;
  try {
    const { value, cpuSeconds } = await evaluateTimed(evaluator, expression);
    return { name, result: String(value), evaluates: true, cpuSeconds };
  } catch (error) {
    const text = String((error as { stderr?: string }).stderr ?? error).trim();
    return { name, result: text.split('\n').at(-1) ?? '', evaluates: false, cpuSeconds: 0 };
  }
}
