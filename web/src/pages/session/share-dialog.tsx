/** Share the screen with somebody who has no account: make a link, see the living ones, take them back. */
import { type FormEvent, useEffect, useRef, useState } from 'react'
import { messageOf } from '../../api/api-error.ts'
import type { Link, LinkWithUrl, Session } from '../../api/contract.ts'
import { useApp } from '../../app-context.tsx'
import { titleOf } from '../../format/session-words.ts'
import { until } from '../../format/time.ts'
import { useStore } from '../../live/observable.ts'
import { Button } from '../../parts/button.tsx'
import { CopyField } from '../../parts/copy.tsx'
import { Dialog } from '../../parts/dialog.tsx'
import { Field, Segmented, TextField } from '../../parts/form.tsx'
import { Ago } from '../../parts/moments.tsx'
import { Notice, Skeleton } from '../../parts/states.tsx'
import { StatusBadge } from '../../parts/status-badge.tsx'
import { emptyShare, endsEarly, linkFacts, linkRequest, lives, type ShareDraft } from './share-draft.ts'

/** How often the viewers of the links are counted anew while the dialog is open. */
const lookMs = 5_000

export function ShareDialog({ session, onClose }: { session: Session; onClose: () => void }) {
  const [made, setMade] = useState<LinkWithUrl | null>(null)
  const links = useLinks(session.id)
  return (
    <Dialog title={`Share ${titleOf(session)}`} onClose={onClose} wide light={!made}>
      <div className="dialog-body form">
        {made ? (
          <Made link={made} onAnother={() => setMade(null)} />
        ) : (
          <NewLink
            session={session}
            onMade={link => {
              setMade(link)
              links.look()
            }}
          />
        )}
        <LivingLinks session={session} links={links} newest={made?.id ?? ''} onRevoked={id => made?.id === id && setMade(null)} />
      </div>
      <footer className="dialog-foot">
        <Button onClick={onClose}>Done</Button>
      </footer>
    </Dialog>
  )
}

function NewLink({ session, onMade }: { session: Session; onMade: (link: LinkWithUrl) => void }) {
  const { api, clock } = useApp()
  const [draft, setDraft] = useState<ShareDraft>(emptyShare)
  const [fault, setFault] = useState('')
  const [refusal, setRefusal] = useState('')
  const [busy, setBusy] = useState(false)
  const early = useStore(clock.ticks, now => endsEarly(draft.life, session.expires_at, now))
  const set = (changes: Partial<ShareDraft>) => {
    setDraft(current => ({ ...current, ...changes }))
    setFault('')
    setRefusal('')
  }
  async function submit(event: FormEvent) {
    event.preventDefault()
    const request = linkRequest(draft)
    setFault(request.fault)
    if (request.fault || busy) return
    setBusy(true)
    try {
      onMade(await api.createLink(session.id, request.body))
    } catch (error) {
      setRefusal(messageOf(error))
      setBusy(false)
    }
  }
  return (
    <form className="form" onSubmit={submit} noValidate>
      <div className="share-role">
        <Segmented<ShareDraft['role']>
          label="What the guest may do"
          chosen={draft.role}
          onChoose={role => set({ role })}
          choices={[
            { key: 'view', label: 'Watch', icon: 'eye' },
            { key: 'control', label: 'Control', icon: 'keyboard' },
          ]}
        />
        <p className="field-note">
          {draft.role === 'view'
            ? 'Guests see the screen. No key, click or clipboard of theirs gets through, whatever program they use.'
            : 'Guests use mouse, keyboard and clipboard as you do: everything that is signed in there is theirs to use.'}
        </p>
      </div>
      <div className="form-pair">
        <Field label="Works for" hint={early || undefined}>
          {({ id, describedBy }) => (
            <select
              id={id}
              className="select"
              aria-describedby={describedBy}
              value={draft.life}
              onChange={event => set({ life: event.currentTarget.value })}
            >
              {lives.map(life => (
                <option key={life.key} value={life.key}>
                  {life.label}
                </option>
              ))}
            </select>
          )}
        </Field>
        <TextField
          label="At most at once"
          optional
          value={draft.viewers}
          onText={viewers => set({ viewers })}
          error={fault || undefined}
          inputMode="numeric"
          placeholder="no limit"
        />
      </div>
      {refusal && <Notice tone="bad">{refusal}</Notice>}
      <Button type="submit" kind="primary" icon="share" busy={busy} className="share-make">
        Make a link
      </Button>
    </form>
  )
}

