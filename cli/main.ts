/** The command line: arguments and environment in, one exit code out. */
import { CommandError, readCommand, usage } from './command.ts'
import { forward } from './forward.ts'

async function main(): Promise<number> {
  const command = readCommand(process.argv.slice(2), process.env)
  if (command === 'help') {
    process.stdout.write(usage)
    return 0
  }
  const stop = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort())
  await forward({ ...command, say: line => process.stdout.write(`${line}\n`), signal: stop.signal })
  return 0
}

process.exitCode = await main().catch(error => {
  if (!(error instanceof CommandError)) throw error
  process.stderr.write(`${error.message.trimEnd()}\n`)
  return 1
})
