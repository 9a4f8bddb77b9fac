import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, it } from 'vitest'
import { type DocReference, docReferences } from './doc-references.ts'

const root = join(import.meta.dirname, '..')
const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: Record<string, string> }
const rooms = readdirSync(root, { withFileTypes: true }).flatMap(entry => (entry.isDirectory() ? [entry.name] : []))
/** Made by running, so not in a fresh checkout. */
const made = ['node_modules', '.porthole', 'web/dist']
const pages = globSync('**/*.md', { cwd: root, exclude: ['**/node_modules', '.porthole', '**/dist'] })

function isThere(page: string, { kind, target }: DocReference): boolean {
  if (kind === 'script') return target in scripts
  if (made.some(place => target.startsWith(place))) return true
  const places = kind === 'link' ? [dirname(page)] : ['.', dirname(page)]
  return places.some(place =>
    target.includes('*') ? globSync(target, { cwd: join(root, place) }).length > 0 : existsSync(join(root, place, target)),
  )
}

it.each(pages)('%s names only what is there', page => {
  const missing = docReferences(readFileSync(join(root, page), 'utf8'), rooms).filter(reference => !isThere(page, reference))
  expect(missing).toEqual([])
})

it('finds links, paths, scripts and programs, and checks them', () => {
  const text = `See [the wire](agent/protocol/PROTOCOL.md#close) and [elsewhere](https://example.com/a), \`api/nowhere.ts\`, \`image/png\`.
Type \`npm run nothing\`.
\`\`\`sh
npm start
DATA_DIR=/tmp/a node setup/gone.mjs start
\`\`\``
  const found = docReferences(text, ['api', 'agent', 'setup'])
  expect(found).toEqual([
    { kind: 'link', target: 'agent/protocol/PROTOCOL.md' },
    { kind: 'path', target: 'api/nowhere.ts' },
    { kind: 'script', target: 'nothing' },
    { kind: 'script', target: 'start' },
    { kind: 'program', target: 'setup/gone.mjs' },
  ])
  expect(found.filter(reference => !isThere('README.md', reference)).map(({ target }) => target)).toEqual([
    'api/nowhere.ts',
    'nothing',
    'setup/gone.mjs',
  ])
})
