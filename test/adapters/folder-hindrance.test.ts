import { test } from 'tap';
import { hindranceOf } from '../../src/adapters/folder-hindrance.ts';

test('knows a cause by its code, and by the words of SQLite and PostgreSQL', async (t) => {
  const causes: [start: string, reasons: string[]][] = [
    [
      'no space is left',
      [
        'ENOSPC: no space left on device, write',
        'EDQUOT',
        'database or disk is full',
        'PANIC:  could not write to file "pg_wal/xlogtemp.42": No space left on device',
        'could not extend file: Quota exceeded',
      ],
    ],
    [
      'its file system is read-only',
      ['EROFS', 'could not open file "postmaster.pid": Read-only file system'],
    ],
    [
      'the user of this process (1000) has no right',
      ['EACCES', 'EPERM', 'PANIC:  could not open file "global/pg_control": Permission denied'],
    ],
    [
      'this process may not open more files',
      ['EMFILE', 'ENFILE', 'No file descriptors available', 'Too many open files in system'],
    ],
    [
      'this process gets no more memory',
      [
        'ENOMEM',
        'ERR_WORKER_OUT_OF_MEMORY',
        'FATAL:  could not map anonymous shared memory: Out of memory',
        'RangeError: WebAssembly.Memory(): could not allocate memory',
      ],
    ],
    ['its disk reports', ['EIO', 'could not read file: I/O error']],
    ['it cannot be made', ["ENOENT: no such file or directory, mkdir '/data'"]],
    ['its path is too long', ['ENAMETOOLONG', 'ELOOP']],
    ['a part of this path is a file', ['EEXIST', 'ENOTDIR']],
  ];
  for (const [start, reasons] of causes) {
    for (const reason of reasons) t.ok(hindranceOf(reason, 1000)?.startsWith(start), reason);
  }
});

test('takes nothing else for a cause outside of the data', async (t) => {
  for (const reason of ['', 'PANIC:  could not locate a valid checkpoint record', 'file is not a database']) {
    t.equal(hindranceOf(reason, 1000), null);
  }
});
