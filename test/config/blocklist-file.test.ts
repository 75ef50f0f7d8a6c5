import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { readBlocklist } from '../../src/config/blocklist-file.ts';
import { loadConfig } from '../../src/config/config.ts';

function write(t: Test, content: string | Buffer): string {
  const path = join(t.testdir(), 'words.txt');
  writeFileSync(path, content);
  return path;
}

const load = (path: string) => loadConfig({ EMBEDDED: 'true', PASSWORD_BLOCKLIST_FILE: path });

test('reads words, one a line, without what is around them', async (t) => {
  const path = write(t, '\ufeffClubhaus\r\n\n  Größe \nsummer party');
  t.equal(load(path).PASSWORD_BLOCKLIST_FILE, path);
  t.strictSame(readBlocklist(path), ['Clubhaus', 'Größe', 'summer party']);
  t.strictSame(readBlocklist(undefined), []);
});

test('a file that cannot be used keeps the server from starting, in one line with the cure', async (t) => {
  const folder = t.testdir();
  const refused: [string, RegExp][] = [
    [join(folder, 'missing.txt'), /: cannot be read \(ENOENT\); name a file that the server may read, or/],
    [folder, /: names no file; name a file with words, one a line, or unset it$/],
    [write(t, Buffer.alloc(1024 * 1024 + 1, 'a')), /: the file is larger than 1 MiB; take words out of it$/],
  ];
  for (const [path, line] of refused) {
    t.throws(() => load(path), { name: 'ConfigError', message: line });
  }
  t.throws(() => load(write(t, Buffer.from([0x61, 0xff]))), { message: /: the file is not in UTF-8; / });
  t.doesNotThrow(() => load(write(t, Buffer.alloc(1024 * 1024, 'a'))));
});
