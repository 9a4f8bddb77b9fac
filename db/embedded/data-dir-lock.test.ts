import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, expect, it } from 'vitest'
import { DataDirInUse, DataDirUnusable, holdDataDir } from './data-dir-lock.ts'

const dir = mkdtempSync(join(tmpdir(), 'hold-'))
afterEach(() => rmSync(dir, { recursive: true, force: true }))

it('has one owner at a time, also within one process', () => {
  const first = holdDataDir(dir)
  expect(() => holdDataDir(dir)).toThrow(DataDirInUse)
  first.release()
  holdDataDir(dir).release()
})

it('names the owner, and is free the moment the owner is killed', async () => {
  const module = fileURLToPath(new URL('./data-dir-lock.ts', import.meta.url))
  const code = `import { holdDataDir } from ${JSON.stringify(module)}
    import { spawn } from 'node:child_process'
    holdDataDir(${JSON.stringify(dir)})
    spawn('sleep', ['60'], { stdio: 'ignore', detached: true }).on('spawn', function () { console.log(this.pid) })`
  const owner = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = await once(owner.stdout.setEncoding('utf8'), 'data')
  expect(() => holdDataDir(dir)).toThrow(new RegExp(`process ${owner.pid}`))
  owner.kill('SIGKILL')
  await once(owner, 'exit')
  // Its child lives on and must not have inherited the lock.
  holdDataDir(dir).release()
  process.kill(Number(line), 'SIGKILL')
})

it('says in words why a folder cannot be one', () => {
  const file = join(mkdtempSync(join(tmpdir(), 'hold-')), 'a file')
  writeFileSync(file, '')
  for (const place of [file, join(file, 'below')]) {
    expect(() => holdDataDir(place)).toThrow(DataDirUnusable)
    expect(() => holdDataDir(place)).toThrow(`${place} cannot be used: there is a file in its place. Choose another DATA_DIR`)
  }
  rmSync(join(file, '..'), { recursive: true })
  expect(() => holdDataDir('/proc/none/below')).toThrow('/proc/none/below cannot be used: no folder can be made there.')
})
