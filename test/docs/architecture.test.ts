import { existsSync, globSync, readFileSync } from 'node:fs';
import t from 'tap';
import { captures, namesIn, readPage, section } from './pages.ts';

const page = readPage('docs/architecture.md');

const floorPlan = namesIn(section('docs/architecture.md', 'The floor plan')).map((path) =>
  path.replace(/\/$/, ''),
);

t.test('every room is on the floor plan, and every room there exists', async (t) => {
  t.same(floorPlan.toSorted(), globSync('src/*').toSorted());
});

t.test('the rooms stand in the order that the layout test holds', async (t) => {
  const [list = ''] = captures(readPage('test/layout.test.ts'), /^const rooms = \[(.*?)^\];/gms);
  const rooms = captures(list, /'(\w+)'/g).map((room) => `src/${room}`);
  t.same(
    floorPlan.filter((path) => !path.endsWith('.ts')),
    rooms.filter((room) => existsSync(room)),
  );
});

t.test('every file that it names exists', async (t) => {
  const files = captures(page, /\]\(\.\.\/([^)#]+)\)/g);
  t.ok(files.length > 40, 'the files were found');
  t.same(
    [...new Set(files)].filter((path) => !existsSync(path)),
    [],
  );
});

t.test('every link says where it leads', async (t) => {
  const links = [...page.matchAll(/\[((?:src|test)\/[^\]]+)\]\(\.\.\/([^)]+)\)/g)];
  t.same(
    links.filter(([, text = '', target]) => text.replace(/\/$/, '') !== target).map(([text]) => text),
    [],
  );
});

t.test('every function that it names is in the file that it names beside it', async (t) => {
  // "`claim` and `fill` in [src/…]": names may come before the file, with a few words between them.
  const places = [
    ...page.matchAll(/((?:`\w+`(?:\s+and\s+|,\s+)?)+)[^`[\]|.;]{0,60}?\s+in\s+\[(src\/[^\]]+)\]/g),
  ];
  t.ok(places.length > 12, 'the functions were found');
  for (const [, names = '', path = ''] of places) {
    const source = existsSync(path) ? readFileSync(path, 'utf8') : '';
    for (const name of captures(names, /`(\w+)`/g))
      t.match(source, new RegExp(`\\b${name}\\b\\s*[(<:=]`), `${name} in ${path}`);
  }
});
