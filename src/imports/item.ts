/** What was read: a record, or why there is none and what there is of it. `line` counts from 1. */
export type Item = { line: number } & ({ record: unknown } | { problem: string; raw: unknown });
