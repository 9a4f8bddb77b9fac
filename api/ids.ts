/** Ids: a prefix, then time and randomness in base 36, so that they sort by creation. Never a `-`. */
export type IdPrefix =
  | 'ses'
  | 'job'
  | 'sec'
  | 'tok'
  | 'clu'
  | 'prj'
  | 'vol'
  | 'trm'
  | 'lnk'
  | 'evt'
  | 'agt'
  | 'str'
  | 'aud'
  | 'req'
  | 'rep'
  | 'pol'
  | 'reg'
  | 'hok'
  | 'upl'

const alphabet = '0123456789abcdefghijklmnopqrstuvwxyz'

/** Asked for many at a time, which costs as much as one; each is used once. */
let bytes = new Uint8Array(0)
let used = 0

function randomByte(): number {
  if (used === bytes.length) {
    bytes = crypto.getRandomValues(new Uint8Array(1024))
    used = 0
  }
  return bytes[used++]!
}

/** `length` characters of [0-9a-z], uniform (rejection sampling). */
export function randomWord(length: number): string {
  let word = ''
  while (word.length < length) {
    const byte = randomByte()
    if (byte < 252) word += alphabet[byte % 36]
  }
  return word
}

let moment = 0
let momentWord = ''

/** 9 characters of time, to the year 5188. */
function timeWord(): string {
  const now = Date.now()
  if (now !== moment) {
    moment = now
    momentWord = now.toString(36).padStart(9, '0')
  }
  return momentWord
}

/** `ses_`, the time, and 11 random characters (56 bits). */
export function newId(prefix: IdPrefix): string {
  return `${prefix}_${timeWord()}${randomWord(11)}`
}

/** Of this process; made with the first request, for Workers have no randomness before. */
let ownWord = ''
let requests = 0

/** As `newId`, for every request: names it in logs and opens nothing, so a random word of the process and a count are enough. */
export function newRequestId(): string {
  ownWord ||= randomWord(5)
  requests = (requests + 1) % 36 ** 6
  return `req_${timeWord()}${ownWord}${requests.toString(36).padStart(6, '0')}`
}
