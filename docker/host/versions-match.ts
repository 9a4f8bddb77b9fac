/** Playwright speaks to the same minor version only; a client of another one is told what to install, for its own language. */
import { Refusal } from './problem.ts'

export function refuseOtherVersion(userAgent: string | undefined, ours: string): void {
  const client = /^Playwright\/(\d+)\.(\d+)\.(\S+)/.exec(userAgent ?? '')
  if (!client) return
  const [major, minor] = ours.split('.')
  if (client[1] === major && client[2] === minor) return
  const commands = { node: `npm i playwright-core@${ours}`, python: `pip install playwright==${major}.${minor}.*` }
  const language = /python/i.test(userAgent!) ? 'python' : 'node'
  const other = language === 'python' ? 'node' : 'python'
  throw new Refusal(
    428,
    'playwright_version',
    `This session runs Playwright ${ours}, the client is ${client[1]}.${client[2]}.${client[3]}: install ${major}.${minor} with ` +
      `\`${commands[language]}\` (or \`${commands[other]}\`), or connect over CDP, which takes any version.`,
  )
}
