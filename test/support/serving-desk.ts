/** A machine with a bundle on a stick, /media/stick/site-a, which it serves on loopback. */
import { join } from 'node:path'
import { type Desk, type DeskOptions, openDesk } from './desk.js'
import { runnableImage, writeLayout } from './images.js'
import type { Ran, Step } from './page.js'
import { freePort } from './registry.js'
import { monitorImage } from './samples.js'
import { type Scratch, scratchLike } from './scratch.js'

export interface ServingDesk extends Desk {
  /** Starts the step `stowage serve …`, on a free port, and waits until it listens. */
  serve(step: Pick<Step, 'command'>): Promise<Ran>
}

export async function openServingDesk(t: Scratch, options: DeskOptions = {}): Promise<ServingDesk> {
  const [port, secure] = [await freePort(), await freePort()]
  const stick = scratchLike(t, '/media/stick')
  const places = {
    '/media/stick': stick,
    '127.0.0.1:5000': `127.0.0.1:${port}`,
    '192.0.2.10:5443': `127.0.0.1:${secure}`,
    'IP:192.0.2.10': 'IP:127.0.0.1',
  }
  const desk = openDesk(t, { ...options, places })
  await writeLayout(join(desk.work, 'images'), {
    'monitor:1.4': await monitorImage(),
    'quay.example/team/app:2': await runnableImage(),
  })
  await desk.prepare('stowage pack oci:images:1.4 oci:images:2 -o /media/stick/site-a')
  return {
    ...desk,
    serve: async ({ command }) => {
      const listen = command.includes('--listen') ? '' : ' --listen 127.0.0.1:5000'
      return await desk.start({ command: `${command}${listen}` }, /until interrupted\n$/)
    },
  }
}
