/** What to paste into the git server (the secret once), and what came of the last pushes. */
import type { Job, Webhook, WebhookWithSecret } from '../../api/contract.ts'
import { useApp } from '../../app-context.tsx'
import { safeLine } from '../../format/safe-text.ts'
import { useStore } from '../../live/observable.ts'
import { Button } from '../../parts/button.tsx'
import { CopyField } from '../../parts/copy.tsx'
import { Dialog } from '../../parts/dialog.tsx'
import { Ago } from '../../parts/moments.tsx'
import { Notice, Skeleton } from '../../parts/states.tsx'
import { StatusBadge } from '../../parts/status-badge.tsx'
import { Link } from '../../router.tsx'
import { jobLine, jobWord } from '../jobs/job-words.ts'
import { useAsked } from '../sessions/catalogue.ts'
import { providerWords, repositoryOf } from './hook-draft.ts'

export function HookSecretDialog({ hook, onClose }: { hook: WebhookWithSecret; onClose: () => void }) {
  const words = providerWords[hook.provider]
  return (
    <Dialog title={`Tell ${words.label}`} onClose={onClose} wide light={false}>
      <div className="dialog-body form">
        <Steps hook={hook} />
        <CopyField label="URL" value={hook.url} />
        <CopyField label="Secret" value={hook.secret} secret />
        <Notice tone="warn">This is the only time the secret is shown. If it is lost, make another hook.</Notice>
      </div>
      <footer className="dialog-foot">
        <Button kind="primary" onClick={onClose}>
          I have both
        </Button>
      </footer>
    </Dialog>
  )
}

export function HookDetailsDialog({ hook, onClose }: { hook: Webhook; onClose: () => void }) {
  const title = safeLine(hook.name ?? '') || safeLine(repositoryOf(hook.build))
  return (
    <Dialog title={title} onClose={onClose} wide>
      <div className="dialog-body form">
        <CopyField label={`URL for ${providerWords[hook.provider].label}`} value={hook.url} />
        <p className="field-note">
          Pushes are believed only when they are signed with the secret that was shown when the hook was made. A push of another
          branch than <code>{hook.branches}</code> is answered, and ignored.
        </p>
        <section className="hook-builds" aria-label="Last builds">
          <h3>Last builds</h3>
          <LastBuilds hook={hook} />
        </section>
      </div>
      <footer className="dialog-foot">
        <Button onClick={onClose}>Close</Button>
      </footer>
    </Dialog>
  )
}

function Steps({ hook }: { hook: Webhook }) {
  return (
    <ol className="hook-steps">
      {providerWords[hook.provider].steps.map(step => (
        <li key={step}>{step}</li>
      ))}
    </ol>
  )
}

const shownBuilds = 10

function LastBuilds({ hook }: { hook: Webhook }) {
  const { api, live } = useApp()
  const told = useStore(live.events, list => list.findLast(event => event.job?.labels.webhook === hook.id)?.id ?? '')
  const asked = useAsked<readonly Job[]>(
    [],
    async signal => (await api.jobs({ labels: `webhook=${hook.id}` }, null, signal)).data,
    `${hook.id} ${told}`,
  )
  if (asked.phase === 'failed' && asked.error) {
    return (
      <Notice tone="warn">
        They could not be loaded: {asked.error.message}{' '}
        <button type="button" className="link-button" onClick={asked.retry}>
          Try again
        </button>
      </Notice>
    )
  }
  if (asked.phase === 'loading' && asked.value.length === 0) return <Skeleton height="44px" />
  if (asked.value.length === 0) {
    return <p className="field-note">{hook.last_delivery_at ? 'Their jobs have been removed.' : 'No push has been taken yet.'}</p>
  }
  return (
    <ul>
      {asked.value.slice(0, shownBuilds).map(job => (
        <BuildLine key={job.id} job={job} />
      ))}
    </ul>
  )
}

function BuildLine({ job }: { job: Job }) {
  const word = jobWord(job)
  const git = (job.spec.git ?? job.spec.source ?? {}) as { ref?: unknown }
  const commit = typeof git.ref === 'string' ? git.ref.slice(0, 7) : job.id
  const line = jobLine(job)
  return (
    <li>
      <StatusBadge word={word.word} tone={word.tone} moving={word.moving} />
      <span className="hook-build">
        <span>
          <Link to={`/jobs/${encodeURIComponent(job.id)}`} className="mono">
            {safeLine(commit)}
          </Link>{' '}
          of {safeLine(job.labels.branch ?? 'a branch')}
        </span>
        {line && <span className="faint clamp">{line}</span>}
      </span>
      <Ago at={job.ended_at ?? job.created_at} />
    </li>
  )
}
