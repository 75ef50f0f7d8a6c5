import { readdirSync, readFileSync } from 'node:fs';

/**
 * CPU time of a process and of its children, all threads, in microseconds; NaN if the system does not show it. Of the
 * scheduler's own account, to the nanosecond: what `/proc/PID/stat` has is whole hundredths of a second.
 */
export function cpuMicrosOf(pid: number): number {
  try {
    const threads = readdirSync(`/proc/${pid}/task`);
    const own = threads.reduce((sum, id) => sum + onCpuNanos(`/proc/${pid}/task/${id}/schedstat`), 0) / 1000;
    return childrenOf(pid).reduce((sum, child) => sum + cpuMicrosOf(child), own);
  } catch {
    return Number.NaN;
  }
}

function onCpuNanos(path: string): number {
  return Number(readFileSync(path, 'utf8').split(' ', 1)[0]);
}

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
}
