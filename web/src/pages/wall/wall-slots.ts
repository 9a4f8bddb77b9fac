/**
 * Which tiles of the wall are live. A server encodes each screen once per viewer, so only what is in view is connected, at most `cap` of
 * them; the rest show still pictures. Those already live keep their place, so that scrolling a little does not make screens blink. Pure.
 */
export function chooseLive(
  order: readonly string[],
  inView: ReadonlySet<string>,
  liveNow: ReadonlySet<string>,
  cap: number,
): string[] {
  const candidates = order.filter(id => inView.has(id))
  const kept = candidates.filter(id => liveNow.has(id)).slice(0, cap)
  const keptSet = new Set(kept)
  const added = candidates.filter(id => !keptSet.has(id)).slice(0, Math.max(0, cap - kept.length))
  const chosen = new Set([...kept, ...added])
  return order.filter(id => chosen.has(id))
}