function Made({ link, onAnother }: { link: LinkWithUrl; onAnother: () => void }) {
  const box = useRef<HTMLDivElement>(null)
  useEffect(() => box.current?.querySelector<HTMLElement>('.copy')?.focus(), [])
  return (
    <div className="form share-made" ref={box} role="status">
      <CopyField label={link.role === 'view' ? 'Link to watch' : 'Link to control'} value={link.url} secret />
      <p className="field-note">
        Whoever has this link gets in, without an account. It is shown only now: Porthole keeps just its hash.{' '}
        <button type="button" className="link-button" onClick={onAnother}>
          Make another
        </button>
      </p>
    </div>
  )
}

interface Links {
  list: readonly Link[] | null
  fault: string
  look: () => void
  drop: (id: string) => void
}

/** Asked again and again while shown: nothing tells of viewers that come and go through links. */
function useLinks(session: string): Links {
  const { api } = useApp()
  const [list, setList] = useState<readonly Link[] | null>(null)
  const [fault, setFault] = useState('')
  const [turn, setTurn] = useState(0)
  // biome-ignore lint/correctness/useExhaustiveDependencies: `turn` says that it is time to look again
  useEffect(() => {
    const stop = new AbortController()
    const timer = setTimeout(() => setTurn(count => count + 1), lookMs)
    api
      .links(session, stop.signal)
      .then(page => {
        setList(page.data)
        setFault('')
      })
      .catch(error => !stop.signal.aborted && setFault(messageOf(error)))
    return () => {
      clearTimeout(timer)
      stop.abort()
    }
  }, [api, session, turn])
  return {
    list,
    fault,
    look: () => setTurn(count => count + 1),
    drop: id => setList(current => current?.filter(link => link.id !== id) ?? null),
  }
}

interface LivingLinksProps {
  session: Session
  links: Links
  newest: string
  onRevoked: (id: string) => void
}

function LivingLinks({ session, links, newest, onRevoked }: LivingLinksProps) {
  const { api, clock, toasts } = useApp()
  const [going, setGoing] = useState<ReadonlySet<string>>(new Set())
  const now = useStore(clock.ticks, at => at)
  const living = links.list?.filter(link => (until(link.expires_at, now) ?? 1) > 0)

  async function revoke(link: Link) {
    setGoing(current => new Set([...current, link.id]))
    try {
      await api.revokeLink(session.id, link.id)
      links.drop(link.id)
      onRevoked(link.id)
      toasts.say('The link no longer works. Screens opened by it are closed.')
    } catch (error) {
      toasts.failed('Not revoked', error)
    }
    setGoing(current => new Set([...current].filter(id => id !== link.id)))
  }

  return (
    <section className="share-living" aria-label="Links that work now">
      <h3>Links that work now</h3>
      {links.fault && <Notice tone="warn">The links could not be loaded: {links.fault}</Notice>}
      {!living && !links.fault && <Skeleton height="44px" />}
      {living?.length === 0 && <p className="field-note">None: nobody gets in without an account.</p>}
      <ul>
        {living?.map(link => (
          <li key={link.id} data-new={link.id === newest || undefined}>
            <StatusBadge word={link.role === 'view' ? 'Watch' : 'Control'} tone={link.role === 'view' ? 'quiet' : 'warn'} />
            <span className="share-facts">
              <span>{linkFacts(link, now)}</span>
              <span className="faint">
                {link.shared_by}, <Ago at={link.created_at} />
              </span>
            </span>
            <Button
              size="small"
              busy={going.has(link.id)}
              aria-label={`Revoke the link of ${link.shared_by}`}
              onClick={() => void revoke(link)}
            >
              Revoke
            </Button>
          </li>
        ))}
      </ul>
    </section>
  )
}
