/** The form of a new session, filled in as an older one was. Pure. */
import type { Session, Template } from '../../api/contract.ts'
import { emptyDraft, type SessionDraft, type Size, type Span } from './session-draft.ts'

const sizes: readonly string[] = ['1280x720', '1440x900', '1920x1080', '390x844'] satisfies Size[]
const spans: readonly string[] = ['900', '3600', '14400', '28800', '86400'] satisfies Span[]

/** Only what is not the template's own. Its variables are left out: nobody is told them again. */
export function draftLike(session: Session, template: Template | undefined): SessionDraft {
  const { display, resources } = session
  const own = <T extends string>(mine: T | null | undefined, theirs: T | null | undefined) =>
    mine && mine !== theirs ? mine : ''
  const size = display ? `${display.width}x${display.height}` : ''
  const sizeIsOwn = own(size, template?.display && `${template.display.width}x${template.display.height}`) !== ''
  return {
    ...emptyDraft,
    template: session.template,
    name: session.name ?? '',
    startUrl: session.start_url ?? '',
    ...(sizeIsOwn && {
      size: (sizes.includes(size) ? size : 'custom') as Size,
      width: String(display?.width),
      height: String(display?.height),
    }),
    ...span('ttl', session.ttl_seconds, template?.ttl_seconds),
    ...span('idle', session.idle_timeout_seconds, template?.idle_timeout_seconds),
    headless: session.headless,
    recording: session.recording,
    browser: own(session.browser, template?.browser),
    cpu: own(resources.cpu, template?.resources?.cpu),
    memory: own(resources.memory, template?.resources?.memory),
    labels: Object.entries(session.labels)
      .map(([name, value]) => `${name}=${value}`)
      .join(', '),
    volume: session.volume ?? '',
    clipboard: session.clipboard === 'both' ? '' : session.clipboard,
    egress: session.egress.mode === 'public' ? '' : (session.egress.mode as SessionDraft['egress']),
  }
}

function span(field: 'ttl' | 'idle', seconds: number | null, byTemplate: number | null | undefined): Partial<SessionDraft> {
  if (seconds === null || seconds === byTemplate) return {}
  if (spans.includes(String(seconds))) return { [field]: String(seconds) }
  return { [field]: 'custom', [`${field}Minutes`]: String(Math.round(seconds / 6) / 10) }
}
