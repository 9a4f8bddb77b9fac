import { expect, test } from 'vitest'
import { createPictureQueue } from './picture-queue.ts'

function job() {
  let finish!: () => void
  const finished = new Promise<void>(resolve => {
    finish = resolve
  })
  let started = false
  return {
    work: async () => {
      started = true
      await finished
    },
    finish,
    started: () => started,
  }
}
const never = () => new AbortController().signal
const settle = () => new Promise(resolve => setTimeout(resolve, 0))

test('at most so many at once, the rest in order', async () => {
  const queue = createPictureQueue(2)
  const jobs = [job(), job(), job(), job()]
  const all = jobs.map(one => queue.take(one.work, never()))
  await settle()
  expect(jobs.map(one => one.started())).toEqual([true, true, false, false])
  jobs[1]!.finish()
  await all[1]
  await settle()
  expect(jobs.map(one => one.started())).toEqual([true, true, true, false])
  for (const one of jobs) one.finish()
  await Promise.all(all)
})

test('what is given up while waiting is never started and frees its place', async () => {
  const queue = createPictureQueue(1)
  const [first, second, third] = [job(), job(), job()] as const
  const gaveUp = new AbortController()
  const running = queue.take(first.work, never())
  const waiting = queue.take(second.work, gaveUp.signal)
  const last = queue.take(third.work, never())
  gaveUp.abort(new Error('out of sight'))
  await expect(waiting).rejects.toThrow('out of sight')
  first.finish()
  await running
  await settle()
  expect([second.started(), third.started()]).toEqual([false, true])
  third.finish()
  await last
})

test('a failure frees its lane', async () => {
  const queue = createPictureQueue(1)
  await expect(queue.take(() => Promise.reject(new Error('no screen')), never())).rejects.toThrow('no screen')
  await expect(queue.take(async () => 'ok', never())).resolves.toBe('ok')
})
