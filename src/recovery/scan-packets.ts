/** Finds the packets in a PAR2 file, whatever else is in it. */
import type { FileHandle } from 'node:fs/promises'
import { isWhole, MAGIC, PACKET_HEAD, type PacketHead, readHead, RECOVERY_HEAD, unusable } from './packets.js'

export interface FoundPacket extends PacketHead {
  /** Where it begins, in bytes. */
  readonly offset: number
  /** What follows its head, hashed; of a recovery packet, which is not hashed, only the exponent. */
  readonly body: Buffer
}

/** Bytes that are searched at a time. */
const WINDOW = 1024 * 1024
/** Packets are hashed again if a false head has been inside another: this many times the size of the file at most. */
const MOST_HASHED = 4

/**
 * The packets of a file of `size` bytes. Those that are damaged are passed over, except recovery packets, which the
 * caller checks. Throws BUNDLE_INVALID for a file that was made to keep this busy.
 */
export async function* scanPackets(
  file: FileHandle,
  size: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<FoundPacket> {
  let budget = size * MOST_HASHED + WINDOW
  let window: Buffer = Buffer.alloc(0)
  let [offset, start] = [0, 0]
  while (offset + PACKET_HEAD <= size) {
    signal?.throwIfAborted()
    if (offset < start || offset + PACKET_HEAD > start + window.length) {
      window = await readAt(file, offset, Math.min(WINDOW, size - offset))
      start = offset
      if (window.length < PACKET_HEAD) return // the file has become shorter
    }
    const at = window.indexOf(MAGIC, offset - start)
    if (at < 0) {
      offset = start + window.length - MAGIC.length + 1
      if (offset + PACKET_HEAD > size) return
      continue
    }
    offset = start + at
    if (at + PACKET_HEAD > window.length) {
      if (offset + PACKET_HEAD > size) return
      continue
    }
    const head = readHead(window.subarray(at, at + PACKET_HEAD))
    if (!head || offset + head.length > size) {
      offset += MAGIC.length
      continue
    }
    if (head.type === 'recovery') {
      yield { ...head, offset, body: await readAt(file, offset + PACKET_HEAD, RECOVERY_HEAD - PACKET_HEAD) }
      // A false head must not hide what follows it
      const follows = offset + head.length
      offset =
        follows === size || (await readAt(file, follows, MAGIC.length)).equals(MAGIC) ? follows : offset + MAGIC.length
      continue
    }
    budget -= head.length
    if (budget < 0) throw unusable('its packets lie within one another')
    const packet =
      at + head.length <= window.length
        ? Buffer.from(window.subarray(at, at + head.length))
        : await readAt(file, offset, head.length)
    if (packet.length === head.length && isWhole(packet, head)) {
      yield { ...head, offset, body: packet.subarray(PACKET_HEAD) }
      offset += head.length
    } else offset += MAGIC.length
  }
}

/** Up to `size` bytes; fewer if the file ends, or cannot be read there. */
async function readAt(file: FileHandle, offset: number, size: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(size)
  let read = 0
  while (read < size) {
    const { bytesRead } = await file.read(buffer, read, size - read, offset + read)
    if (bytesRead === 0) break
    read += bytesRead
  }
  return buffer.subarray(0, read)
}
