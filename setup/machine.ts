/** Gets this machine ready for sessions, as far as we may: installs as root, otherwise says the one line to type. */
import { join } from 'node:path'
import { aptInstall, readOsRelease } from './apt.ts'
import { Told } from './config.ts'
import { missingNeeds, osFamily, planInstall } from './debian-packages.ts'

export interface MachineParts {
  dataDir: string
  say(line: string): void
  signal: AbortSignal
}

/** Resolves with whether sessions can run here at all; why not has been said. */
export async function prepareMachine({ dataDir, say, signal }: MachineParts): Promise<boolean> {
  const missing = missingNeeds()
  if (missing.length === 0) return true
  const { packages, advice } = planInstall(missing, osFamily(await readOsRelease()))
  if (advice) say(advice)
  if (packages.length > 0) {
    if (process.getuid!() !== 0)
      say(`Sessions on this machine need more: sudo apt-get install -y --no-install-recommends ${packages.join(' ')}`)
    else {
      try {
        await aptInstall(packages, { say, signal, log: join(dataDir, 'apt.log') })
      } catch (error) {
        if (!(error instanceof Told)) throw error
        say(error.message)
      }
    }
  }
  return missingNeeds().every(need => need.without === 'less')
}
