/** The Chromium that plays the person: whichever this machine has. */
import { existsSync } from 'node:fs'

export function browserProgram(): string {
  const found = ['/usr/lib/chromium/chromium', '/usr/bin/chromium', '/usr/bin/google-chrome'].find(path => existsSync(path))
  if (!found) throw new Error('no Chromium on this machine: npm test installs it')
  return found
}
