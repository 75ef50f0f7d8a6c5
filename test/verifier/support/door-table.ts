import type { DoorKind } from '../../../src/verifier/door-rules.ts';

const doorKinds: DoorKind[] = ['open', 'verified', 'checked', 'once'];

type TokenCase =
  | 'good'
  | 'expired'
  | 'wrong audience'
  | 'wrong issuer'
  | 'wrong typ'
  | 'revoked'
  | 'reused'
  | 'forged'
  | 'no token';

/** Makes the token of each case, for a kind of door; null for no token. */
export type TokenCases = Record<TokenCase, (door: DoorKind) => Promise<string | null>>;

/** The answer of one door, in short: "200 user-1" or "401 token_expired". */
export type AskDoor = (door: DoorKind, token: string | null) => Promise<string>;

export type DoorTable = Record<string, Record<DoorKind, string>>;

/** Tries each kind of token at each kind of door. A reused one is sent twice, and the second answer counts. */
export async function fillDoorTable(cases: TokenCases, ask: AskDoor): Promise<DoorTable> {
  const table: DoorTable = {};
  for (const [name, mint] of Object.entries(cases)) {
    const answers: [DoorKind, string][] = [];
    for (const door of doorKinds) {
      const token = await mint(door);
      if (name === 'reused') await ask(door, token);
      answers.push([door, await ask(door, token)]);
    }
    table[name] = Object.fromEntries(answers) as Record<DoorKind, string>;
  }
  return table;
}

/** The table in Markdown, one row a case. */
export function formatDoorTable(table: DoorTable): string {
  const rows = Object.entries(table).map(([name, answers]) => [
    name,
    ...doorKinds.map((door) => answers[door]),
  ]);
  const lines = [['token', ...doorKinds], ['---', ...doorKinds.map(() => '---')], ...rows];
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

/** The answers of every service, with any framework. */
export function expectedDoorTable(user: string): DoorTable {
  const row = (...answers: string[]) =>
    Object.fromEntries(doorKinds.map((door, index) => [door, answers[index]])) as Record<DoorKind, string>;
  const everywhere = (code: string) => row('200 nobody', ...Array<string>(3).fill(`401 ${code}`));
  const passed = `200 ${user}`;
  return {
    good: row(passed, passed, passed, passed),
    expired: everywhere('token_expired'),
    'wrong audience': everywhere('audience_mismatch'),
    'wrong issuer': everywhere('issuer_mismatch'),
    'wrong typ': everywhere('type_not_allowed'),
    revoked: row(passed, passed, '401 token_inactive', '401 token_inactive'),
    reused: row(passed, passed, passed, '401 token_inactive'),
    forged: everywhere('signature_invalid'),
    'no token': everywhere('token_missing'),
  };
}
