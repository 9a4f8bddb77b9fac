/**
 * `node keep-packages.mjs <from> <to> <list>`: copies the npm packages of one image (docker/packages.json) and whatever they depend on, as
 * package-lock.json resolved it, so that no image carries what only another part needs.
 */
import { cpSync, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

/** Paths below the root that these packages need: nearest node_modules first, as Node looks for them. */
export function closure(lock, names) {
  const found = new Set()
  const visit = (name, from, optional) => {
    const path = resolve(lock, name, from)
    if (path === null) {
      if (optional) return
      throw new Error(`${name} (wanted by ${from || 'the list'}) is not in package-lock.json`)
    }
    if (found.has(path)) return
    found.add(path)
    const { dependencies = {}, optionalDependencies = {}, peerDependencies = {}, peerDependenciesMeta = {} } = lock.packages[path]
    for (const dependency of Object.keys(dependencies)) visit(dependency, path, dependency in optionalDependencies)
    for (const dependency of Object.keys(peerDependencies))
      if (!peerDependenciesMeta[dependency]?.optional) visit(dependency, path, false)
  }
  for (const name of names) visit(name, '', false)
  return [...found].sort()
}

function resolve(lock, name, from) {
  for (let place = from; ; place = place.slice(0, Math.max(0, place.lastIndexOf('/node_modules/')))) {
    const path = place === '' ? `node_modules/${name}` : `${place}/node_modules/${name}`
    if (lock.packages[path]) return path
    if (place === '') return null
  }
}

/** What Node never reads there. */
const unread = /\.(d\.[cm]?ts|map|md|markdown|tsbuildinfo)$|\/(test|tests|docs|examples?|\.github)$/i

function main([from, to, list]) {
  const lock = JSON.parse(readFileSync(join(from, 'package-lock.json'), 'utf8'))
  const names = JSON.parse(readFileSync(new URL('packages.json', import.meta.url), 'utf8'))[list]
  if (!names) throw new Error(`docker/packages.json has no list "${list}"`)
  for (const path of closure(lock, names)) {
    // Types are for compilers, and an optional package may be for another processor.
    if (path.includes('/@types/') || !existsSync(join(from, path))) continue
    // Nested packages come on their own, when they are needed.
    const filter = source => !source.slice(from.length + path.length + 1).includes('/node_modules') && !unread.test(source)
    cpSync(join(from, path), join(to, path), { recursive: true, filter })
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) main(process.argv.slice(2))
