import { readFileSync } from 'node:fs';
import {
  DockerfileParser,
  type Instruction,
  JSONInstruction,
  ModifiableInstruction,
  PropertyInstruction,
} from 'dockerfile-ast';

/** One instruction, as it is written: variables are not yet replaced. */
export type Step = {
  /** In capital letters. */
  keyword: string;
  /** `--name=value`, in their order. */
  flags: { name: string; value: string | null }[];
  /** All after the flags, on one line. */
  text: string;
  /** The same in words; of the JSON form, its strings. */
  words: string[];
  isJson: boolean;
  /** Of ARG, ENV and LABEL, without quotes. An ARG may have no value. */
  pairs: { name: string; value: string | null }[];
};

/** What one FROM begins. */
export type Stage = { name: string; from: string; steps: Step[] };

/** A Dockerfile: the ARGs before the first FROM, and the stages. */
export type Dockerfile = { args: Step[]; stages: Stage[] };

/** Reads a Dockerfile. @throws Error if a stage has no name: all of ours do */
export function readDockerfile(path: string): Dockerfile {
  const steps = DockerfileParser.parse(readFileSync(path, 'utf8')).getInstructions().map(toStep);
  const first = steps.findIndex(({ keyword }) => keyword === 'FROM');
  const stages: Stage[] = [];
  for (const step of steps.slice(first)) {
    if (step.keyword === 'FROM') stages.push(toStage(step));
    else stages.at(-1)?.steps.push(step);
  }
  return { args: steps.slice(0, first), stages };
}

function toStage({ words: [from, as, name] }: Step): Stage {
  if (from === undefined || as?.toUpperCase() !== 'AS' || name === undefined)
    throw new Error('a FROM without a name for its stage');
  return { name, from, steps: [] };
}

function toStep(instruction: Instruction): Step {
  const flags = instruction instanceof ModifiableInstruction ? instruction.getFlags() : [];
  const strings = instruction instanceof JSONInstruction ? instruction.getJSONStrings() : [];
  const isJson = strings.length > 0;
  const written = instruction.getArguments().map((word) => word.getValue());
  return {
    keyword: instruction.getKeyword(),
    flags: flags.map((flag) => ({ name: flag.getName(), value: flag.getValue() })),
    text: withoutFlags(instruction.getArgumentsContent() ?? '', flags.length),
    words: isJson ? strings.map((one) => one.getJSONValue()) : written,
    isJson,
    pairs: pairsOf(instruction),
  };
}

function pairsOf(instruction: Instruction): Step['pairs'] {
  if (!(instruction instanceof PropertyInstruction)) return [];
  return instruction.getProperties().map((one) => ({ name: one.getName(), value: one.getValue() }));
}

function withoutFlags(text: string, count: number): string {
  return text.replace(new RegExp(`^(?:--\\S+\\s+){${count}}`), '');
}

/** Replaces `$NAME` and `${NAME}`. @throws Error for a form that is not known here */
export function expand(text: string, variables: Record<string, string>): string {
  return text.replace(/\$(?:\{([^}]*)\}|(\w+))/g, (whole, braced?: string, plain?: string) => {
    const name = braced ?? plain ?? '';
    if (!/^\w+$/.test(name)) throw new Error(`${whole} is a form of variables that this does not know`);
    return variables[name] ?? '';
  });
}
