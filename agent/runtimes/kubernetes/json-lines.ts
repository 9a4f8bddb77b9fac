/** One JSON value per line, as watches send them. A torn or broken line throws: whoever reads must look again at everything. */
const longestLine = 8 * 1024 * 1024

export async function* jsonLines<T>(body: AsyncIterable<Uint8Array>, onBytes: () => void): AsyncGenerator<T> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of body) {
    onBytes()
    rest += decoder.decode(chunk, { stream: true })
    let from = 0
    for (let at = rest.indexOf('\n', from); at >= 0; at = rest.indexOf('\n', from)) {
      const line = rest.slice(from, at).trim()
      from = at + 1
      if (line !== '') yield JSON.parse(line) as T
    }
    rest = rest.slice(from)
    if (rest.length > longestLine) throw new Error('a line of the watch is too long')
  }
  if (rest.trim() !== '') throw new Error('the watch ended in the middle of a line')
}
