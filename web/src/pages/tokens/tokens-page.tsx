/** Who and what may use the API, with what, and when it last did. */
import { useState } from 'react'
import type { Me, Token } from '../../api/contract.ts'
import { useApp } from '../../app-context.tsx'
import { count } from '../../format/quantity.ts'
import type { Tone } from '../../format/session-words.ts'
import { duration, shortDate, until } from '../../format/time.ts'
import { Button } from '../../parts/button.tsx'
import { ConfirmDialog } from '../../parts/dialog.tsx'
import { Menu } from '../../parts/menu.tsx'
import { Ago } from '../../parts/moments.tsx'
import { EmptyState, FailedState, Skeleton } from '../../parts/states.tsx'
import { StatusBadge } from '../../parts/status-badge.tsx'
import { PageHead } from '../../shell/shell.tsx'
import { useAsked } from '../sessions/catalogue.ts'
import { NewTokenDialog } from './new-token-dialog.tsx'
import { RotateDialog } from './rotate-dialog.tsx'
import { SecretDialog } from './secret-dialog.tsx'

type Asking = { what: 'new' } | { what: 'secret'; token: Token } | { what: 'rotate' | 'revoke'; token: Token }

export function TokensPage({ me }: { me: Me }) {
  const { api, clock, toasts } = useApp()
  const [version, setVersion] = useState(0)
  const [older, setOlder] = useState<{ tokens: readonly Token[]; cursor: string | null } | null>(null)
  const [asking, setAsking] = useState<Asking | null>(null)
  const first = useAsked(
    null,
    signal => api.tokens(null, signal).then(page => page as Awaited<ReturnType<typeof api.tokens>> | null),
    `tokens ${version}`,
  )
  const tokens = [...(first.value?.data ?? []), ...(older?.tokens ?? [])]
  const cursor = older ? older.cursor : (first.value?.next_cursor ?? null)
  const reload = () => {
    setOlder(null)
    setVersion(count => count + 1)
  }

  async function loadMore() {
    try {
      const page = await api.tokens(cursor)
      setOlder({ tokens: [...(older?.tokens ?? []), ...page.data], cursor: page.next_cursor })
    } catch (error) {
      toasts.failed('No more could be loaded', error)
    }
  }

  async function revoke(token: Token) {
    try {
      await api.revokeToken(token.id)
      toasts.say(`“${token.name}” was revoked. Its open streams end within seconds.`)
      reload()
    } catch (error) {
      toasts.failed('Not revoked', error)
    }
  }

  const now = clock.now()
  const mine = me.token.id
  const create = (
    <Button kind="primary" icon="plus" onClick={() => setAsking({ what: 'new' })}>
      New token
    </Button>
  )
  return (
    <>
      <PageHead
        title="Tokens"
        summary={first.value ? `${count(tokens.length, 'token')}${cursor ? ' and more' : ''}` : 'Keys to the API.'}
      >
        {create}
      </PageHead>
      {first.phase === 'failed' && first.error ? (
        <FailedState error={first.error} onRetry={first.retry} />
      ) : first.phase === 'ready' && tokens.length === 0 ? (
        <EmptyState title="No tokens" action={create}>
          Make one for each person or script, so that each can be revoked alone.
        </EmptyState>
      ) : (
        <div className="table-frame">
          <table className="table">
            <thead>
              <tr>
                <th scope="col">Name</th>
                <th scope="col">Scopes</th>
                <th scope="col">Last used</th>
                <th scope="col">Expires</th>
                <th scope="col">State</th>
                <th scope="col">
                  <span className="unseen">Actions</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {first.phase === 'loading' &&
                tokens.length === 0 &&
                ['a', 'b', 'c'].map(key => (
                  <tr key={key}>
                    <td colSpan={6}>
                      <Skeleton height="20px" />
                    </td>
                  </tr>
                ))}
              {tokens.map(token => {
                const state = tokenState(token, now)
                return (
                  <tr key={token.id} data-over={state.over || undefined}>
                    <td>
                      <strong className="table-name">{token.name}</strong>
                      <span className="faint">
                        {token.user}
                        {token.last4 && <span className="mono"> …{token.last4}</span>}
                        {token.id === mine && ' · the one you use now'}
                      </span>
                    </td>
                    <td data-label="Scopes">
                      <ul className="chips">
                        {token.scopes.map(scope => (
                          <li key={scope} className="chip mono">
                            {scope}
                          </li>
                        ))}
                      </ul>
                    </td>
                    <td data-label="Last used">
                      <Ago at={token.last_used_at} />
                    </td>
                    <td data-label="Expires">{token.expires_at ? shortDate(token.expires_at) : 'never'}</td>
                    <td data-label="State">
                      <StatusBadge word={state.word} tone={state.tone} />
                    </td>
                    <td className="table-actions">
                      {!state.over && (
                        <Menu
                          label={`Actions for ${token.name}`}
                          items={[
                            ...(token.status === 'active'
                              ? [
                                  {
                                    label: 'Rotate',
                                    icon: 'restart' as const,
                                    onPick: () => setAsking({ what: 'rotate' as const, token }),
                                  },
                                ]
                              : []),
                            { label: 'Revoke', icon: 'end', danger: true, onPick: () => setAsking({ what: 'revoke', token }) },
                          ]}
                        />
                      )}
                    </td>
                  </tr>
                )
              })}
            </tbody>
          </table>
        </div>
      )}
      {cursor && (
        <div className="load-more">
          <Button onClick={() => void loadMore()}>Load more</Button>
        </div>
      )}
      {asking?.what === 'new' && (
        <NewTokenDialog
          me={me}
          onClose={() => setAsking(null)}
          onMade={token => {
            setAsking({ what: 'secret', token })
            reload()
          }}
        />
      )}
      {asking?.what === 'secret' && <SecretDialog token={asking.token} onClose={() => setAsking(null)} />}
      {asking?.what === 'rotate' && (
        <RotateDialog
          token={asking.token}
          onClose={() => setAsking(null)}
          onMade={token => {
            setAsking({ what: 'secret', token })
            reload()
          }}
        />
      )}
      {asking?.what === 'revoke' && (
        <ConfirmDialog
          title={`Revoke “${asking.token.name}”?`}
          verb="Revoke"
          onClose={() => setAsking(null)}
          onConfirm={() => revoke(asking.token)}
        >
          <p>
            Whatever uses it stops working at once, open screens and scripts too.
            {asking.token.id === mine && ' You are signed in with it: you will be signed out.'}
          </p>
        </ConfirmDialog>
      )}
    </>
  )
}

function tokenState(token: Token, now: number): { word: string; tone: Tone; over: boolean } {
  if (token.status === 'revoked') return { word: 'Revoked', tone: 'bad', over: true }
  const left = until(token.expires_at, now)
  if (token.status === 'expired' || (left !== null && left <= 0)) return { word: 'Expired', tone: 'quiet', over: true }
  if (token.status === 'rotated') {
    const grace = until(token.grace_until, now) ?? 0
    return { word: grace > 0 ? `Replaced, valid ${duration(grace)}` : 'Replaced', tone: 'warn', over: false }
  }
  if (left !== null && left < 7 * 86_400_000) return { word: 'Expires soon', tone: 'warn', over: false }
  return { word: 'Valid', tone: 'good', over: false }
}
