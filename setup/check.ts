/** `npm run check`: format, lint, types of every room, walls. Side by side, without services, in seconds. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { readSetupConfig } from './config.ts'
import { runProgram } from './program.ts'

await runProgram(async (say, signal) => {
  const { root, environment } = readSetupConfig()
  const tool = (path: string) => join(root, 'node_modules', path)
  const projects = [
    'tsconfig.json',
    'tsconfig.portable.json',
    'api/workers/tsconfig.json',
    'web/tsconfig.json',
    'web/testing/tsconfig.json',
  ]
  // What the last check found out is kept: the next one looks at what changed since.
  const typesOf = (project: string) => {
    const kept = tool(`.cache/types/${project.replaceAll('/', '-')}.tsbuildinfo`)
    return ['-p', project, '--incremental', '--tsBuildInfoFile', kept]
  }
  const checks: [name: string, script: string, args: string[]][] = [
    ['format and lint', tool('@biomejs/biome/bin/biome'), ['ci', '--colors=off']],
    ...projects
      .filter(project => existsSync(join(root, project)))
      .map((project): [string, string, string[]] => [`types ${project}`, tool('typescript/bin/tsc'), typesOf(project)]),
    ['walls', tool('vitest/vitest.mjs'), ['run', '--project', 'house', '--reporter=dot']],
  ]
  const results = await Promise.all(
    checks.map(async ([name, script, args]) => {
      const began = performance.now()
      const child = spawn(process.execPath, [script, ...args], {
        cwd: root,
        env: environment,
        stdio: ['ignore', 'pipe', 'pipe'],
        signal,
      })
      let text = ''
      for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', chunk => (text += chunk))
      const [code] = await once(child, 'close')
      const seconds = ((performance.now() - began) / 1000).toFixed(1)
      if (code !== 0) process.stdout.write(text)
      say(`${code === 0 ? 'ok    ' : 'FAILED'} ${name} (${seconds} s)`)
      return code === 0
    }),
  )
  return results.every(Boolean) ? 0 : 1
})
